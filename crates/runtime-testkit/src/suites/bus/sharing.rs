//! What the members of a group are promised.

use std::collections::BTreeSet;

use runtime_traits::bus::Durable;

use super::BusFixture;
use super::scene::{Scene, cursor, take, within};

/// `shared-by-a-group`: every event once, and what a member leaves behind is another one's.
pub async fn shared_by_a_group(fixture: &dyn BusFixture) {
    const ALL: u64 = 40;
    let scene = Scene::open(fixture).await;
    for number in 0..ALL {
        scene.publish("kept/talk", &format!("source-{number}"), number).await;
    }
    let durable = Durable { group: true, ..cursor("workers", "kept/talk") };
    let one = scene.open_cursor(&durable).await;
    let two = scene.open_cursor(&durable).await;

    let mut numbers = BTreeSet::new();
    let mut left = BTreeSet::new();
    for nth in 0..ALL / 2 {
        let (position, number, _) = take(&*one).await;
        if nth % 2 == 0 {
            within(one.done(position)).await.expect("it is saved");
            assert!(numbers.insert(number), "{number} came twice");
        } else {
            left.insert(number);
        }
        let (position, number, _) = take(&*two).await;
        assert!(!left.contains(&number), "{number} is somebody else's");
        within(two.done(position)).await.expect("it is saved");
        assert!(numbers.insert(number), "{number} came twice");
    }
    drop(one);
    for _ in 0..left.len() {
        let (position, number, _) = take(&*two).await;
        assert!(left.contains(&number), "{number} was not left behind");
        within(two.done(position)).await.expect("it is saved");
        numbers.insert(number);
    }
    assert_eq!(numbers, (0..ALL).collect());
}
