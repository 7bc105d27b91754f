//! What durable readers are promised.

use std::time::Duration;

use runtime_traits::bus::{BusError, Durable, Position, Retry, Start};
use runtime_traits::clock::Clock;

use super::BusFixture;
use super::scene::{Scene, cursor, take, tenant, within, work};

/// `delivered-until-settled`: what was not settled comes again after a crash, what was does not.
pub async fn delivered_until_settled(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    for (number, source) in [(1, "ann"), (2, "bob"), (3, "ann")] {
        scene.publish("kept/talk", source, number).await;
    }
    let durable = cursor("worker", "kept/talk");
    let reader = scene.open_cursor(&durable).await;
    assert_eq!(work(&*reader).await, 1);
    let (_, number, _) = take(&*reader).await;
    assert_eq!(number, 2, "taken, and not settled");

    let scene = scene.crash().await;
    drop(reader);
    let reader = scene.open_cursor(&durable).await;
    assert_eq!(work(&*reader).await, 2, "it comes again");
    assert_eq!(work(&*reader).await, 3);

    let scene = scene.crash().await;
    drop(reader);
    scene.publish("kept/talk", "ann", 4).await;
    let reader = scene.open_cursor(&durable).await;
    assert_eq!(work(&*reader).await, 4, "what was settled does not come again");
}

/// `begins-where-told`: by place, by time, at either end; and where it was, if it was there.
pub async fn begins_where_told(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let mut times = Vec::new();
    for number in 1..=5 {
        times.push(scene.clock.now());
        scene.publish("kept/talk", "ann", number).await;
        scene.clock.advance(Duration::from_secs(1));
    }
    let latest = Durable { start: Start::Latest, ..cursor("latest", "kept/talk") };
    let reader = scene.open_cursor(&latest).await;
    scene.publish("kept/talk", "ann", 6).await;
    assert_eq!(work(&*reader).await, 6);

    for (name, start, first) in [
        ("earliest", Start::Earliest, 1),
        ("at", Start::At(Position(3)), 3),
        ("since", Start::Since(times[3]), 4),
    ] {
        let reader = scene.open_cursor(&Durable { start, ..cursor(name, "kept/talk") }).await;
        assert_eq!(work(&*reader).await, first, "{name}");
        drop(reader);
        let again = Durable { start: Start::Latest, ..cursor(name, "kept/talk") };
        let reader = scene.open_cursor(&again).await;
        assert_eq!(take(&*reader).await.1, first + 1, "{name} goes on where it is");
    }
}

/// `one-name-one-cursor`: one reader, and one setting.
pub async fn one_name_one_cursor(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let durable = cursor("worker", "kept/talk");
    let reader = scene.open_cursor(&durable).await;

    let second = within(scene.bus.open(&tenant(), durable.clone())).await;
    assert!(matches!(second, Err(BusError::Busy { .. })), "{second:?}");
    drop(reader);

    let other = Retry { attempts: 9, ..durable.retry };
    for changed in [Durable { group: true, ..durable.clone() }, Durable { retry: other, ..durable.clone() }] {
        let refused = within(scene.bus.open(&tenant(), changed)).await;
        assert!(matches!(refused, Err(BusError::SettingsDiffer { .. })), "{refused:?}");
    }
    let elsewhere = scene.open_cursor(&cursor("worker", "kept/other")).await;
    let again = scene.open_cursor(&durable).await;
    drop((elsewhere, again));
}
