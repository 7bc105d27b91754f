//! What happens after failures.

use std::time::Duration;

use futures_util::poll;
use runtime_traits::bus::{Failure, Position, Requeue, Requeued, Topic};
use runtime_traits::clock::Clock;
use runtime_traits::{Name, Tenant};

use super::BusFixture;
use super::scene::{Scene, cursor, take, tenant, within, work};

/// Longer than the suite's pauses.
const PAUSE: Duration = Duration::from_millis(10);

/// `ordered-by-source`: an event waits until the earlier ones of its source are done, also where those fail.
pub async fn ordered_by_source(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    for (number, source) in [(1, "ann"), (2, "ann"), (3, "bob"), (4, "bob")] {
        scene.publish("kept/talk", source, number).await;
    }
    let reader = scene.open_cursor(&cursor("worker", "kept/talk")).await;

    let (ann, first, _) = take(&*reader).await;
    let (bob, third, _) = take(&*reader).await;
    assert_eq!((first, third), (1, 3), "sources do not wait for each other");
    let mut next = Box::pin(reader.next());
    assert!(poll!(&mut next).is_pending(), "nothing else may be worked on now");
    drop(next);

    assert_eq!(within(reader.failed(ann, &Failure::says("not yet"))).await, Ok(false));
    scene.clock.advance(PAUSE);
    let (ann, first, attempt) = take(&*reader).await;
    assert_eq!((first, attempt), (1, 2), "the failed one comes before the next of its source");
    within(reader.done(bob)).await.expect("it is saved");
    let (bob, fourth, _) = take(&*reader).await;
    assert_eq!(fourth, 4);
    within(reader.done(ann)).await.expect("it is saved");
    assert_eq!(work(&*reader).await, 2);
    within(reader.done(bob)).await.expect("it is saved");
}

/// `failed-then-dead`: as many tries as were told, then a dead letter that says why; others go on.
pub async fn failed_then_dead(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let reader = scene.open_cursor(&cursor("worker", "kept/talk")).await;
    scene.publish("kept/talk", "ann", 1).await;
    scene.publish("kept/talk", "bob", 2).await;

    let mut place = Position(0);
    for attempt in 1..=3 {
        let (found, number, told) = loop {
            let (position, number, attempt) = take(&*reader).await;
            if number == 1 {
                break (position, number, attempt);
            }
            assert_eq!(number, 2, "others go on meanwhile");
            within(reader.done(position)).await.expect("it is saved");
        };
        assert_eq!((number, told), (1, attempt));
        let failure = Failure { panicked: attempt == 3, ..Failure::says(format!("no {attempt}")) };
        let dead = within(reader.failed(found, &failure)).await.expect("it is saved");
        assert_eq!(dead, attempt == 3, "attempt {attempt} of 3");
        place = found;
        scene.clock.advance(PAUSE);
    }

    let letters = Topic::dead_letters("worker").expect("a good name");
    let page = within(scene.bus.read(&tenant(), &Tenant::default(), &letters, Position(1), 10)).await;
    let page = page.expect("dead letters are kept");
    let [letter] = &page.events[..] else { return super::scene::unexpected(&page) };
    let said = |name: &str| letter.event.headers.get(name).unwrap_or_default().to_owned();
    assert_eq!(super::scene::number(&letter.event), 1);
    assert_eq!(said("deadtopic"), "kept/talk");
    assert_eq!(said("deadposition"), place.to_string());
    assert_eq!(said("deadattempts"), "3");
    assert_eq!(said("deadcause"), "no 3");
    assert_eq!(said("deadpanicked"), "true");

    scene.publish("kept/talk", "ann", 3).await;
    loop {
        match work(&*reader).await {
            2 => {}
            number => break assert_eq!(number, 3, "what is dead is not delivered"),
        }
    }
}

/// `requeued-for-one`: a dead letter that is sent again comes once more, to its subscription alone, however often it is sent.
pub async fn requeued_for_one(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let worker = scene.open_cursor(&cursor("worker", "kept/talk")).await;
    let other = scene.open_cursor(&cursor("other", "kept/talk")).await;
    scene.publish("kept/talk", "ann", 1).await;
    for attempt in 1..=3 {
        let (position, number, _) = take(&*worker).await;
        assert_eq!(number, 1);
        let dead = within(worker.failed(position, &Failure::says("no"))).await;
        // That it dies then is another clause's.
        if attempt == 3 && dead == Ok(false) {
            return;
        }
        scene.clock.advance(PAUSE);
    }
    assert_eq!(work(&*other).await, 1);

    let all = Requeue {
        tenant: Tenant::default(),
        subscription: Name::new("worker").expect("a good name"),
        position: None,
        topic: None,
    };
    let requeue = async |all: &Requeue| {
        within(scene.bus.requeue(&tenant(), all, scene.clock.now())).await.expect("dead letters are kept")
    };
    assert_eq!(requeue(&Requeue { position: Some(Position(9)), ..all.clone() }).await, Requeued::default());
    assert_eq!(requeue(&all).await, Requeued { sent: 1, ..Requeued::default() });
    assert_eq!(requeue(&all).await, Requeued { before: 1, ..Requeued::default() });
    scene.publish("kept/talk", "ann", 2).await;

    let (position, number, attempt) = take(&*worker).await;
    assert_eq!((number, attempt), (1, 1), "it has as many tries as a new event");
    within(worker.done(position)).await.expect("it is saved");
    assert_eq!(work(&*worker).await, 2, "it comes once");
    assert_eq!(work(&*other).await, 2, "nobody else gets it");
}
