//! What a sweep does not recognise is kept, and told.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{Due, encode};
use runtime_core::engine::keys;
use runtime_testkit::fakes::MapStore;
use runtime_testkit::recount::{cells, entries, logs};
use runtime_traits::runtime::{Runtime, RuntimeError};
use runtime_traits::store::{Key, Seq, StateStore, Then};
use runtime_traits::{AgentId, RunId, SessionName, Tenant};

use super::house::{House, meddle, output, submit};
use super::swept::Years;
use super::warnings::Warnings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONG: Duration = Duration::from_secs(10);

/// Where an entry says whether a reader may pass over what it does not know.
const FLAGS: usize = 4;

/// The same store, except for one byte of an entry: it can be read, as something that nobody knows.
async fn unrecognised(store: &dyn StateStore, run: &RunId, seq: Seq) -> Arc<MapStore> {
    let (copy, mut nth) = (Arc::new(MapStore::new()), 0);
    let mut write = async |then| {
        nth += 1;
        meddle(copy.as_ref(), nth, then).await;
    };
    for partition in store.partitions().await.unwrap() {
        for (key, value) in cells(store, partition).await {
            write(Then::Put(key, value)).await;
        }
        for extent in logs(store, partition).await {
            let damaged = extent.log == keys::run_log(run);
            for (at, bytes) in entries(store, &extent.log).await {
                let mut bytes = bytes.to_vec();
                if damaged && at == seq {
                    bytes[FLAGS] = 0x80;
                }
                write(Then::Append(extent.log.clone(), vec![Bytes::from(bytes)])).await;
            }
        }
    }
    copy
}

/// The cell with which the log of a run falls due.
async fn due_of(store: &dyn StateStore, run: &RunId) -> Option<Key> {
    let cells = cells(store, run.partition()).await;
    let of = format!("/sweep/{}", run.unique().simple());
    cells
        .into_iter()
        .map(|(key, _)| key)
        .find(|key| String::from_utf8_lossy(key.path.as_bytes()).ends_with(&of))
}

/// What is due is done, up to the log of a run that falls due last.
async fn until_gone(years: &Years, last: RunId) {
    let gone = async {
        while years.has_log(last).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("its log is let go");
}

/// Two runs of an agent, of which the log of the second falls due a minute later.
async fn two_runs(years: &Years) -> (AgentId, RunId, RunId) {
    let (runtime, agent) = years.begin().await;
    let mut runs = Vec::new();
    for script in ["pure:x first", "second"] {
        let run = submit(&runtime, agent, script).await;
        output(&runtime, run).await;
        runs.push(run);
        years.clock.advance(Duration::from_secs(60));
    }
    runtime.shutdown(LONG).await.unwrap();
    (agent, runs[0], runs[1])
}

#[tokio::test]
async fn a_run_whose_acceptance_or_end_is_not_recognised_is_not_swept_and_that_is_told() {
    for is_end in [false, true] {
        let warnings = Warnings::begin();
        let years = Years::over(Arc::new(MapStore::new()));
        let (_, run, whole) = two_runs(&years).await;
        let all = entries(years.house.store.as_ref(), &keys::run_log(&run)).await;
        let seq = if is_end { all.last().unwrap().0 } else { Seq::FIRST };
        let store = unrecognised(years.house.store.as_ref(), &run, seq).await;
        let house = House { store: Arc::clone(&store) as _, ..years.house };
        let years = Years { house, ..years };

        years.clock.advance(31 * DAY);
        let runtime = years.house.open().await;
        until_gone(&years, whole).await;

        let left = entries(store.as_ref(), &keys::run_log(&run)).await;
        assert_eq!(left.len(), all.len(), "entry {} is not recognised", seq.0);
        assert!(due_of(store.as_ref(), &run).await.is_some(), "it is still to be done");
        let told = warnings.about("what fell due cannot be done; it stays");
        assert!(told.iter().any(|told| told.contains(&run.to_string())), "{told:?}");
        let asked = Runtime::run_status(&runtime, &run).await;
        if !is_end {
            assert!(matches!(asked, Err(RuntimeError::Damaged { .. })), "it is not unknown: {asked:?}");
        }
    }
}

#[tokio::test]
async fn what_falls_due_and_says_something_else_than_its_path_is_kept() {
    let warnings = Warnings::begin();
    let years = Years::over(Arc::new(MapStore::new()));
    let (agent, run, whole) = two_runs(&years).await;
    let store = Arc::clone(&years.house.store);
    let (tenant, session) = (Tenant::default(), SessionName::default());
    let another = RunId::from_parts(agent.partition(), uuid::Uuid::nil());
    let due = due_of(store.as_ref(), &run).await.unwrap();
    let sweep = Due::Sweep { tenant: tenant.clone(), agent, session, run: another };
    let forget = Due::ForgetKey { cell: tenant.as_str().as_bytes().to_vec() };
    let contents = keys::due(agent.partition(), runtime_traits::UnixMillis(1), &format!("contents/{tenant}"));
    for (key, due, nth) in [(&due, sweep, 1), (&contents, forget, 2)] {
        meddle(store.as_ref(), nth, Then::Put(key.clone(), encode(&due))).await;
    }

    years.clock.advance(31 * DAY);
    let _runtime = years.house.open().await;
    until_gone(&years, whole).await;

    assert!(years.has_log(run).await);
    let both = store.get(&[due, contents]).await.unwrap();
    assert!(both.iter().all(Option::is_some), "{both:?}");
    assert_eq!(warnings.about("it says something else than its path").len(), 2);
}
