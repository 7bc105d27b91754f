//! Handlers: what they are called with, what becomes of their failures, and what they cannot do to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::poll;
use runtime_events::catalogue::{HandlerFailed, HandlerLost};
use runtime_events::{Act, BusError, Delivery, Event, EventBus, Live, Retention, Retry, Rights, Rule, Start};
use runtime_testkit::fakes::MapStore;
use runtime_traits::Name;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

const SOON: Duration = Duration::from_secs(10);

fn numbered(topic: &str, number: u64) -> Event {
    Event::new(topic, &number).unwrap()
}

fn durable_bus() -> EventBus {
    let builder = EventBus::builder().keep("kept/*", Retention::default()).unwrap();
    builder.build_over(Arc::new(MapStore::new()))
}

#[tokio::test]
async fn a_handler_may_publish_what_others_wait_for() {
    let bus = EventBus::new();
    let mut results = bus.listen("search_result").await.unwrap();
    let publisher = bus.clone();
    let _searching = bus
        .subscribe("search_request", move |request| {
            let bus = publisher.clone();
            async move {
                let asked: Value = request.json()?;
                let found = json!({ "query": asked["query"], "result": 42 });
                bus.publish(Event::new("search_result", &found)?.caused_by(&request)).await.map(drop)
            }
        })
        .await
        .unwrap();

    bus.publish(Event::new("search_request", &json!({ "query": "latest AI research" })).unwrap())
        .await
        .unwrap();

    let result = results.next_event().await.unwrap();
    assert_eq!(result.json::<Value>().unwrap(), json!({ "query": "latest AI research", "result": 42 }));
    assert_eq!(result.hops, 1);
    assert!(result.causation.is_some() && result.causation == result.correlation);
}

#[tokio::test]
async fn a_failure_is_an_event_with_an_owner_and_a_panic_harms_nobody() {
    let bus = EventBus::new();
    let mut failures = bus.listen("system/*").await.unwrap();
    let (tell, mut told) = mpsc::channel(8);
    let clerk = bus.for_agent(Name::new("clerk").unwrap());
    let failing = clerk
        .subscribe("jobs/*", move |job| {
            let tell = tell.clone();
            async move {
                match job.json::<u64>()? {
                    1 => Err::<(), Box<dyn std::error::Error + Send + Sync>>("no luck".into()),
                    2 => panic!("out of mind"),
                    number => tell.send(number).await.map_err(Into::into),
                }
            }
        })
        .await
        .unwrap();

    for number in 1..=3 {
        bus.publish(numbered("jobs/new", number)).await.unwrap();
    }

    for (cause, panicked) in [("no luck", false), ("the handler panicked: out of mind", true)] {
        let event = failures.next_event().await.unwrap();
        let failed: HandlerFailed = event.json().unwrap();
        assert_eq!((failed.cause.as_str(), failed.panicked), (cause, panicked));
        assert_eq!(failed.owner, "agent `clerk` of tenant `default`");
        assert_eq!((failed.subscription.as_str(), failed.topic.as_str()), ("jobs/*", "jobs/new"));
        assert_eq!(event.causation, event.correlation);
    }
    assert_eq!(told.recv().await, Some(3), "it goes on with the next one");
    assert_eq!(failing.failures(), 2);
}

#[tokio::test]
async fn who_fails_at_hearing_of_failures_does_not_hear_of_that() {
    let bus = EventBus::new();
    let mut failures = bus.listen("system/**").await.unwrap();
    let fail = |_| async { Err::<(), _>("always") };
    let (_one, _two) =
        (bus.subscribe("jobs", fail).await.unwrap(), bus.subscribe("system/**", fail).await.unwrap());

    bus.publish(numbered("jobs", 1)).await.unwrap();
    let first: HandlerFailed = failures.next_event().await.unwrap().json().unwrap();
    assert_eq!(first.subscription, "jobs");
    bus.publish(numbered("jobs", 2)).await.unwrap();
    let second: HandlerFailed = failures.next_event().await.unwrap().json().unwrap();
    assert_eq!((second.subscription.as_str(), second.position), ("jobs", 2));
}

#[tokio::test]
async fn a_handler_that_is_too_slow_is_told_of_with_the_exact_gap() {
    let bus = EventBus::new();
    let mut told = bus.listen("system/handler.lost").await.unwrap();
    let go = Arc::new(Notify::new());
    let (waits, started) = (Arc::clone(&go), Arc::new(Notify::new()));
    let begins = Arc::clone(&started);
    let live = Live { ring: 4.try_into().unwrap(), ..Live::of("jobs".parse().unwrap()) };
    let slow = bus
        .subscribe_with(live, move |_| {
            let (waits, begins) = (Arc::clone(&waits), Arc::clone(&begins));
            async move {
                begins.notify_one();
                waits.notified().await;
            }
        })
        .await
        .unwrap();
    bus.publish(numbered("jobs", 1)).await.unwrap();
    started.notified().await;
    for number in 2..=15 {
        bus.publish(numbered("jobs", number)).await.unwrap();
    }

    go.notify_one();

    let lost: HandlerLost = told.next_event().await.unwrap().json().unwrap();
    assert_eq!((lost.from, lost.to), (2, 11));
    assert_eq!(slow.lost(), 10);
}

#[tokio::test]
async fn dropping_a_subscription_unsubscribes_and_ending_it_lets_the_call_end() {
    let bus = EventBus::new();
    let (started, go, ended) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let handler = {
        let (started, go, ended) = (Arc::clone(&started), Arc::clone(&go), Arc::clone(&ended));
        move |_| {
            let (started, go, ended) = (Arc::clone(&started), Arc::clone(&go), Arc::clone(&ended));
            async move {
                started.notify_one();
                go.notified().await;
                ended.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let dropped = bus.subscribe("jobs", handler.clone()).await.unwrap();
    assert_eq!(bus.publish(numbered("jobs", 1)).await.unwrap().reached, 1);
    started.notified().await;
    drop(dropped);
    while bus.publish(numbered("jobs", 2)).await.unwrap().reached > 0 {
        tokio::task::yield_now().await;
    }

    let kept = bus.subscribe("jobs", handler).await.unwrap();
    bus.publish(numbered("jobs", 3)).await.unwrap();
    started.notified().await;
    let mut ending = Box::pin(kept.end());
    assert!(poll!(&mut ending).is_pending());
    go.notify_one();
    ending.await;

    assert_eq!(
        ended.load(Ordering::SeqCst),
        1,
        "the dropped call was cut off, the other one came to its end"
    );
}

#[tokio::test]
async fn a_request_is_answered_or_told_to_be_not() {
    let bus = EventBus::new();
    let server = bus.clone();
    let _answering = bus
        .subscribe("add/one", move |request: Arc<Event>| {
            let bus = server.clone();
            async move { bus.reply(&request, &(request.json::<u64>()? + 1)).await.map(drop) }
        })
        .await
        .unwrap();

    let asked: Vec<_> = (0..50).map(|number| bus.request(numbered("add/one", number), SOON)).collect();
    for (number, answer) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap().json::<u64>().unwrap(), number as u64 + 1);
    }
    let nobody = bus.request(numbered("add/two", 1), Duration::from_millis(1)).await;
    assert!(matches!(nobody, Err(BusError::NoAnswer { .. })), "{nobody:?}");
    let unasked = bus.reply(&numbered("add/one", 1), &2).await;
    assert!(matches!(unasked, Err(BusError::Malformed { .. })), "{unasked:?}");
}

#[tokio::test]
async fn handlers_that_answer_each_other_come_to_an_end() {
    let bus = EventBus::new();
    let mut failures = bus.listen("system/handler.failed").await.unwrap();
    let mut pings = Vec::new();
    for (hears, says) in [("ping", "pong"), ("pong", "ping")] {
        let publisher = bus.clone();
        let answering = bus.subscribe(hears, move |heard: Arc<Event>| {
            let bus = publisher.clone();
            async move { bus.publish(Event::new(says, &())?.caused_by(&heard)).await.map(drop) }
        });
        pings.push(answering.await.unwrap());
    }

    bus.publish(Event::new("ping", &()).unwrap()).await.unwrap();

    let failed: HandlerFailed = failures.next_event().await.unwrap().json().unwrap();
    assert!(failed.cause.contains("16 hops"), "{}", failed.cause);
}

#[tokio::test]
async fn rights_are_those_of_whoever_a_handle_acts_for() {
    let nothing = Rule {
        tenant: None,
        agent: Some(Name::new("guest").unwrap()),
        act: Some(Act::Publish),
        topics: "**".parse().unwrap(),
        allow: false,
    };
    let bus = EventBus::builder().rights(Rights(vec![nothing])).build();
    let guest = bus.for_agent(Name::new("guest").unwrap());

    let refused = guest.publish(numbered("jobs", 1)).await;
    assert!(matches!(refused, Err(BusError::Forbidden { .. })), "{refused:?}");
    assert!(bus.publish(numbered("jobs", 1)).await.is_ok());
    assert!(guest.listen("jobs").await.is_ok());
}

#[tokio::test]
async fn a_durable_handler_is_tried_again_and_gives_up_to_a_dead_letter() {
    let bus = durable_bus();
    let retry = Retry { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    let mut failures = bus.listen("system/handler.failed").await.unwrap();
    let (tell, mut told) = mpsc::channel(8);
    let working = bus.durable("kept/jobs", "worker").unwrap().retry(retry).handle(move |job| {
        let tell = tell.clone();
        async move {
            match job.json::<u64>()? {
                1 => panic!("never"),
                number => tell.send(number).await.map_err(Box::<dyn std::error::Error + Send + Sync>::from),
            }
        }
    });
    let working = working.await.unwrap();
    for number in 1..=3 {
        bus.publish(numbered("kept/jobs", number)).await.unwrap();
    }

    assert_eq!((told.recv().await, told.recv().await), (Some(2), Some(3)));
    for attempt in 1..=3 {
        let failed: HandlerFailed = failures.next_event().await.unwrap().json().unwrap();
        assert_eq!((failed.attempt, failed.dead, failed.panicked), (attempt, attempt == 3, true));
        assert_eq!(failed.subscription, "worker");
    }
    let letters = bus.durable("system/dead-letters/worker", "undertaker").unwrap().open().await.unwrap();
    let Ok(Delivery::Event { event, .. }) = letters.next().await else { panic!("no dead letter") };
    assert_eq!(event.json::<u64>().unwrap(), 1);
    assert_eq!(event.headers.get("deadcause"), Some("the handler panicked: never"));
    working.end().await;
}

#[tokio::test]
async fn what_a_durable_handler_has_done_when_it_is_ended_does_not_come_again() {
    let bus = durable_bus();
    for number in 1..=100 {
        bus.publish(numbered("kept/jobs", number)).await.unwrap();
    }
    let mut seen = Vec::new();
    for round in 0..4 {
        let (tell, mut told) = mpsc::channel(1);
        let working = bus.durable("kept/jobs", "worker").unwrap().handle(move |job| {
            let tell = tell.clone();
            async move { tell.send(job.json::<u64>().unwrap_or(0)).await.map_err(|_| "nobody counts") }
        });
        let working = working.await.unwrap();
        for _ in 0..10 {
            seen.push(told.recv().await.unwrap());
        }
        let rest = async {
            while let Some(number) = told.recv().await {
                seen.push(number);
            }
        };
        tokio::join!(working.end(), rest);
        assert!(seen.len() >= 10 * (round + 1));
    }
    let wanted: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, wanted);
    let start = bus.durable("kept/jobs", "late").unwrap().start(Start::At(runtime_events::Position(101)));
    assert!(start.open().await.is_ok(), "the place of the next event is a place");
}

#[tokio::test]
async fn a_publisher_waits_for_a_slow_reader_only_where_the_owner_says_so_and_not_for_ever() {
    let deadline = Duration::from_millis(20);
    let bus = EventBus::builder().block("patient", deadline).unwrap().build();
    let ring = |topic: &str| Live { ring: 2.try_into().unwrap(), ..Live::of(topic.parse().unwrap()) };
    let mut patient = bus.listen_with(ring("patient")).await.unwrap();
    let mut hasty = bus.listen_with(ring("hasty")).await.unwrap();
    for topic in ["patient", "hasty"] {
        for number in 1..=2 {
            bus.publish(numbered(topic, number)).await.unwrap();
        }
    }

    bus.publish(numbered("hasty", 3)).await.unwrap();
    assert!(matches!(hasty.next().await, Some(Delivery::Gap(gap)) if gap.lost() == 1));

    let mut waiting = Box::pin(bus.publish(numbered("patient", 3)));
    assert!(poll!(&mut waiting).is_pending(), "it waits for room");
    assert_eq!(patient.next_event().await.unwrap().json::<u64>().unwrap(), 1);
    assert_eq!(waiting.await.unwrap().reached, 1);
    for number in 2..=3 {
        let delivery = patient.next().await.unwrap();
        let Delivery::Event { event, .. } = delivery else { panic!("{delivery:?}") };
        assert_eq!(event.json::<u64>().unwrap(), number, "nothing was lost");
    }
    for number in 4..=6 {
        bus.publish(numbered("patient", number)).await.unwrap();
    }
    assert!(matches!(patient.next().await, Some(Delivery::Gap(_))), "after the deadline it goes on");
}
