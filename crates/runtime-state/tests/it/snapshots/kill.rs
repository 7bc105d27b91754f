//! The process dies before, or right after, each commit: what it leaves is the old, the new, or is completed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime_state::MemoryStore;
use runtime_testkit::fakes::{Fault, FaultyStore};
use runtime_testkit::suites::snapshots::Bench;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::store::StateStore;

use super::over;

/// What is done until the process dies.
enum Work {
    Save,
    PutBack,
    Import(Vec<u8>),
    Delete,
}

/// A store on which everything fails from its `nth` commit on. `landed`: that one was applied, and nobody knows.
fn dying(inner: &Arc<dyn StateStore>, nth: usize, landed: bool) -> Arc<dyn StateStore> {
    let commits = AtomicUsize::new(0);
    Arc::new(FaultyStore::new(Arc::clone(inner), move |_| match commits.fetch_add(1, Ordering::SeqCst) {
        now if now < nth => Fault::Pass,
        now if now == nth && landed => Fault::UnknownAfter,
        _ => Fault::Unavailable,
    }))
}

/// An agent that was saved, and has gone on: with copies to make, since its log was trimmed.
async fn scene() -> (Arc<dyn StateStore>, Bench, AgentId, StateId) {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let bench = over(Arc::clone(&store));
    let agent = bench.agent("scribe", 3).await;
    for session in ["a", "b", "c"] {
        bench.say(&agent, session, &["one", "two", "three"]).await;
        bench.set(&agent, session, &Content::text("early")).await;
    }
    let state = bench.save(&agent).await;
    for session in ["a", "b", "d"] {
        bench.say(&agent, session, &["four"]).await;
        bench.set(&agent, session, &Content::text("late")).await;
    }
    bench.trim(&agent, "a", 3).await;
    (store, bench, agent, state)
}

/// Does the work on a dying store. Whether it came to its end.
async fn attempt(store: &Arc<dyn StateStore>, agent: &AgentId, state: &StateId, work: &Work) -> bool {
    let bench = over(Arc::clone(store));
    // Ids that the first bench has not drawn.
    for _ in 0..10_000 {
        bench.unique();
    }
    match work {
        Work::Save => {
            let save = runtime_traits::snapshot::Save {
                agent: *agent,
                kind_version: 1,
                state: bench.state_of(agent),
                at: UnixMillis(7),
            };
            bench.snapshots.save(&bench.tenant, save, &bench.owner).await.is_ok()
        }
        Work::PutBack => {
            bench.snapshots.put_back(&bench.tenant, state, agent, UnixMillis(7), &bench.owner).await.is_ok()
        }
        Work::Import(file) => bench.import(file, 500).await.is_ok(),
        Work::Delete => bench.snapshots.delete(&bench.tenant, state, &bench.owner).await.is_ok(),
    }
}

#[tokio::test]
async fn an_agent_that_was_being_put_back_is_as_before_or_is_completed() {
    let (mut olds, mut completed) = (0, 0);
    for nth in 0.. {
        let mut is_done = false;
        for landed in [false, true] {
            let (store, bench, agent, state) = scene().await;
            let before = bench.memory(&agent).await;
            is_done = attempt(&dying(&store, nth, landed), &agent, &state, &Work::PutBack).await;

            // The next process, before the agent starts.
            let next = over(Arc::clone(&store));
            let went_on = next.snapshots.finish(&next.tenant, &agent, &next.owner).await.unwrap();
            let after = bench.memory(&agent).await;
            if after == before {
                assert!(!went_on && !is_done, "commit {nth}");
                olds += 1;
            } else {
                let names: Vec<&str> = after.iter().map(|(name, ..)| name.as_str()).collect();
                assert_eq!(names, ["a", "b", "c"], "commit {nth}");
                for (_, said, kept) in &after {
                    assert_eq!(said[..], ["one", "two", "three"], "commit {nth}");
                    assert_eq!(kept.as_deref(), Some("early"), "commit {nth}");
                }
                completed += usize::from(went_on);
            }
            assert!(!next.snapshots.finish(&next.tenant, &agent, &next.owner).await.unwrap());
        }
        if is_done {
            break;
        }
    }
    assert!(olds >= 1 && completed >= 4, "{olds} {completed}: it was cut off in all sorts of places");
}

#[tokio::test]
async fn a_save_an_import_and_a_deletion_are_there_or_not() {
    let (_, bench, _, state) = scene().await;
    let file = bench.export(&state).await;
    for (work, from, to) in [(Work::Save, 1, 2), (Work::Import(file), 1, 2), (Work::Delete, 1, 0)] {
        let mut cut_off = 0;
        for nth in 0.. {
            let mut is_done = false;
            for landed in [false, true] {
                let (store, bench, agent, state) = scene().await;
                let memory = bench.memory(&agent).await;
                is_done = attempt(&dying(&store, nth, landed), &agent, &state, &work).await;
                let count = bench.count().await;
                assert!(count == from || count == to, "{count} snapshots after commit {nth}");
                assert!(!is_done || count == to);
                cut_off += usize::from(!is_done);
                // Each of them can be read, and the agent goes on and can be saved.
                for info in bench.snapshots.list(&bench.tenant, None, None, 10).await.unwrap() {
                    bench.export(&info.state).await;
                }
                assert_eq!(bench.memory(&agent).await, memory);
                bench.save(&agent).await;
            }
            if is_done {
                break;
            }
        }
        assert!(cut_off >= 2, "it was cut off {cut_off} times");
    }
}
