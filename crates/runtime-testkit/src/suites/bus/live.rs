//! What live readers are promised.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use runtime_traits::Tenant;
use runtime_traits::bus::{Delivery, Overflow, Position, Who};
use std::sync::Arc;

use super::BusFixture;
use super::scene::{Scene, cursor, event, hear, hear_number, number, unexpected, within};

const SOURCES: [&str; 3] = ["ann", "bob", "eve"];

/// `heard-in-order`: nothing is missing, and each source is heard in its order, also about topics that are new.
pub async fn heard_in_order(fixture: &dyn BusFixture) {
    const EACH: u64 = 100;
    let scene = Scene::open(fixture).await;
    scene.publish("talk/old", "ann", 1_000).await;
    let mut all = scene.listen("talk/*", 1_024, Overflow::LoseOldest).await;
    let mut kept = scene.listen("kept/talk", 1_024, Overflow::LoseOldest).await;

    let publishing = SOURCES.map(|source| {
        let scene = &scene;
        async move {
            for number in 0..EACH {
                let name = if number % 2 == 0 { "talk/old".to_owned() } else { format!("talk/{source}") };
                scene.publish(&name, source, number).await;
                scene.publish("kept/talk", source, number).await;
            }
        }
    });
    join_all(publishing).await;

    for listener in [&mut all, &mut kept] {
        let mut heard: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for _ in 0..EACH * 3 {
            let delivery = hear(&mut **listener).await;
            let Some(Delivery::Event { event, .. }) = &delivery else { return unexpected(&delivery) };
            let of = (event.source.to_string(), event.topic.to_string());
            heard.entry(of).or_default().push(number(event));
        }
        for ((source, topic), numbers) in &heard {
            assert!(numbers.is_sorted(), "`{source}` was heard out of order about `{topic}`: {numbers:?}");
        }
        let mut numbers: Vec<u64> = heard.into_values().flatten().collect();
        numbers.sort_unstable();
        let wanted: Vec<u64> = (0..EACH).flat_map(|number| [number; 3]).collect();
        assert_eq!(numbers, wanted, "every event is heard once");
    }
}

/// `nothing-else`: other topics and other tenants are not heard.
pub async fn nothing_else(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let mut one = scene.listen("talk/one", 16, Overflow::LoseOldest).await;
    let mut some = scene.listen("talk/*/now", 16, Overflow::LoseOldest).await;

    for (nth, name) in ["talk", "talk/two", "talk/one/now/then", "talks/one", "kept/talk"].iter().enumerate()
    {
        scene.publish(name, "ann", nth as u64).await;
    }
    for name in ["talk/one", "talk/one/now"] {
        let mut other = Arc::unwrap_or_clone(event(name, "ann", 98));
        other.tenant = Tenant::new("other").expect("a good name");
        within(scene.bus.publish(&Who::System, Arc::new(other))).await.expect("the runtime may");
    }
    scene.publish("talk/one", "ann", 99).await;
    scene.publish("talk/one/now", "ann", 100).await;

    assert_eq!(hear_number(&mut *one).await, 99);
    assert_eq!(hear_number(&mut *some).await, 100);
}

/// `gap-is-exact`: what is delivered and what is told to be lost is everything, once.
pub async fn gap_is_exact(fixture: &dyn BusFixture) {
    const ALL: u64 = 40;
    let scene = Scene::open(fixture).await;
    let mut slow = scene.listen("talk/fast", 4, Overflow::LoseOldest).await;
    let mut witness = scene.listen("talk/fast", 1_024, Overflow::LoseOldest).await;
    for number in 1..=ALL {
        scene.publish("talk/fast", "ann", number).await;
    }
    // Once somebody has heard the last one, all others have been everywhere.
    while hear_number(&mut *witness).await < ALL {}

    let (mut next, mut lost) = (1, 0);
    while next <= ALL {
        match hear(&mut *slow).await {
            Some(Delivery::Gap(gap)) => {
                assert_eq!(gap.from, Position(next), "the gap begins where the last delivery ended");
                assert!(gap.to >= gap.from, "{gap:?}");
                next = gap.to.0 + 1;
                lost += gap.lost();
            }
            Some(Delivery::Event { position, event, .. }) => {
                assert_eq!((position.0, number(&event)), (next, next), "what is missing was told");
                next += 1;
            }
            None => unexpected(&"the end"),
        }
    }
    assert!(lost >= ALL - 9, "a ring of four keeps no {} events", ALL - lost);
}

/// `disconnect-is-told`: what is held, what was lost, and then the end.
pub async fn disconnect_is_told(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let mut strict = scene.listen("talk/fast", 4, Overflow::Disconnect).await;
    let mut witness = scene.listen("talk/fast", 1_024, Overflow::LoseOldest).await;
    for number in 1..=10 {
        scene.publish("talk/fast", "ann", number).await;
    }
    while hear_number(&mut *witness).await < 10 {}

    for number in 1..=4 {
        assert_eq!(hear_number(&mut *strict).await, number, "what is held is delivered");
    }
    let told = hear(&mut *strict).await;
    let Some(Delivery::Gap(gap)) = told else { return unexpected(&told) };
    assert_eq!(gap.from, Position(5), "it is told what was lost");
    scene.publish("talk/fast", "ann", 11).await;
    assert_eq!(hear(&mut *strict).await, None, "nothing new follows");
}

/// `slow-slows-nobody`: readers that have stopped delay nobody.
pub async fn slow_slows_nobody(fixture: &dyn BusFixture) {
    const ALL: u64 = 1_500;
    let scene = Scene::open(fixture).await;
    let _stopped = scene.listen("kept/talk", 4, Overflow::LoseOldest).await;
    let stuck = scene.open_cursor(&cursor("stuck", "kept/talk")).await;
    let mut fast = scene.listen("kept/talk", 4_096, Overflow::LoseOldest).await;

    scene.publish("kept/talk", "ann", 0).await;
    let _never_done = super::scene::take(&*stuck).await;
    for chunk in (1..=ALL).collect::<Vec<_>>().chunks(50) {
        join_all(chunk.iter().map(|number| scene.publish("kept/talk", "ann", *number))).await;
    }

    let mut heard = Vec::new();
    while heard.len() < ALL as usize {
        heard.push(hear_number(&mut *fast).await);
    }
    assert!(heard.contains(&(ALL - 1)), "{heard:?}");
}
