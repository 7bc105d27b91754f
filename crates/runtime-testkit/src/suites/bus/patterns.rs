//! What durable readers of patterns are promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::poll;
use runtime_traits::Tenant;
use runtime_traits::bus::{BusError, DurablePattern, Failure, Position, Start, Topic, Who};

use super::BusFixture;
use super::scene::{Scene, cursors, guest, take_any, tenant, topic, within, work_any};

/// Longer than the suite's pauses.
const PAUSE: Duration = Duration::from_millis(10);

/// `joined-by-a-pattern`: all that match and are kept, and what comes to be later from its first event.
pub async fn joined_by_a_pattern(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    for (name, number) in [("kept/a/one", 1), ("kept/b/two", 2), ("kept/other", 3), ("talk/a/one", 4)] {
        scene.publish(name, "ann", number).await;
    }
    let audit = cursors("audit", "*/*/*");
    let reader = scene.open_pattern(&audit).await;
    let first = BTreeSet::from([work_any(&*reader).await, work_any(&*reader).await]);
    assert_eq!(first, BTreeSet::from([1, 2]), "what matches and is kept");
    let second = within(scene.bus.open_pattern(&tenant(), audit.clone())).await;
    assert!(matches!(second, Err(BusError::Busy { .. })), "{second:?}");

    for number in [5, 6] {
        scene.publish("kept/c/three", "ann", number).await;
    }
    assert_eq!(work_any(&*reader).await, 5, "a topic that is new joins");
    assert_eq!(work_any(&*reader).await, 6);

    let late = DurablePattern { start: Start::Latest, ..cursors("late", "kept/**") };
    let newest = scene.open_pattern(&late).await;
    scene.publish("kept/a/one", "ann", 7).await;
    assert_eq!(work_any(&*newest).await, 7, "it begins where it was told to");
    assert_eq!(work_any(&*reader).await, 7);
    drop((reader, newest));

    for number in [8, 9] {
        scene.publish("kept/d/four", "ann", number).await;
    }
    let newest = scene.open_pattern(&late).await;
    assert_eq!(
        work_any(&*newest).await,
        8,
        "what came to be while nobody was there joins from its first event"
    );
    assert_eq!(work_any(&*newest).await, 9);

    let agent = Who::Tenant { tenant: Tenant::default(), agent: Some(guest()) };
    let part = within(scene.bus.open_pattern(&agent, cursors("spy", "kept/*"))).await;
    assert!(matches!(part, Err(BusError::Forbidden { .. })), "what is allowed in part is refused");
    let gone = within(scene.bus.open_pattern(&tenant(), cursors("gone", "talk/**"))).await;
    assert!(
        matches!(gone, Err(BusError::NotDurable { .. })),
        "a pattern of which nothing is kept has no cursors"
    );
}

/// `settled-in-its-topic`: each topic has a cursor of its own, with its order, its failures and its place.
pub async fn settled_in_its_topic(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let events = [
        ("kept/a", "ann", 1),
        ("kept/a", "ann", 2),
        ("kept/a", "bob", 3),
        ("kept/b", "ann", 11),
        ("kept/b", "ann", 12),
    ];
    for (name, source, number) in events {
        scene.publish(name, source, number).await;
    }
    let durable = cursors("audit", "kept/*");
    let reader = scene.open_pattern(&durable).await;
    let mut taken = BTreeMap::new();
    for _ in 0..3 {
        let (of, position, number, _) = take_any(&*reader).await;
        taken.insert(number, (of, position));
    }
    let wanted = [(1, "kept/a", 1), (3, "kept/a", 3), (11, "kept/b", 1)];
    let wanted = wanted.map(|(number, of, position)| (number, (topic(of), Position(position))));
    assert_eq!(taken, BTreeMap::from(wanted), "the first of each source in each topic");
    let mut next = Box::pin(reader.next());
    assert!(poll!(&mut next).is_pending(), "nothing else may be worked on now");
    drop(next);

    let (a, b) = (topic("kept/a"), topic("kept/b"));
    within(reader.done(&b, Position(1))).await.expect("it is saved");
    let (of, position, number, _) = take_any(&*reader).await;
    assert_eq!((&of, number), (&b, 12), "what is done in one topic is not done in another");
    within(reader.done(&b, position)).await.expect("it is saved");

    for attempt in 1..=3 {
        let dead = within(reader.failed(&a, Position(1), &Failure::says("no"))).await;
        assert_eq!(dead, Ok(attempt == 3), "attempt {attempt} of 3");
        scene.clock.advance(PAUSE);
        let (of, _, number, told) = take_any(&*reader).await;
        let wanted = if attempt < 3 { (1, attempt + 1) } else { (2, 1) };
        assert_eq!((of, (number, told)), (a.clone(), wanted));
    }
    let letters = Topic::dead_letters("audit").expect("a good name");
    let page = within(scene.bus.read(&tenant(), &Tenant::default(), &letters, Position(1), 10)).await;
    let page = page.expect("dead letters are kept");
    let said: Vec<_> = page.events.iter().map(|letter| letter.event.headers.get("deadtopic")).collect();
    assert_eq!(said, [Some("kept/a")]);

    let scene = scene.crash().await;
    drop(reader);
    let reader = scene.open_pattern(&durable).await;
    let again = BTreeSet::from([work_any(&*reader).await, work_any(&*reader).await]);
    assert_eq!(again, BTreeSet::from([2, 3]), "what was not settled comes again, and nothing else");
    scene.publish("kept/b", "ann", 13).await;
    assert_eq!(work_any(&*reader).await, 13);
}
