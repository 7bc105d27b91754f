//! What is promised of kept events.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use runtime_traits::bus::{BusError, Position};
use runtime_traits::clock::Clock;
use runtime_traits::{Tenant, UnixMillis};

use super::BusFixture;
use super::scene::{SHORT, Scene, event, tenant, topic, within};

/// `numbered-without-gap`: places are 1, 2, 3, …, and are those that were answered.
pub async fn numbered_without_gap(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let publishing = (0..40).map(|number| scene.publish("kept/talk", "ann", number));
    let published = join_all(publishing).await;

    let places: BTreeSet<u64> = published.iter().filter_map(|p| Some(p.position?.0)).collect();
    assert_eq!(places, (1..=40).collect(), "each event has a place of its own");
    let other = scene.publish("kept/other", "ann", 1).await;
    assert_eq!(other.position, Some(Position(1)), "each topic counts for itself");
    let page =
        within(scene.bus.read(&tenant(), &Tenant::default(), &topic("kept/talk"), Position(1), 100)).await;
    let page = page.expect("it is kept");
    assert_eq!((page.first, page.next), (Position(1), Position(41)));
    for (nth, kept) in page.events.iter().enumerate() {
        assert_eq!(kept.position.0, nth as u64 + 1);
        let answered = published[super::scene::number(&kept.event) as usize].position;
        assert_eq!(answered, Some(kept.position), "the place that was answered is the place");
    }
}

/// `once-by-id`: the same event twice is one event.
pub async fn once_by_id(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let first = scene.publish("kept/talk", "ann", 1).await;
    scene.publish("kept/talk", "ann", 2).await;

    let again = scene.publish("kept/talk", "ann", 1).await;

    assert_eq!(again.position, first.position);
    assert_eq!(scene.kept("kept/talk", 1).await, Ok(vec![1, 2]));
    scene.publish("kept/other", "ann", 1).await;
    let mut same_id = std::sync::Arc::unwrap_or_clone(event("kept/other", "ann", 3));
    same_id.id = event("kept/talk", "ann", 1).id;
    let elsewhere = within(scene.bus.publish(&tenant(), std::sync::Arc::new(same_id))).await;
    assert!(elsewhere.is_ok_and(|p| p.position.is_some()));
    assert_eq!(scene.kept("kept/other", 1).await, Ok(vec![1, 3]), "an id counts within its topic");
}

/// `kept-when-ok`: what was answered is there after a crash, as it was.
pub async fn kept_when_ok(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    for number in 1..=5 {
        scene.publish("kept/talk", "ann", number).await;
    }

    let scene = scene.crash().await;

    let page =
        within(scene.bus.read(&tenant(), &Tenant::default(), &topic("kept/talk"), Position(1), 10)).await;
    let page = page.expect("it is kept");
    let wanted: Vec<_> = (1..=5).map(|number| event("kept/talk", "ann", number)).collect();
    assert_eq!(page.events.iter().map(|kept| kept.event.clone()).collect::<Vec<_>>(), wanted);
    scene.publish("kept/talk", "ann", 6).await;
    assert_eq!(scene.kept("kept/talk", 6).await, Ok(vec![6]), "places go on where they were");
}

/// `replayed`: from any place, from any time, and the first place where there is none.
pub async fn replayed(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let start = scene.clock.now();
    for number in 1..=20 {
        scene.publish("kept/talk", "ann", number).await;
        scene.clock.advance(Duration::from_secs(10));
    }

    assert_eq!(scene.kept("kept/talk", 18).await, Ok(vec![18, 19, 20]));
    let page =
        within(scene.bus.read(&tenant(), &Tenant::default(), &topic("kept/talk"), Position(5), 2)).await;
    let numbers: Vec<_> = page.expect("it is kept").events.iter().map(|kept| kept.position.0).collect();
    assert_eq!(numbers, [5, 6], "no more than were asked for");
    assert_eq!(scene.kept("kept/talk", 21).await, Ok(vec![]), "what is to come is not there yet");
    assert_eq!(scene.kept("kept/never", 1).await, Ok(vec![]), "a topic without events is empty");
    for (after, place) in [(0, 1), (45, 6), (50, 6), (189, 20), (190, 20), (191, 21)] {
        let time = UnixMillis(start.0 + after * 1_000);
        let found = within(scene.bus.find(&tenant(), &Tenant::default(), &topic("kept/talk"), time)).await;
        assert_eq!(found, Ok(Position(place)), "{after} s later");
    }

    let mut number = 0;
    let first = loop {
        number += 1;
        scene.publish("short/talk", "ann", number).await;
        match scene.kept("short/talk", 1).await {
            Err(BusError::BeforeRetention { first, asked, .. }) => {
                assert_eq!(asked, Position(1));
                break first;
            }
            Ok(_) => assert!(number < 5_000, "what is beyond retention never goes"),
            Err(error) => super::scene::unexpected(&error),
        }
    };
    let kept = scene.kept("short/talk", first.0).await.expect("it begins at the first place");
    assert_eq!(kept.first(), Some(&first.0));
    assert!(kept.len() as u64 >= SHORT, "what is within retention stays: {kept:?}");
}
