//! Logs of runs that were over for long are let go, and a stub of each stays.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock, MapStore};
use runtime_testkit::recount::{cells, counted, logs, recount};
use runtime_traits::log::{Outcome, Phase};
use runtime_traits::runtime::{
    AgentRef, CancelReceipt, ForkRequest, Joined, RunFilter, RunRequest, Runtime, RuntimeError,
};
use runtime_traits::store::{Batch, Seq, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, IdempotencyKey, RunId};

use super::house::{House, output, submit};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONG: Duration = Duration::from_secs(20);

/// A house whose time a test turns on.
pub(crate) struct Years {
    pub(crate) house: House,
    pub(crate) clock: Arc<ManualClock>,
}

impl Years {
    pub(crate) fn over(store: Arc<dyn StateStore>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let house = House { clock: Some(Arc::clone(&clock) as _), ..House::over(store) };
        Self { house, clock }
    }

    pub(crate) async fn begin(&self) -> (RuntimeManager, AgentId) {
        self.house.with_agent().await
    }

    /// A runtime that has done what fell due when it was opened.
    pub(crate) async fn later(&self, by: Duration) -> RuntimeManager {
        self.clock.advance(by);
        self.open_and_do_what_is_due().await
    }

    pub(crate) async fn open_and_do_what_is_due(&self) -> RuntimeManager {
        let runtime = self.house.open().await;
        let done = async {
            while self.due().await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, done).await.expect("what is due is done");
        runtime
    }

    /// How many sweeps are due.
    pub(crate) async fn due(&self) -> usize {
        use runtime_traits::clock::Clock;
        let mut due = 0;
        for partition in self.house.store.partitions().await.unwrap() {
            let cells = cells(self.house.store.as_ref(), partition).await;
            due += cells
                .iter()
                .filter(|(key, _)| {
                    let path = String::from_utf8_lossy(key.path.as_bytes()).into_owned();
                    let at = runtime_codec::keys::due_at(key);
                    path.contains("/sweep/") && at.is_some_and(|at| at <= self.clock.now())
                })
                .count();
        }
        due
    }

    pub(crate) async fn has_log(&self, run: RunId) -> bool {
        let logs = logs(self.house.store.as_ref(), run.partition()).await;
        let log = runtime_codec::keys::run_log(&run);
        logs.iter().any(|extent| extent.log == log && extent.first < extent.next)
    }
}

#[tokio::test]
async fn a_swept_run_says_how_it_ended_and_that_its_log_is_gone() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let good = submit(&runtime, agent, "pure:x used:7 said").await;
    output(&runtime, good).await;
    let bad = submit(&runtime, agent, "fail:badly").await;
    runtime.join(&bad, LONG).await.unwrap();
    let continued = submit(&runtime, agent, "go-on:last").await;
    let Joined::Ended(ended) = runtime.join(&continued, LONG).await.unwrap() else { panic!("it is over") };
    let before = Runtime::run_status(&runtime, &good).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();

    let runtime = years.later(29 * DAY).await;
    assert!(Runtime::run_status(&runtime, &good).await.unwrap().swept_at.is_none(), "not yet");
    runtime.shutdown(LONG).await.unwrap();
    let runtime = years.later(2 * DAY).await;

    assert!(!years.has_log(good).await && !years.has_log(bad).await);
    let view = Runtime::run_status(&runtime, &good).await.unwrap();
    assert!(view.swept_at.is_some());
    assert_eq!(
        (view.phase, view.accepted_at, view.last_at, view.usage, view.entries, view.attempt),
        (Phase::Ended, before.accepted_at, before.last_at, before.usage, before.entries, 1)
    );
    let listed = runtime.runs(RunFilter::default()).await.unwrap().items;
    assert_eq!(listed.len(), 4, "with the one that went on");
    assert!(listed.iter().all(|run| run.swept_at.is_some() && run.outcome.is_some()));

    let swept = |error: &RuntimeError| matches!(error, RuntimeError::RunSwept(log) if log.run == good);
    let told = runtime.join(&good, LONG).await.unwrap_err();
    assert!(swept(&told), "{told}");
    assert!(
        told.to_string().contains("completed on 2027-01-15, and its log was swept on 2027-02-15"),
        "{told}"
    );
    assert!(swept(&runtime.stream(&good, Seq::FIRST).await.err().unwrap()));
    assert!(swept(&runtime.fork(&good, ForkRequest::default()).await.unwrap_err()));
    let step = "x".parse().unwrap();
    assert!(swept(&runtime.decide(&good, &step, runtime_traits::runtime::Decision::Fail).await.unwrap_err()));
    let cancelled = runtime.cancel(&good, "late", LONG).await.unwrap();
    assert!(matches!(cancelled, CancelReceipt::AlreadyEnded(Outcome::Completed(_))));
    // What does not need the log is answered.
    let Joined::Ended(failed) = runtime.join(&bad, LONG).await.unwrap() else { panic!("it is over") };
    assert!(failed.failure().is_some());
    let Joined::Ended(went_on) = runtime.join(&continued, LONG).await.unwrap() else { panic!("it is over") };
    assert_eq!(went_on.outcome, ended.outcome);
    // The conversation is as it was, and goes on.
    let said = runtime.messages(&AgentRef::Id(agent), &Default::default(), None, 0).await.unwrap().items;
    assert!(said.iter().any(|said| said.content.to_string().ends_with("said")));
    runtime.start_agent(agent).await.unwrap();
    let next = submit(&runtime, agent, "next").await;
    assert_eq!(output(&runtime, next).await, "next");
    assert_eq!(counted(years.house.store.as_ref()).await, recount(years.house.store.as_ref()).await);
}

#[tokio::test]
async fn a_long_log_is_let_go_in_pieces_and_a_crash_between_any_two_leaves_nothing_half() {
    let mut cut = 0;
    loop {
        let store = Arc::new(MapStore::new());
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&store) as _, |_| Fault::Pass));
        let years = Years::over(Arc::clone(&faulty) as _);
        let (runtime, agent) = years.begin().await;
        let long = (0..700).map(|n| format!("pure:x{n}")).collect::<Vec<_>>().join(" ");
        let run = submit(&runtime, agent, &long).await;
        output(&runtime, run).await;
        runtime.shutdown(LONG).await.unwrap();

        // From this batch of the sweep on, the process writes nothing more.
        let seen = Arc::new(AtomicUsize::new(0));
        let of_sweep = Arc::clone(&seen);
        faulty.decide_by(move |batch: &Batch| {
            let sweeps = batch.then.iter().any(|then| matches!(then, Then::Trim(..) | Then::Drop(_)));
            let nth = if sweeps { of_sweep.fetch_add(1, Ordering::SeqCst) } else { 0 };
            if sweeps && nth >= cut { Fault::Unavailable } else { Fault::Pass }
        });
        years.clock.advance(31 * DAY);
        let runtime = years.house.open().await;
        let stopped = async {
            while seen.load(Ordering::SeqCst) <= cut && years.due().await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, stopped).await.expect("the sweep comes that far");
        let was_cut = seen.load(Ordering::SeqCst) > cut;
        drop(runtime);

        // What is left says either all or that it was swept, and is counted.
        faulty.decide_by(|_| Fault::Pass);
        let rest = Arc::new(store.crash());
        let after = Years {
            house: House { store: Arc::clone(&rest) as _, ..House::new() },
            clock: Arc::clone(&years.clock),
        };
        let at_rest = after.house.builder().clock(Arc::clone(&after.clock) as _);
        let at_rest = at_rest.configure(|config| config.keep_runs = None).open().await.unwrap();
        match Runtime::run_status(&at_rest, &run).await.unwrap() {
            view if view.swept_at.is_none() => {
                let items: Vec<_> = at_rest.stream(&run, Seq::FIRST).await.unwrap().collect().await;
                assert!(items.len() as u64 >= view.entries && items.iter().all(Result::is_ok));
            }
            view => assert_eq!(view.phase, Phase::Ended),
        }
        drop(at_rest);
        let again = after.open_and_do_what_is_due_with(Arc::clone(&after.clock)).await;
        assert!(!after.has_log(run).await);
        assert!(Runtime::run_status(&again, &run).await.unwrap().swept_at.is_some());
        assert_eq!(counted(rest.as_ref()).await, recount(rest.as_ref()).await, "cut at {cut}");
        if !was_cut {
            assert!(cut >= 2, "the log went in {cut} pieces");
            return;
        }
        cut += 1;
    }
}

impl Years {
    async fn open_and_do_what_is_due_with(&self, clock: Arc<ManualClock>) -> RuntimeManager {
        let runtime = self.house.builder().clock(clock as _).open().await.unwrap();
        let done = async {
            while self.due().await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, done).await.expect("what is due is done");
        runtime
    }
}

#[tokio::test]
async fn a_key_finds_its_run_as_long_as_it_is_kept_however_short_logs_are() {
    let years = Years::over(Arc::new(MapStore::new()));
    let short = |years: &Years| years.house.builder().configure(|config| config.keep_runs = Some(DAY / 24));
    let runtime = short(&years).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let request = RunRequest::new("pure:x").with_key(IdempotencyKey::new("k").unwrap());
    let run = runtime.submit(&agent.into(), request.clone()).await.unwrap().run;
    output(&runtime, run).await;
    runtime.shutdown(LONG).await.unwrap();

    years.clock.advance(DAY / 2);
    let runtime = short(&years).open().await.unwrap();
    let again = runtime.submit(&agent.into(), request.clone()).await.unwrap();
    assert_eq!((again.run, again.repeated), (run, true));
    assert_eq!(output(&runtime, run).await, "x!");
    runtime.shutdown(LONG).await.unwrap();

    let runtime = years.later(DAY).await;
    assert!(Runtime::run_status(&runtime, &run).await.unwrap().swept_at.is_some());
    assert_ne!(runtime.submit(&agent.into(), request).await.unwrap().run, run, "the key is free");
}

#[tokio::test]
async fn logs_are_kept_for_ever_where_somebody_wants_that() {
    let years = Years::over(Arc::new(MapStore::new()));
    let runtime = years.house.builder().configure(|config| config.keep_runs = None).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "kept").await;
    output(&runtime, run).await;
    runtime.shutdown(LONG).await.unwrap();

    let runtime = years.later(1_000 * DAY).await;

    assert_eq!(output(&runtime, run).await, "kept");
}
