//! Cases about what a batch is to its neighbours and its readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime_traits::store::{Durability, Revision, Seq, StateError, Then, Token, When};

use super::StoreFixture;
use super::probe::{HERE, Probe, With, append, batch, fail, key, log, put};

/// `atomic`: all writes of a batch or none, also after a crash.
pub async fn atomic(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    every_kind_of_write(&probe).await;
    readers_see_whole_batches(&probe).await;
    a_batch_on_its_way_is_seen_whole(&probe).await;

    // The last batch before the crash, and one that is on its way.
    let level = fixture.survivor().unwrap_or(Durability::Memory);
    for round in 0..5 {
        let pair = |n: i32| vec![put("pair/a", n), append("pair/log", [n]), put("pair/b", n)];
        let store = Probe::new(fixture.open().await);
        store.write(batch(pair(round)).at(level)).await;
        let begun = store.begin(batch(pair(round + 1)).at(level)).await;
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let after = Probe::new(fixture.crash(Arc::clone(&store.store)).await);
        drop(begun);
        let (a, b) = (after.value("pair/a").await, after.value("pair/b").await);
        let last = after.entries("pair/log").await.last().cloned();
        assert_eq!(a, b, "after a crash");
        assert_eq!(a, last, "after a crash");
    }
}

async fn every_kind_of_write(probe: &Probe) {
    probe.write(batch(vec![put("old", 1), append("trimmed", 0..3), append("dropped", 0..3)])).await;
    let then = vec![
        put("new", 1),
        Then::Add(key("sum"), 5),
        Then::Add(key("sum"), -7),
        Then::Delete(key("old")),
        Then::Delete(key("never there")),
        append("fresh", ["a", "b"]),
        append("fresh", ["c"]),
        append("trimmed", ["d"]),
        Then::Trim(log("trimmed"), Seq(3)),
        Then::Drop(log("dropped")),
    ];
    let done = probe.write(batch(then)).await;
    assert_eq!(done.appended, [Seq(2), Seq(3), Seq(4)]);
    assert_eq!(probe.cell("new").await.map(|cell| cell.revision), Some(done.revision));
    assert_eq!(probe.value("sum").await.as_deref(), Some("-2"));
    assert_eq!(probe.cell("old").await, None);
    assert_eq!(probe.entries("fresh").await, ["a", "b", "c"]);
    assert_eq!(probe.entries("trimmed").await, ["2", "d"]);
    assert_eq!(probe.logs().await.len(), 2);
    // Later writes of a batch see the earlier ones.
    let done = probe
        .write(batch(vec![
            put("n", 40),
            Then::Add(key("n"), 2),
            Then::Delete(key("sum")),
            Then::Add(key("sum"), 9),
        ]))
        .await;
    assert_eq!(probe.value("n").await.as_deref(), Some("42"));
    assert_eq!(probe.value("sum").await.as_deref(), Some("9"));
    assert!(done.revision > Revision(0));
}

async fn readers_see_whole_batches(probe: &Probe) {
    let done = Arc::new(AtomicBool::new(false));
    let reading = {
        let (store, done) = (Arc::clone(&probe.store), Arc::clone(&done));
        async move {
            while !done.load(Ordering::SeqCst) {
                let cells =
                    store.get(&[key("twin/a"), key("twin/b")]).await.expect("a healthy store can be read");
                let values: Vec<_> = cells.iter().flatten().map(|cell| &cell.value).collect();
                assert!(values.is_empty() || values.len() == 2 && values[0] == values[1], "read {values:?}");
                tokio::task::yield_now().await;
            }
        }
    };
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(reading);
    for n in 0..200 {
        probe.write(batch(vec![put("twin/a", n), put("twin/b", n)])).await;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap_or_else(|error| fail(&format!("a reader saw a part of a batch: {error}")));
    }
}

async fn a_batch_on_its_way_is_seen_whole(probe: &Probe) {
    let begun = probe.begin(batch(vec![put("way/a", 1), put("way/b", 1)])).await;
    let seen = probe.store.get(&[key("way/a"), key("way/b")]).await.expect("a healthy store can be read");
    assert_eq!(seen[0].is_some(), seen[1].is_some(), "a part of a batch that is on its way");
    begun.end().await.expect("nothing is wrong with the batch");
}

/// `checked-where-written`: fence and conditions are evaluated in the atomic step that writes, in order of application.
pub async fn checked_where_written(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    conditions_hold_or_refuse(&probe).await;

    // Two that want the same place, both on their way before either is answered.
    let claim = |n| batch(vec![put("place", n)]).when(When::Absent(key("place")));
    let answers = probe.at_once([claim(1), claim(2)]).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = answers.iter().filter(|answer| **answer == Err(StateError::Conflict { condition: 0 })).count();
    assert_eq!((won, lost), (1, 1), "{answers:?}");

    // An owner that writes while another takes its partition: whichever came first, nobody writes after the takeover.
    let (old, new) = (Token([1; 16]), Token([2; 16]));
    let held = probe.write(batch(vec![Then::Put(key("own"), old.0.to_vec().into())])).await;
    let takeover = batch(vec![Then::Put(key("own"), new.0.to_vec().into())])
        .when(When::Revision(key("own"), held.revision));
    let stale = batch(vec![put("by the old owner", 1)]).fenced(&key("own"), old);
    let answers = probe.at_once([takeover, stale]).await;
    let taken = answers[0].clone().expect("nobody else wants it");
    match &answers[1] {
        Ok(written) => assert!(written.revision < taken.revision, "the old owner wrote after the takeover"),
        Err(error) => assert_eq!(*error, StateError::Fenced),
    }

    // Counting by read, condition, write, from many tasks: nothing gets lost.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let probe = Probe::new(Arc::clone(&probe.store));
        tasks.spawn(async move {
            for _ in 0..10 {
                count_up(&probe).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap_or_else(|error| fail(&format!("a task that counts: {error}")));
    }
    assert_eq!(probe.value("count").await.as_deref(), Some("80"), "counts got lost");
}

async fn conditions_hold_or_refuse(probe: &Probe) {
    let first = probe.write(batch(vec![put("a", 1), append("l", 0..3)])).await;
    let token = Token(*b"sixteen bytes ok");
    probe.write(batch(vec![put("owner", "sixteen bytes ok, and more")])).await;
    let refused = |condition| Err(StateError::Conflict { condition });
    let good = When::Absent(key("b"));
    let cases = [
        (When::Absent(key("a")), false),
        (When::Absent(key("b")), true),
        (When::Revision(key("a"), first.revision), true),
        (When::Revision(key("a"), Revision(first.revision.0 + 1)), false),
        (When::Revision(key("b"), first.revision), false),
        (When::Next(log("l"), Seq(4)), true),
        (When::Next(log("l"), Seq(3)), false),
        (When::Next(log("never written"), Seq(1)), true),
        (When::BacklogBelow(log("l"), 4), true),
        (When::BacklogBelow(log("l"), 3), false),
        (When::BacklogBelow(log("never written"), 0), false),
        (When::BacklogBelow(log("never written"), 1), true),
    ];
    for (when, holds) in cases {
        let answer = probe.store.commit(batch(Vec::new()).when(good.clone()).when(when.clone())).await;
        let expected =
            if holds { answer.clone().map_err(|_| StateError::WrongPartition) } else { refused(1) };
        assert_eq!(answer, expected, "{when:?}");
        assert_eq!(answer.is_ok(), holds, "{when:?}");
    }
    let fenced = |token| batch(Vec::new()).fenced(&key("owner"), token);
    assert!(probe.store.commit(fenced(token)).await.is_ok(), "the first 16 bytes are the token");
    assert_eq!(probe.store.commit(fenced(Token([0; 16]))).await, Err(StateError::Fenced));
    let nobody = batch(Vec::new()).fenced(&key("no owner"), token);
    assert_eq!(probe.store.commit(nobody).await, Err(StateError::Fenced));
    assert_eq!(probe.store.partitions().await.expect("a healthy store can be read"), [HERE]);
}

async fn count_up(probe: &Probe) {
    loop {
        let seen = probe.cell("count").await;
        let (count, when) = match &seen {
            None => (0, When::Absent(key("count"))),
            Some(cell) => {
                let count = String::from_utf8_lossy(&cell.value).parse().expect("this task wrote a number");
                (count, When::Revision(key("count"), cell.revision))
            }
        };
        match probe.store.commit(batch(vec![put("count", count + 1)]).when(when)).await {
            Ok(_) => return,
            Err(StateError::Conflict { .. } | StateError::Unavailable { .. }) => {
                tokio::task::yield_now().await
            }
            Err(error) => fail(&format!("a count was refused: {error}")),
        }
    }
}

/// `alone-in-the-group`: a refused batch leaves no trace and hurts no neighbour of its group commit.
pub async fn alone_in_the_group(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let before =
        vec![put("word", "no number"), put("kept", 1), append("log", 0..4), append("kept log", ["x"])];
    probe.write(batch(before)).await;
    let (cells, logs) = (probe.cells().await, probe.logs().await);

    let refused = || {
        vec![
            append("log", ["refused"]),
            put("trace", 1),
            put("kept", 2),
            Then::Delete(key("word")),
            append("new log", ["refused"]),
            Then::Trim(log("log"), Seq(3)),
            Then::Drop(log("kept log")),
        ]
    };
    // Each finds out at another moment: by its fence, by its last condition, by a number that is none or too large.
    let mut not_a_number = refused();
    not_a_number.insert(3, Then::Add(key("word"), 1));
    let mut too_large = refused();
    too_large.extend([put("sum", i64::pow(2, 53)), Then::Add(key("sum"), 1)]);
    let answers = probe
        .at_once([
            batch(vec![put("good/1", 1), append("good", ["1"])]),
            batch(refused()).fenced(&key("kept"), Token([9; 16])),
            batch(vec![put("good/2", 1), append("good", ["2"])]),
            batch(refused()).when(When::Absent(key("nothing"))).when(When::Absent(key("kept"))),
            batch(vec![put("good/3", 1), append("good", ["3"])]),
            batch(not_a_number),
            batch(vec![put("good/4", 1), append("good", ["4"])]),
            batch(too_large),
            batch(vec![put("good/5", 1), append("good", ["5"])]),
        ])
        .await;
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), place % 2 == 0, "batch {place} of the group: {answer:?}");
    }
    assert_eq!(answers[1], Err(StateError::Fenced));
    assert_eq!(answers[3], Err(StateError::Conflict { condition: 1 }));
    assert!(matches!(answers[5], Err(StateError::Damaged { .. })), "{:?}", answers[5]);
    assert!(matches!(answers[7], Err(StateError::TooLarge { .. })), "{:?}", answers[7]);

    let good = |path: &[u8]| path.starts_with(b"good");
    let cells_after: Vec<_> =
        probe.cells().await.into_iter().filter(|(key, _)| !good(key.path.as_bytes())).collect();
    let logs_after: Vec<_> =
        probe.logs().await.into_iter().filter(|log| !good(log.log.path.as_bytes())).collect();
    assert_eq!(cells_after, cells, "a refused batch left a trace");
    assert_eq!(logs_after, logs, "a refused batch left a trace");
    let mut entries = probe.entries("good").await;
    entries.sort();
    assert_eq!(entries, ["1", "2", "3", "4", "5"], "a neighbour was hurt");
    assert_eq!(probe.entries("log").await, ["0", "1", "2", "3"]);
}
