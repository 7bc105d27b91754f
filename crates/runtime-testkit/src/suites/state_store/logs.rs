//! The case about the numbers of entries.

use std::sync::Arc;

use runtime_traits::store::{Seq, Tail, Then};

use super::StoreFixture;
use super::probe::{Probe, With, append, batch, fail, log};

/// `gap-free`: log entries are 1, 2, 3, …; a number is never used twice, also after a trim to nothing.
pub async fn gap_free(fixture: &dyn StoreFixture) {
    let store = fixture.open().await;
    let best = store.profile().best;
    let probe = Probe::new(store);
    let nothing = Tail { first: Seq(1), next: Seq(1), entries: vec![] };
    assert_eq!(probe.tail("log", 1).await, nothing, "a log that was never written");

    let done = probe.write(batch(vec![append("log", ["1", "2", "3"])])).await;
    assert_eq!(done.appended, [Seq(3)], "the last entry's number");
    let done = probe
        .write(batch(vec![append("log", Vec::<u8>::new()), append("log", ["4"]), append("log", ["5", "6"])]))
        .await;
    assert_eq!(done.appended, [Seq(3), Seq(4), Seq(6)]);
    let page = probe.store.read(&log("log"), Seq(2), 2).await.expect("a healthy store can be read");
    assert_eq!(page, Tail { first: Seq(2), next: Seq(7), entries: vec!["2".into(), "3".into()] });
    assert_eq!(
        probe.tail("log", 9).await,
        Tail { first: Seq(9), next: Seq(7), entries: vec![] },
        "past its end"
    );

    trims(&probe).await;
    neighbours(&probe).await;

    // Many writers: every number once.
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let probe = Probe::new(Arc::clone(&probe.store));
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for n in 0..20 {
                let done = probe.write(batch(vec![append("many", [format!("{task} {n}")])])).await;
                numbers.push((done.appended[0], format!("{task} {n}")));
            }
            numbers
        });
    }
    let mut numbers = Vec::new();
    while let Some(task) = tasks.join_next().await {
        numbers.extend(task.unwrap_or_else(|error| fail(&format!("a task that appends: {error}"))));
    }
    numbers.sort();
    let expected: Vec<_> =
        probe.entries("many").await.into_iter().zip(1..).map(|(entry, n)| (Seq(n), entry)).collect();
    assert_eq!(numbers, expected);

    // A crash brings no number back.
    if fixture.survivor().is_some() {
        probe.write(batch(vec![append("kept", ["1", "2", "kept"])]).at(best)).await;
        probe.write(batch(vec![Then::Trim(log("kept"), Seq(3))]).at(best)).await;
        probe.write(batch(vec![append("empty", ["1", "2"])]).at(best)).await;
        probe.write(batch(vec![Then::Trim(log("empty"), Seq(3))]).at(best)).await;
        let probe = Probe::new(fixture.crash(probe.store).await);
        let done = probe.write(batch(vec![append("empty", ["3"])])).await;
        assert_eq!(done.appended, [Seq(3)], "after a crash");
        // Logs that are new after a crash, and one that is not, keep to themselves.
        for n in 0..20 {
            let done = probe.write(batch(vec![append(format!("new/{n}"), [n, n, n])])).await;
            assert_eq!(done.appended, [Seq(3)], "a new log after a crash");
        }
        assert_eq!(probe.entries("new/7").await, ["7", "7", "7"], "a new log has no entries of an old one");
        let tail = probe.tail("kept", 1).await;
        assert_eq!(tail, Tail { first: Seq(3), next: Seq(4), entries: vec!["kept".into()] }, "after a crash");
    }
}

async fn trims(probe: &Probe) {
    let trim = |until| batch(vec![Then::Trim(log("log"), Seq(until))]);
    probe.write(trim(3)).await;
    let tail = probe.tail("log", 1).await;
    assert_eq!((tail.first, tail.next, tail.entries.len()), (Seq(3), Seq(7), 4), "trimmed up to 3");
    probe.write(trim(2)).await;
    assert_eq!(probe.tail("log", 1).await, tail, "a trim below the first entry");
    probe.write(trim(7)).await;
    assert_eq!(probe.tail("log", 1).await, Tail { first: Seq(7), next: Seq(7), entries: vec![] });
    probe.write(trim(100)).await;
    let done = probe.write(batch(vec![append("log", ["7"])])).await;
    assert_eq!(done.appended, [Seq(7)], "a number was used twice after a trim to nothing");
    assert_eq!(probe.entries("log").await, ["7"]);
    probe
        .write(batch(vec![Then::Trim(log("never written"), Seq(5)), Then::Drop(log("never written"))]))
        .await;
    assert_eq!(probe.logs().await.len(), 1, "trimming makes no log");
}

/// Logs whose names begin alike keep to themselves.
async fn neighbours(probe: &Probe) {
    let names: [&[u8]; 5] = [b"n", b"n\0", b"n\0\0\0\0\0\0\0\x01", b"n\0\0\0\0\0\0\0\x02", b"nn"];
    for (n, name) in names.iter().enumerate() {
        probe.write(batch(vec![append(*name, (0..=n).map(|entry| format!("{n} {entry}")))])).await;
    }
    probe.write(batch(vec![Then::Drop(log(names[2])), Then::Trim(log(names[1]), Seq(2))])).await;
    for (n, name) in names.iter().enumerate() {
        let mut expected: Vec<_> = (0..=n).map(|entry| format!("{n} {entry}")).collect();
        match n {
            1 => drop(expected.remove(0)),
            2 => expected.clear(),
            _ => {}
        }
        assert_eq!(probe.entries(*name).await, expected, "log {n}");
    }
}
