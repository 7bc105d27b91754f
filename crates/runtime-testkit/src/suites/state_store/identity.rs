//! Cases about the same batch twice, and about several in a row.

use std::sync::Arc;

use runtime_traits::store::{Batch, Seq, StateError, Then, Token, When};

use super::StoreFixture;
use super::probe::{Probe, With, append, batch, fail, key, put};

/// The batches of a partition whose ids the contract asks a store to remember.
const WINDOW: u64 = 4_096;

/// `once-by-id`: a batch id is applied at most once, and a copy of a landed batch gets the first answer.
pub async fn once_by_id(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let owner = Token([3; 16]);
    probe.write(batch(vec![Then::Put(key("own"), owner.0.to_vec().into())])).await;

    // Its own success makes its condition false, and later its fence.
    let then = vec![append("log", ["once"]), Then::Add(key("count"), 1), append("other", ["a", "b"])];
    let once = batch(then).when(When::Absent(key("count"))).fenced(&key("own"), owner);
    let first = probe.write(once.clone()).await;
    assert_eq!(probe.write(once.clone()).await, first, "a copy gets the first answer");
    probe.write(batch(vec![Then::Put(key("own"), vec![4; 16].into())])).await;
    assert_eq!(probe.write(once.clone()).await, first, "also when it would be fenced now");

    // Copies that meet on their way.
    let meeting = batch(vec![Then::Add(key("met"), 1), append("met", ["x"])]);
    let answers = probe.at_once([meeting.clone(), meeting.clone(), meeting.clone()]).await;
    assert!(answers.iter().all(|answer| answer.is_ok() && *answer == answers[0]), "{answers:?}");
    assert_eq!(probe.value("met").await.as_deref(), Some("1"));

    // A refused batch has not landed.
    let early = batch(vec![put("late", 1)]).when(When::Absent(key("in the way")));
    probe.write(batch(vec![put("in the way", 1)])).await;
    assert!(probe.store.commit(early.clone()).await.is_err());
    probe.write(batch(vec![Then::Delete(key("in the way"))])).await;
    assert!(probe.store.commit(early).await.is_ok(), "the same id, refused before");

    // Up to the edge of the window, and past it: there its condition stops it.
    let since = 5;
    for _ in 0..(WINDOW - 1 - since) / 64 {
        fill(&probe, 64).await;
    }
    fill(&probe, (WINDOW - 1 - since) % 64).await;
    assert_eq!(probe.write(once.clone()).await, first, "among the last 4,096 batches");
    fill(&probe, 64).await;
    let answer = probe.store.commit(Batch { fence: None, ..once }).await;
    assert!(answer == Ok(first) || answer == Err(StateError::Conflict { condition: 0 }), "{answer:?}");
    assert_eq!(probe.value("count").await.as_deref(), Some("1"), "applied twice");
    assert_eq!(probe.entries("log").await, ["once"], "applied twice");
}

async fn fill(probe: &Probe, count: u64) {
    let fillers = (0..count).map(|_| batch(vec![Then::Add(key("filler"), 1)]));
    for answer in probe.at_once(fillers).await {
        answer.unwrap_or_else(|error| fail(&format!("a batch was refused: {error}")));
    }
}

/// `drop-is-not-cancel`: dropping a polled future changes nothing.
pub async fn drop_is_not_cancel(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    for n in 1..=20_u64 {
        let begun = probe.begin(batch(vec![put(format!("dropped/{n}"), n), append("log", [n])])).await;
        drop(begun);
        // Commits of one process apply in order, so this one is after the dropped one.
        probe.write(batch(vec![put("after", n)])).await;
        assert_eq!(probe.value(format!("dropped/{n}")).await, Some(n.to_string()), "the future was dropped");
        assert_eq!(probe.tail("log", n).await.entries.len(), 1, "the future was dropped");
    }
}

/// `in-order`: one process's batches for a partition apply in the order in which their futures were first polled.
pub async fn in_order(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let answers = probe.at_once((1..=300).map(|n| batch(vec![append("log", [n])]))).await;
    let numbers: Vec<_> =
        answers.into_iter().map(|answer| answer.expect("nothing is wrong").appended[0]).collect();
    assert_eq!(numbers, (1..=300).map(Seq).collect::<Vec<_>>(), "the order of first polls");
    assert_eq!(probe.entries("log").await, (1..=300).map(|n| n.to_string()).collect::<Vec<_>>());

    // Two tasks that each keep several on their way: each one's own order holds.
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..2 {
        let probe = Probe::new(Arc::clone(&probe.store));
        tasks.spawn(async move {
            let batches = (0..100).map(|n| batch(vec![append("both", [format!("{task} {n:03}")])]));
            for answer in probe.at_once(batches).await {
                answer.unwrap_or_else(|error| fail(&format!("a batch was refused: {error}")));
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap_or_else(|error| fail(&format!("a task that appends: {error}")));
    }
    let both = probe.entries("both").await;
    for task in ["0", "1"] {
        let own: Vec<_> = both.iter().filter(|entry| entry.starts_with(task)).collect();
        assert_eq!(own.len(), 100);
        assert!(own.is_sorted(), "{own:?}");
    }
}
