//! What is damaged in a log or in one snapshot is in nobody else's way.

use std::sync::Arc;

use runtime_codec::keys;
use runtime_state::MemoryStore;
use runtime_traits::clock::UnixMillis;
use runtime_traits::name::SessionName;
use runtime_traits::store::{Seq, StateStore};

use super::over;
use crate::harmed::{Harm, Harmed};

#[tokio::test]
async fn a_damaged_message_comes_back_from_the_snapshot() {
    // Another message stands under the number, as after a repair; or none can be read.
    for harm in [Harm::Cut, Harm::Unreadable] {
        for damaged in 1..=3 {
            let inner: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
            let bench = over(Arc::clone(&inner));
            let agent = bench.agent("scribe", 3).await;
            bench.say(&agent, "talk", &["one", "two", "three"]).await;
            let state = bench.save(&agent).await;
            let log = keys::messages(&bench.tenant, &agent, &SessionName::new("talk").unwrap());
            let mut harmed = Harmed::over(Arc::clone(&inner));
            harmed.entries.insert((log.clone(), Seq(damaged)), harm);
            let harmed = over(Arc::new(harmed));

            let put = harmed.snapshots.put_back(&bench.tenant, &state, &agent, UnixMillis(7), &harmed.owner);
            put.await.unwrap();

            assert!(!harmed.snapshots.finish(&bench.tenant, &agent, &harmed.owner).await.unwrap());
            assert_eq!(inner.read(&log, Seq::FIRST, 0).await.unwrap().next, Seq(7), "they are copied");
            let reads = if harm == Harm::Cut { &harmed } else { &bench };
            let said = reads.memory(&agent).await.remove(0).1;
            assert_eq!(said, ["one", "two", "three"], "message {damaged}, {harm:?}");
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_log_is_not_copied() {
    let bench = super::bench();
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "talk", &["one", "two", "three"]).await;
    let state = bench.save(&agent).await;
    bench.say(&agent, "talk", &["four"]).await;

    bench.snapshots.put_back(&bench.tenant, &state, &agent, UnixMillis(7), &bench.owner).await.unwrap();

    let log = keys::messages(&bench.tenant, &agent, &SessionName::new("talk").unwrap());
    assert_eq!(bench.store.read(&log, Seq::FIRST, 0).await.unwrap().next, Seq(5));
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_hides_no_other_one_and_can_be_deleted() {
    for harm in [Harm::Cut, Harm::Unreadable] {
        for damaged in 0..3 {
            let inner: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
            let bench = over(Arc::clone(&inner));
            let agent = bench.agent("scribe", 3).await;
            bench.say(&agent, "talk", &["one"]).await;
            let mut states = Vec::new();
            for _ in 0..3 {
                states.push(bench.save(&agent).await);
            }
            let mut harmed = Harmed::over(Arc::clone(&inner));
            harmed.cells.insert(keys::snapshot(&bench.tenant, &states[damaged]), harm);
            let harmed = over(Arc::new(harmed));

            let listed = harmed.snapshots.list(&bench.tenant, Some(&agent), None, 10).await.unwrap();
            let lost = states.remove(damaged);
            let listed: Vec<_> = listed.into_iter().map(|info| info.state).collect();
            assert_eq!(listed, states, "{harm:?}");

            let deleted = harmed.snapshots.delete(&bench.tenant, &lost, &harmed.owner).await;
            // Nobody deletes what the store does not show: it may be another one.
            assert_eq!(deleted.is_ok(), harm == Harm::Cut, "{deleted:?}");
            assert_eq!(bench.count().await, if harm == Harm::Cut { 2 } else { 3 });
        }
    }
}
