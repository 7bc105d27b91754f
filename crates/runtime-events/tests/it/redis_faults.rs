//! Redis that is killed, cut off or silent, while events are published and handled.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use runtime_events::{
    BusError, ConnectError, Delivery, EventBus, EventBusBuilder, EventStream, Position, Retention, Topic,
};
use runtime_testkit::block_on;
use runtime_testkit::peers::{CutProxy, RedisServer};
use tokio::time::timeout;

use crate::event;

const SOON: Duration = Duration::from_secs(20);

fn builder() -> EventBusBuilder {
    EventBus::builder().keep("kept/*", Retention::default()).unwrap().lease(Duration::from_millis(300))
}

async fn through(way: &CutProxy) -> EventBus {
    builder().connect(&format!("redis+unix://{}", way.socket().display())).await.unwrap()
}

async fn next(stream: &mut EventStream) -> Delivery {
    timeout(SOON, stream.next()).await.unwrap().unwrap()
}

#[test]
fn a_user_who_may_not_let_the_file_be_rewritten_is_told_at_once() {
    block_on(async {
        let server = RedisServer::start();
        server.say(&["ACL", "SETUSER", "ann", "on", ">right", "~*", "&*", "+@all", "-bgrewriteaof"]);
        let uri = format!("redis://ann:right@127.0.0.1:{}", server.port());
        let refused = timeout(SOON, builder().connect(&uri)).await.unwrap();
        assert!(matches!(&refused, Err(ConnectError::Refused { .. })), "{refused:?}");
        assert!(format!("{:?}", refused.unwrap_err()).contains("bgrewriteaof"));
    });
}

/// Publishes so many events, the same one again as long as it is not known what became of it, and does `harm` after some.
async fn publish(bus: &EventBus, count: u64, mut harm: impl FnMut(u64)) {
    for number in 1..=count {
        harm(number);
        while let Err(error) = timeout(SOON, bus.publish(event(number, "kept/jobs"))).await.unwrap() {
            assert!(error.is_transient(), "{error}");
        }
    }
}

/// Handles `count` events, in their order, and says how many came more than once.
async fn handle(bus: &EventBus, count: u64) -> u64 {
    let (mut seen, mut again) = (HashSet::new(), 0);
    let reader = timeout(SOON, bus.durable("kept/jobs", "worker").unwrap().open()).await.unwrap().unwrap();
    let mut last = 0;
    while (seen.len() as u64) < count {
        let Delivery::Event { position, event, .. } = timeout(SOON, reader.next()).await.unwrap().unwrap()
        else {
            unreachable!("a durable subscription has no gap")
        };
        let number: u64 = event.json().unwrap();
        assert_eq!(position, Position(number), "each event is kept once, in its order");
        if seen.insert(number) {
            assert_eq!(number, last + 1, "the order of the source is kept");
            last = number;
        } else {
            again += 1;
        }
        // Where it could not be saved it comes again.
        let _ = timeout(SOON, reader.done(position)).await.unwrap();
    }
    again
}

#[test]
fn cut_connections_and_lost_replies_lose_nothing_and_repeat_nothing() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let bus = through(&way).await;
        let mut live = bus.listen("kept/*").await.unwrap();
        let publishing = publish(&bus, 300, |number| match number {
            50 | 150 | 250 => way.cut(),
            100 => way.lose_replies(true),
            101 => way.lose_replies(false),
            _ => {}
        });
        let handling = handle(&bus, 300);

        let unlock = async {
            // Somebody has to give the replies back while the publisher waits for one.
            tokio::time::sleep(Duration::from_millis(700)).await;
            way.lose_replies(false);
            way.cut();
        };
        let ((), again, ()) = tokio::join!(publishing, handling, unlock);

        assert_eq!(again, 0, "the process that handles has not died");
        let topic: Topic = "kept/jobs".parse().unwrap();
        assert_eq!(bus.read(&topic, Position(1), 1).await.unwrap().next, Position(301));
        for number in 1..=300 {
            let Delivery::Event { position, event, .. } = next(&mut live).await else { panic!("a gap") };
            assert_eq!((position.0, event.json::<u64>().unwrap()), (number, number));
        }
    });
}

#[test]
fn a_server_that_is_killed_and_started_again_loses_nothing_and_repeats_nothing() {
    block_on(async {
        let server = Arc::new(RedisServer::start());
        let bus = builder().connect(&server.uri(0)).await.unwrap();
        let mut live = bus.listen("kept/*").await.unwrap();
        let killed = Arc::clone(&server);
        let publishing = publish(&bus, 200, move |number| {
            if number % 60 == 0 {
                killed.kill();
                killed.revive();
            }
        });

        let ((), again) = tokio::join!(publishing, handle(&bus, 200));

        assert_eq!(again, 0);
        for number in 1..=200 {
            let Delivery::Event { event, .. } = next(&mut live).await else { panic!("a gap") };
            assert_eq!(event.json::<u64>().unwrap(), number);
        }
    });
}

#[test]
fn what_was_trimmed_before_a_live_reader_saw_it_is_told_exactly() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let (reads, writes) = (through(&way).await, builder().connect(&server.uri(0)).await.unwrap());
        let mut live = reads.listen("kept/*").await.unwrap();
        writes.publish(event(1, "kept/jobs")).await.unwrap();
        assert!(matches!(next(&mut live).await, Delivery::Event { .. }));

        way.refuse(true);
        way.cut();
        for number in 2..=20 {
            writes.publish(event(number, "kept/jobs")).await.unwrap();
        }
        assert_eq!(server.say(&["XTRIM", "ae:{default/kept/jobs}:events", "MINID", "=", "0-15"]), "14");
        way.refuse(false);

        let Delivery::Gap(gap) = next(&mut live).await else { panic!("no gap") };
        assert_eq!((gap.from, gap.to), (Position(2), Position(14)));
        let Delivery::Event { position, event, .. } = next(&mut live).await else { panic!("a gap") };
        assert_eq!((position.0, event.json::<u64>().unwrap()), (15, 15));
    });
}

#[test]
fn another_process_hears_and_shares_and_is_refused_what_it_may_not_have() {
    block_on(async {
        let server = RedisServer::start();
        let one = builder().connect(&server.uri(0)).await.unwrap();
        let two = builder().connect(&server.uri(0)).await.unwrap();
        let mut heard = two.listen("**").await.unwrap();
        let answering = two.clone();
        let _answers = two
            .subscribe("add/one", move |request: Arc<runtime_events::Event>| {
                let bus = answering.clone();
                async move { bus.reply(&request, &(request.json::<u64>()? + 1)).await.map(drop) }
            })
            .await
            .unwrap();

        one.publish(event(7, "kept/jobs")).await.unwrap();
        let Delivery::Event { event: got, .. } = next(&mut heard).await else { panic!("a gap") };
        assert_eq!(got.json::<u64>().unwrap(), 7);
        let asked = runtime_events::Event::new("add/one", &41).unwrap();
        let answer = one.request(asked, SOON).await.unwrap();
        assert_eq!(answer.json::<u64>().unwrap(), 42);

        let reader = one.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
        let busy = timeout(SOON, two.durable("kept/jobs", "worker").unwrap().open()).await.unwrap();
        assert!(matches!(busy, Err(BusError::Busy { .. })), "{busy:?}");
        drop(reader);
        let reader =
            timeout(SOON, two.durable("kept/jobs", "worker").unwrap().open()).await.unwrap().unwrap();
        let Delivery::Event { event: got, .. } = reader.next().await.unwrap() else { panic!("a gap") };
        assert_eq!(got.json::<u64>().unwrap(), 7, "what was not done is another one's");
    });
}

#[test]
fn a_server_that_is_absent_or_will_not_do_is_named_with_the_remedy() {
    block_on(async {
        let absent = builder().connect("redis://127.0.0.1:1/0").await;
        assert!(matches!(absent, Err(ConnectError::Unreachable { .. })), "{absent:?}");
        let none = builder().connect("http://localhost").await;
        assert!(matches!(none, Err(ConnectError::BadAddress { .. })), "{none:?}");
        let evicting = RedisServer::start_with(&["maxmemory-policy", "allkeys-lru"]);
        let evicts = builder().connect(&evicting.uri(0)).await;
        assert!(
            matches!(&evicts, Err(ConnectError::Unsuitable { what, .. }) if what.contains("noeviction")),
            "{evicts:?}"
        );
    });
}
