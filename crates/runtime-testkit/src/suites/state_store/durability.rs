//! Cases about what survives.

use runtime_traits::store::{Durability, Key, Log, Seq, Sharing, StateError, Then};

use super::StoreFixture;
use super::probe::{Answer, HERE, Probe, With, append, batch, key, levels, log, put};

/// `durable-when-ok`: at the level in `Committed`, which is never below the one asked.
pub async fn durable_when_ok(fixture: &dyn StoreFixture) {
    let store = fixture.open().await;
    let levels: Vec<_> = levels(&*store).collect();
    let mut probe = Probe::new(store);
    let mut written = Vec::new();
    for round in 0..4 {
        for level in &levels {
            let cell = format!("{round}/{level:?}");
            let done = probe.write(batch(vec![put(cell.clone(), round)]).at(*level)).await;
            assert!(done.durability >= *level, "asked for {level:?}, given {:?}", done.durability);
            written.push((cell, done.durability));
        }
        // Several at once, the least durable first: a group is not as durable as its first batch.
        let cells: Vec<_> = levels.iter().map(|level| format!("{round}/group/{level:?}")).collect();
        let group =
            cells.iter().zip(&levels).map(|(cell, level)| batch(vec![put(cell.clone(), round)]).at(*level));
        let group: Vec<_> = group.collect();
        for ((cell, level), answer) in cells.iter().zip(&levels).zip(probe.at_once(group).await) {
            let given = answer.expect("nothing is wrong with the batch").durability;
            assert!(given >= *level, "asked for {level:?}, given {given:?}");
            written.push((cell.clone(), given));
        }
        probe = Probe::new(fixture.crash(probe.store).await);
        written.retain(|(_, given)| fixture.survivor().is_some_and(|least| *given >= least));
        for (cell, given) in &written {
            let found = probe.value(cell.clone()).await;
            assert!(found.is_some(), "`{cell}` was committed at {given:?}, and a crash took it");
        }
    }

    let best = probe.store.profile().best;
    for level in [Durability::Process, Durability::Disk].into_iter().filter(|level| *level > best) {
        let answer = probe.store.commit(batch(vec![put("too much", 1)]).at(level)).await;
        assert!(answer.is_err(), "a store that gives {best:?} said `Ok` to {level:?}");
        assert_eq!(probe.cell("too much").await, None);
    }
}

/// `no-peeking`: no read returns what a crash at that level could undo; after `Ok` every read sees it.
pub async fn no_peeking(fixture: &dyn StoreFixture) {
    let mut probe = Probe::new(fixture.open().await);
    for n in 1..=20 {
        let done = probe.write(batch(vec![append("seen", [n])])).await;
        assert_eq!(done.appended, [Seq(n)]);
        assert_eq!(probe.tail("seen", n).await.entries.len(), 1, "a read after `Ok`");
        assert_eq!(probe.logs().await.len(), 1, "a list after `Ok`");
        let done = probe.write(batch(vec![put("seen", n)])).await;
        assert_eq!(
            probe.cell("seen").await.map(|cell| cell.revision),
            Some(done.revision),
            "a read after `Ok`"
        );
        assert_eq!(probe.cells().await[0].1.revision, done.revision, "a scan after `Ok`");
    }
    assert_eq!(probe.store.partitions().await.expect("a healthy store can be read"), [HERE]);

    // Whatever a read shows of a batch on its way has to be there after a crash of that level.
    let Some(level) = fixture.survivor() else { return };
    for n in 0..20 {
        let begun = probe.begin(batch(vec![put("peek", n)]).at(level)).await;
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        let seen = probe.value("peek").await;
        drop(begun);
        probe = Probe::new(fixture.crash(probe.store).await);
        let kept = probe.value("peek").await;
        let number = |value: &Option<String>| value.as_ref().map_or(-1, |value| value.parse().unwrap_or(-1));
        assert!(number(&kept) >= number(&seen), "a read saw {seen:?}, a crash left {kept:?}");
    }
}

/// `poisoned`: after a failed sync every call fails until the store is reopened.
pub async fn poisoned(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let best = probe.store.profile().best;
    let Some(faults) = fixture.faults() else {
        assert_eq!(best, Durability::Memory, "a store with a disk can be made to fail by its fixture");
        return;
    };
    probe.write(batch(vec![put("before", 1)]).at(best)).await;
    probe.write(batch(vec![append("before", [1])]).at(best)).await;

    faults.fail_syncs(true);
    let answer = commit_that_syncs(&probe, best).await;
    assert!(matches!(answer, Err(StateError::Poisoned { .. } | StateError::Unknown { .. })), "{answer:?}");
    faults.fail_syncs(false);
    if probe.store.profile().sharing == Sharing::Shared {
        // Its server has ended, and reads its disk when it is started again: that is how it is opened anew.
        expect_gone("commit", probe.store.commit(batch(vec![put("after", 1)])).await);
        expect_gone("get", probe.store.get(&[key("before")]).await);
        return reopened(&Probe::new(fixture.crash(probe.store).await), best).await;
    }

    for level in levels(&*probe.store) {
        expect_poisoned("commit", probe.store.commit(batch(vec![put("after", 1)]).at(level)).await);
    }
    expect_poisoned("a commit of nothing", probe.store.commit(batch(Vec::new())).await);
    expect_poisoned("get", probe.store.get(&[key("before")]).await);
    expect_poisoned("scan", probe.store.scan(&Key::all(HERE), None, 9).await);
    expect_poisoned("read", probe.store.read(&log("before"), Seq::FIRST, 9).await);
    expect_poisoned("logs", probe.store.logs(&Log::all(HERE), None, 9).await);
    expect_poisoned("partitions", probe.store.partitions().await);

    reopened(&Probe::new(fixture.crash(probe.store).await), best).await;
}

/// Commits until one fails: a store that does not give `Disk` syncs when it has to, and not for each commit.
async fn commit_that_syncs(probe: &Probe, best: Durability) -> Answer {
    let large = Then::Put(key("during"), vec![1; 50_000].into());
    let tries = if best < Durability::Disk { 100 } else { 1 };
    for _ in 1..tries {
        probe.store.commit(batch(vec![large.clone()]).at(best)).await?;
    }
    probe.store.commit(batch(vec![large]).at(best)).await
}

async fn reopened(probe: &Probe, best: Durability) {
    assert_eq!(probe.value("before").await.as_deref(), Some("1"), "committed before the fault");
    assert_eq!(probe.entries("before").await, ["1"], "committed before the fault");
    assert_eq!(probe.cell("after").await, None, "refused after the fault");
    let answer: Answer = probe.store.commit(batch(vec![put("reopened", 1)]).at(best)).await;
    assert!(answer.is_ok(), "a reopened store works: {answer:?}");
}

#[track_caller]
fn expect_poisoned<T: std::fmt::Debug>(what: &str, answer: Result<T, StateError>) {
    assert!(matches!(answer, Err(StateError::Poisoned { .. })), "{what} after a failed sync: {answer:?}");
}

#[track_caller]
fn expect_gone<T: std::fmt::Debug>(what: &str, answer: Result<T, StateError>) {
    assert!(matches!(answer, Err(StateError::Unavailable { .. })), "{what} after a failed sync: {answer:?}");
}
