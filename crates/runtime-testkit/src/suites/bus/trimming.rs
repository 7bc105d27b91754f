//! What is let go, and who is told.

use std::time::Duration;

use runtime_traits::bus::{BusError, Delivery, Position};

use super::BusFixture;
use super::scene::{AGE, HEAVY, SHORT, Scene, cursor, event, take, unexpected, within, work};

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

/// `trimmed-by-bytes`: bytes wait for who is behind, as number does; and whoever lost something is told.
pub async fn trimmed_by_bytes(fixture: &dyn BusFixture) {
    const ALL: u64 = 200;
    let scene = Scene::open(fixture).await;
    let late = scene.open_cursor(&cursor("late", "heavy/talk")).await;
    let reader = scene.open_cursor(&cursor("behind", "heavy/talk")).await;
    for number in 1..=ALL {
        scene.publish("heavy/talk", "ann", number).await;
    }
    assert_eq!(work(&*late).await, 1);
    drop(late);
    for number in 1..=ALL {
        assert_eq!(work(&*reader).await, number, "nothing goes that an active subscription has not done");
    }
    let mut number = ALL;
    let mut first = loop {
        number += 1;
        scene.publish("heavy/talk", "ann", number).await;
        assert_eq!(work(&*reader).await, number);
        match scene.kept("heavy/talk", ALL).await {
            Err(BusError::BeforeRetention { first, .. }) => break first,
            kept => assert!(kept.is_ok() && number < 5_000, "what is beyond retention never goes: {kept:?}"),
        }
    };
    let kept = loop {
        match scene.kept("heavy/talk", first.0).await {
            // What the reader did last may go only now.
            Err(BusError::BeforeRetention { first: later, .. }) if later > first => first = later,
            kept => break kept.expect("it begins at the first place"),
        }
    };
    let size = |number: &u64| event("heavy/talk", "ann", *number).size() as u64;
    let bytes: u64 = kept.iter().map(size).sum();
    assert!(bytes + size(&first.0) > HEAVY, "what is within retention stays: {bytes} bytes of {HEAVY}");

    let late = scene.open_cursor(&cursor("late", "heavy/talk")).await;
    let told = within(late.next()).await;
    let Ok(Delivery::Gap(gap)) = told else { return unexpected(&told) };
    assert_eq!(gap.from, Position(2), "exactly what was too much");
    assert_eq!(take(&*late).await.0, gap.to.next(), "and nothing more");
}
