//! Redis that is killed, cut off or silent, while events are published and handled.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runtime_events::{
    BusError, ConnectError, Delivery, EventBus, EventBusBuilder, EventStream, Gap, Position, Retention, Topic,
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

/// Publishes events about two topics of which one cannot be used: the other one is heard, handled and written.
async fn only_the_other_one_works(bus: &EventBus, others: &EventBus, mut live: EventStream) {
    let published = timeout(SOON, bus.publish(event(1, "kept/bad"))).await.unwrap();
    let Err(BusError::Damaged { what }) = published else { unreachable!("{published:?}") };
    assert!(what.contains("default/kept/bad"), "{what}");
    let read = timeout(SOON, bus.read(&"kept/bad".parse().unwrap(), Position::FIRST, 1)).await.unwrap();
    assert!(matches!(read, Err(BusError::Damaged { .. })), "{read:?}");

    others.publish(event(2, "kept/good")).await.unwrap();
    let Delivery::Event { event: heard, .. } = next(&mut live).await else { unreachable!("a gap") };
    assert_eq!(heard.json::<u64>().unwrap(), 2);
    let reader = bus.durable("kept/good", "worker").unwrap().open().await.unwrap();
    let Delivery::Event { event: handled, .. } = timeout(SOON, reader.next()).await.unwrap().unwrap() else {
        unreachable!("a gap")
    };
    assert_eq!(handled.json::<u64>().unwrap(), 2);
}

#[test]
fn a_topic_that_cannot_be_used_holds_up_no_other() {
    block_on(async {
        let server = RedisServer::start();
        let bus = builder().connect(&server.uri(0)).await.unwrap();
        let mut live = bus.listen("kept/*").await.unwrap();
        for topic in ["kept/bad", "kept/good"] {
            bus.publish(event(0, topic)).await.unwrap();
        }
        for _ in 0..2 {
            assert!(matches!(next(&mut live).await, Delivery::Event { .. }));
        }
        let worker = bus.durable("kept/bad", "worker").unwrap().open().await.unwrap();
        assert!(matches!(worker.next().await, Ok(Delivery::Event { .. })));
        assert_eq!(server.say(&["SET", "ae:{default/kept/bad}:events", "what is no stream"]).trim(), "OK");

        let reader = bus.durable("kept/good", "worker").unwrap().open().await.unwrap();
        let Ok(Delivery::Event { position, .. }) = reader.next().await else { panic!("a gap") };
        reader.done(position).await.unwrap();
        drop(reader);
        only_the_other_one_works(&bus, &bus, live).await;
        assert!(matches!(timeout(SOON, worker.next()).await.unwrap(), Err(BusError::Damaged { .. })));
    });
}

#[test]
fn a_topic_whose_keys_are_refused_holds_up_no_other() {
    block_on(async {
        let server = RedisServer::start();
        let others = builder().connect(&server.uri(0)).await.unwrap();
        let rules = ["ACL", "SETUSER", "ann", "on", ">right", "&*", "+@all", "~ae:topics", "~ae:announced"];
        server.say(&[&rules[..], &["~ae:{default/kept/good}*"]].concat());
        let uri = format!("redis://ann:right@127.0.0.1:{}", server.port());
        let bus = builder().connect(&uri).await.unwrap();
        let live = bus.listen("kept/good").await.unwrap();
        only_the_other_one_works(&bus, &others, live).await;
    });
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn what_a_server_lost_that_it_had_answered_for_is_told_and_nothing_that_came_after_is_missed() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let bus = through(&way).await;
        let mut live = bus.listen("kept/*").await.unwrap();
        let reader = bus.durable("kept/jobs", "worker").unwrap().open().await.unwrap();
        let mut take = async |number: u64| {
            let delivery = timeout(SOON, reader.next()).await.unwrap().unwrap();
            let Delivery::Event { position, event, .. } = delivery else { panic!("a gap at {number}") };
            assert_eq!(event.json::<u64>().unwrap(), number);
            timeout(SOON, reader.done(position)).await.unwrap().unwrap();
            assert!(matches!(next(&mut live).await, Delivery::Event { .. }));
        };
        let aof = server.folder().join("appendonlydir");
        let kept = tempfile::tempdir().unwrap();
        for number in 1..=30 {
            if number == 21 {
                copy(&aof, kept.path());
            }
            bus.publish(event(number, "kept/jobs")).await.unwrap();
            take(number).await;
        }
        bus.publish(event(31, "kept/late")).await.unwrap();
        assert!(matches!(next(&mut live).await, Delivery::Event { .. }));
        let is_known = || server.say(&["SISMEMBER", "ae:topics", "default/kept/late"]).trim().ends_with('1');
        assert!(is_known());

        way.refuse(true);
        way.cut();
        server.kill();
        std::fs::remove_dir_all(&aof).unwrap();
        copy(kept.path(), &aof);
        server.revive();
        let others = builder().connect(&server.uri(0)).await.unwrap();
        for number in 101..=140 {
            others.publish(event(number, "kept/jobs")).await.unwrap();
        }
        way.refuse(false);

        let (mut gaps, mut handled) = (0, HashSet::new());
        while handled.len() < 40 {
            match timeout(SOON, reader.next()).await.unwrap().unwrap() {
                Delivery::Gap(gap) => {
                    assert!(gap.from <= Position(21) && gap.to == Position(30), "{gap:?}");
                    gaps += 1;
                }
                Delivery::Event { position, event, .. } => {
                    assert_eq!(gaps, 1, "it is told before");
                    let number = event.json::<u64>().unwrap();
                    if number > 100 {
                        handled.insert(number);
                    }
                    timeout(SOON, reader.done(position)).await.unwrap().unwrap();
                }
            }
        }
        assert!(!is_known(), "that is lost too");
        bus.publish(event(32, "kept/late")).await.unwrap();
        assert!(is_known());

        let (mut gaps, mut heard) = (0, HashSet::new());
        while heard.len() < 40 {
            match next(&mut live).await {
                Delivery::Gap(gap) => gaps += gap.to.0 - gap.from.0 + 1,
                Delivery::Event { event, .. } => heard.extend(event.json::<u64>().ok().filter(|n| *n > 100)),
            }
        }
        assert!(gaps >= 10, "{gaps}");
    });
}

#[test]
fn a_subscription_that_is_farther_than_its_topic_is_told_and_begins_there() {
    block_on(async {
        let server = RedisServer::start();
        let bus = builder().connect(&server.uri(0)).await.unwrap();
        let open = async || bus.durable("kept/*", "worker").unwrap().open_pattern().await.unwrap();
        let reader = open().await;
        for number in 1..=3 {
            bus.publish(event(number, "kept/jobs")).await.unwrap();
            let (topic, delivery) = timeout(SOON, reader.next()).await.unwrap().unwrap();
            let Delivery::Event { position, .. } = delivery else { panic!("a gap") };
            reader.done(&topic, position).await.unwrap();
        }
        drop(reader);
        server.say(&["DEL", "ae:{default/kept/jobs}:events"]);
        bus.publish(event(4, "kept/jobs")).await.unwrap();

        let reader = open().await;
        let (_, gap) = timeout(SOON, reader.next()).await.unwrap().unwrap();
        assert_eq!(gap, Delivery::Gap(Gap { from: Position(2), to: Position(3) }));
        bus.publish(event(5, "kept/jobs")).await.unwrap();
        let (_, delivery) = timeout(SOON, reader.next()).await.unwrap().unwrap();
        let Delivery::Event { event, .. } = delivery else { panic!("a gap") };
        assert_eq!(event.json::<u64>().unwrap(), 5);
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
