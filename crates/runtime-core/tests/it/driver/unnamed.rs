//! When contents go that nothing names, and what keeps them until then.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use runtime_codec::file::FileWriter;
use runtime_codec::{ContentRef, Kept, Manifest, encode};
use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::ReadFault;
use runtime_testkit::recount::cells;
use runtime_traits::content::Digest;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, ForkRequest, Runtime, RuntimeError};
use runtime_traits::snapshot::{Retention, SnapshotFile};
use runtime_traits::store::Then;
use runtime_traits::{AgentId, Tenant, UnixMillis};
use tokio::sync::oneshot;

use super::house::{meddle, output, submit};
use super::restoring::Held;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Held {
    /// The contents of a partition.
    async fn contents(&self, partition: Partition) -> BTreeSet<Digest> {
        let cells = cells(self.house.store.as_ref(), partition).await;
        cells.iter().filter_map(|(key, _)| keys::of_mark(key)).map(|(_, hash)| hash).collect()
    }

    /// When contents without names are looked for next.
    async fn next_look(&self, partition: Partition) -> UnixMillis {
        let cells = cells(self.house.store.as_ref(), partition).await;
        let looks = cells.iter().filter(|(key, _)| key.path.to_string().contains("/contents/"));
        looks.filter_map(|(key, _)| keys::due_at(key)).min().unwrap()
    }

    async fn delete(&self, runtime: &RuntimeManager, agent: AgentId) {
        runtime.stop_agent(agent).await.unwrap();
        runtime.unregister(&AgentRef::Id(agent)).await.unwrap();
    }

    /// Holds the answer of whoever looks for marks, or whatever else under this path.
    fn hold_scans(&self, under: runtime_traits::store::Key) {
        self.store.decide_scans_by(
            move |of| {
                if *of == under { ReadFault::HoldAnswer } else { ReadFault::Pass }
            },
        );
    }

    fn let_go(&self) {
        self.store.decide_scans_by(|_| ReadFault::Pass);
        self.store.release_read();
    }
}

/// What becomes of a call within a minute.
async fn in_time<T>(call: impl Future<Output = Result<T, RuntimeError>>) -> &'static str {
    match tokio::time::timeout(Duration::from_secs(60), call).await {
        Ok(Ok(_)) => "done",
        Ok(Err(error)) => error.code(),
        Err(_) => "still at it",
    }
}

/// The begin of a snapshot file, for a partition. It ends there, once the other end of the channel is gone.
pub(crate) fn slow_file(partition: Partition, ended: oneshot::Receiver<()>) -> SnapshotFile {
    let manifest = Manifest {
        agent: AgentId::from_parts(partition, uuid::Uuid::nil()),
        revision: 1,
        spec: String::new(),
        kind_version: 1,
        at: UnixMillis(1),
        sessions: 0,
        messages: 0,
        bytes: 0,
        kept: Kept::List(ContentRef { hash: Digest::of(b""), len: 0 }),
    };
    let (mut writer, head) = FileWriter::new();
    let begin = [head, writer.manifest(&encode(&manifest))];
    Box::pin(stream::iter(begin.map(Ok)).chain(stream::once(ended).filter_map(async |_| None)))
}

#[tokio::test(start_paused = true)]
async fn a_content_that_nothing_names_stays_for_a_day_after_it_was_last_asked_for() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    let partition = agent.partition();
    runtime.run_agent(agent, "big:50000").await.unwrap();
    let old = held.contents(partition).await;
    let look = held.next_look(partition).await;
    held.clock.advance_to(UnixMillis(look.0 - HOUR.as_millis() as u64));
    runtime.run_agent(agent, "big:60000").await.unwrap();
    held.delete(&runtime, agent).await;
    let both = held.contents(partition).await;
    assert_eq!((old.len(), both.len()), (1, 2));

    held.pass(2 * HOUR).await;
    let left = held.contents(partition).await;
    assert_eq!(
        left,
        both.difference(&old).copied().collect(),
        "an hour ago somebody asked for the other one"
    );

    held.pass(2 * DAY).await;
    assert!(held.contents(partition).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_content_that_is_asked_for_while_names_are_looked_for_stays() {
    let held = Held::new();
    let runtime = held.open().await;
    let a = held.agent(&runtime, "a").await;
    let partition = a.partition();
    runtime.run_agent(a, "big:50000").await.unwrap();
    let mut nth = 0;
    let b = loop {
        nth += 1;
        let b = held.agent(&runtime, &format!("b{nth}")).await;
        if b.partition() == partition {
            break b;
        }
    };
    held.delete(&runtime, a).await;
    // Logs and messages have been read when states are.
    held.hold_scans(keys::all_sessions(partition, &Tenant::default()));
    held.clock.advance(2 * DAY);
    held.store.until_read_held().await;

    let run = submit(&runtime, b, "big:50000").await;
    assert_eq!(output(&runtime, run).await.len(), 50_000);
    held.let_go();
    held.pass(Duration::ZERO).await;

    assert_eq!(held.contents(partition).await.len(), 1);
    assert_eq!(output(&runtime, run).await.len(), 50_000, "it is whole");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_names_in_hand_waits_for_who_looks_for_them() {
    let held = Held::new();
    let runtime = held.open().await;
    let (agent, other) = (held.agent(&runtime, "a").await, held.agent(&runtime, "other").await);
    let partition = agent.partition();
    let run = submit(&runtime, agent, "big:50000").await;
    output(&runtime, run).await;
    let state = runtime.save_state(agent).await.unwrap();
    let a = AgentRef::Id(agent);
    held.clock.advance(2 * DAY);
    held.hold_scans(keys::marks_all(partition, &Tenant::default()));
    held.store.until_read_held().await;

    let (_end, ended) = oneshot::channel();
    let mut told = vec![
        ("save", in_time(runtime.save_state(agent)).await),
        ("fork", in_time(runtime.fork(&run, ForkRequest::default())).await),
        ("restore", in_time(runtime.restore_agent(&state)).await),
        ("delete_snapshot", in_time(runtime.delete_snapshot(&state)).await),
        ("retain", in_time(runtime.retain_snapshots(&a, Retention::default())).await),
        ("import", in_time(runtime.import_snapshot(slow_file(partition, ended))).await),
    ];
    runtime.stop_agent(agent).await.unwrap();
    told.push(("restore_in_place", in_time(runtime.restore_in_place(&state, &a)).await));
    told.push(("unregister", in_time(runtime.unregister(&a)).await));
    // A crash may have left something of putting it back.
    let left = keys::restoring(&agent);
    meddle(held.house.store.as_ref(), 1, Then::Put(left.clone(), "half".into())).await;
    told.push(("start", in_time(runtime.start_agent(agent)).await));
    meddle(held.house.store.as_ref(), 2, Then::Delete(left)).await;
    for (what, told) in told {
        assert_eq!(told, "busy", "{what}");
    }
    // Whatever names contents anew needs not wait.
    held.agent(&runtime, "third").await;
    let run = submit(&runtime, other, "big:60000").await;
    output(&runtime, run).await;

    held.let_go();
    runtime.unregister(&a).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_for_names_while_somebody_has_some_in_hand() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    let partition = agent.partition();
    runtime.run_agent(agent, "big:50000").await.unwrap();
    held.delete(&runtime, agent).await;

    let (end, ended) = oneshot::channel();
    let (imported, ()) = tokio::join!(runtime.import_snapshot(slow_file(partition, ended)), async {
        for _ in 0..3 {
            held.pass(DAY).await;
        }
        assert_eq!(held.contents(partition).await.len(), 1, "it may be one of those that the file names");
        drop(end);
    });
    assert_eq!(imported.unwrap_err().code(), "bad-snapshot-file");

    held.pass(DAY).await;
    assert!(held.contents(partition).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_log_is_let_go_while_names_are_looked_for() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    let run = submit(&runtime, agent, "big:50000").await;
    output(&runtime, run).await;
    let is_swept = async || Runtime::run_status(&runtime, &run).await.unwrap().swept_at.is_some();
    held.clock.advance(2 * DAY);
    held.hold_scans(keys::marks_all(agent.partition(), &Tenant::default()));
    held.store.until_read_held().await;

    held.pass(30 * DAY).await;
    assert!(!is_swept().await);

    held.let_go();
    held.pass(Duration::ZERO).await;
    assert!(is_swept().await);
}

#[tokio::test(start_paused = true)]
async fn no_run_is_let_go_for_its_number_while_names_are_looked_for() {
    let held = Held::new();
    let runtime = held.house.builder().configure(|config| config.max_ended = Some(3)).open().await.unwrap();
    let agent = held.agent(&runtime, "a").await;
    runtime.run_agent(agent, "big:50000").await.unwrap();
    let ended = async || {
        let under = keys::ended_all(&Tenant::default(), &agent);
        held.house.store.scan(&under, None, 2_000).await.unwrap().len()
    };
    held.clock.advance(2 * DAY);
    held.hold_scans(keys::marks_all(agent.partition(), &Tenant::default()));
    held.store.until_read_held().await;

    for _ in 0..1_030 {
        runtime.run_agent(agent, "x").await.unwrap();
    }
    held.pass(Duration::ZERO).await;
    assert_eq!(ended().await, 1_031);

    held.let_go();
    held.pass(Duration::ZERO).await;
    assert!(ended().await < 100);
}
