//! What happens after failures.

use std::time::Duration;

use futures_util::poll;
use runtime_traits::Tenant;
use runtime_traits::bus::{Failure, Position, Topic};

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
