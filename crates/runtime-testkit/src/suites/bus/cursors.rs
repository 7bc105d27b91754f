//! What durable readers are promised.

use std::time::Duration;

use runtime_traits::bus::{BusError, Delivery, Durable, Position, Retry, Start};
use runtime_traits::clock::Clock;

use super::BusFixture;
use super::scene::{AGE, SHORT, Scene, cursor, take, tenant, unexpected, within, work};

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

/// `trimmed-by-its-rule`: number waits for who is behind, age does not; and whoever lost something is told.
pub async fn trimmed_by_its_rule(fixture: &dyn BusFixture) {
    const ALL: u64 = 200;
    let scene = Scene::open(fixture).await;
    let reader = scene.open_cursor(&cursor("behind", "short/talk")).await;
    for number in 1..=ALL {
        scene.publish("short/talk", "ann", number).await;
    }
    for number in 1..=ALL {
        assert_eq!(work(&*reader).await, number, "nothing goes that an active subscription has not done");
    }
    let mut number = ALL;
    loop {
        number += 1;
        scene.publish("short/talk", "ann", number).await;
        assert_eq!(work(&*reader).await, number);
        if scene.kept("short/talk", ALL - SHORT).await.is_err() {
            break;
        }
        assert!(number < 5_000, "what is beyond retention never goes");
    }

    let late = scene.open_cursor(&cursor("late", "aged/talk")).await;
    for number in 1..=5 {
        scene.publish("aged/talk", "ann", number).await;
    }
    assert_eq!(work(&*late).await, 1);
    drop(late);
    scene.clock.advance(AGE + Duration::from_secs(1));
    let mut number = 5;
    while scene.kept("aged/talk", 1).await.is_ok() {
        number += 1;
        scene.publish("aged/talk", "ann", number).await;
        assert!(number < 5_000, "what is too old never goes");
    }
    let late = scene.open_cursor(&cursor("late", "aged/talk")).await;
    let told = within(late.next()).await;
    let Ok(Delivery::Gap(gap)) = told else { return unexpected(&told) };
    assert_eq!((gap.from, gap.to), (Position(2), Position(5)), "exactly what was too old");
    assert_eq!(work(&*late).await, 6);
}
