//! A run goes on with the version of its kind with which it began, and waits visibly where another one is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_traits::agent::{Agent, AgentKind, SpecError};
use runtime_traits::log::{EntryKind, FailureKind, Outcome, Phase, RunView, WaitOn};
use runtime_traits::runtime::{
    CancelReceipt, Decision, Joined, RunFilter, RunRequest, Runtime, SessionPolicy, StreamItem,
};
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, AgentSpec, Name, RunId};

use super::house::{House, ScriptedKind, World, output, submit, until_phase};

const LONG: Duration = Duration::from_secs(10);
const WORDS: &str = "version 1 of its kind, with which it began; version 2 is here";

/// [`ScriptedKind`] in its second version.
#[derive(Debug)]
struct Second(ScriptedKind);

impl AgentKind for Second {
    fn name(&self) -> Name {
        self.0.name()
    }

    fn version(&self) -> u32 {
        2
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.0.check(spec)
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.0.build(spec)
    }
}

fn second(world: &Arc<World>) -> Arc<Second> {
    Arc::new(Second(ScriptedKind(Arc::clone(world))))
}

/// A process that has the second version only.
async fn open_second(house: &House) -> RuntimeManager {
    house.builder().kind(second(&house.world)).open().await.expect("the store opens")
}

/// Waits until a run waits for version 1.
async fn until_version(runtime: &RuntimeManager, run: RunId) -> RunView {
    let waits = async {
        loop {
            let status = runtime.run_status(&run).await.expect("the run is known");
            if status.waits.iter().any(|wait| wait.on == WaitOn::CodeVersion(1)) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waits).await.expect("it waits for version 1")
}

/// A run whose process dies in the middle, under version 1; then version 2 opens the store.
async fn interrupted(house: &House, script: &str) -> (RuntimeManager, AgentId, RunId) {
    let (first, agent) = house.with_agent().await;
    let run = submit(&first, agent, script).await;
    house.world.began("gate").await;
    (open_second(house).await, agent, run)
}

#[tokio::test]
async fn a_run_waits_under_another_version_and_goes_on_under_its_own() {
    let house = House::new();
    let (second, agent, run) = interrupted(&house, "once:a held:gate once:b").await;
    let waiting = second.run_status(&run).await.unwrap();
    let request = RunRequest::new("next").when_busy(SessionPolicy::Enqueue);
    let next = second.submit(&agent.into(), request).await.unwrap().run;
    // Another process of the wrong version changes nothing about it.
    let again = open_second(&house).await.run_status(&run).await.unwrap();

    let first = house.open().await;
    house.world.open("gate");
    house.world.open("gate");

    assert_eq!(waiting.phase, Phase::Parked);
    assert_eq!(
        waiting.waits.iter().map(|wait| wait.on.clone()).collect::<Vec<_>>(),
        [WaitOn::CodeVersion(1)]
    );
    assert_eq!((again.entries, again.attempt), (waiting.entries, 1));
    assert_eq!(output(&first, run).await, "a! gate! b!");
    assert_eq!((house.world.times("a"), house.world.times("b")), (1, 1));
    assert_eq!(first.run_status(&run).await.unwrap().waits, []);
    assert_eq!(output(&first, next).await, "next", "the session is free again");
}

#[tokio::test]
async fn a_run_that_waits_for_a_version_is_shown_with_both_versions() {
    let house = House::new();
    let (second, agent, run) = interrupted(&house, "held:gate").await;

    let listed = second.runs(RunFilter { open: true, ..RunFilter::default() }).await.unwrap().items;
    let status = second.run_status(&run).await.unwrap();
    let Joined::Open(joined) = second.join(&run, Duration::ZERO).await.unwrap() else { panic!("it is over") };
    let refused = second.run_agent(agent, "next").await.unwrap_err();

    for view in [&listed[0], &status, &*joined] {
        assert_eq!(view.waits[0].note.as_deref(), Some(WORDS));
    }
    assert_eq!(refused.code(), "session-busy");
    assert!(refused.to_string().contains(WORDS), "{refused}");
}

#[tokio::test]
async fn a_run_that_waits_for_a_version_is_ended_by_cancel_by_a_verdict_and_by_its_deadline() {
    let house = House::new();
    let (second, _, run) = interrupted(&house, "held:gate").await;
    let receipt = second.cancel(&run, "never mind", LONG).await.unwrap();
    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");

    let house = House::new();
    let (second, agent, run) = interrupted(&house, "held:gate").await;
    let step = "gate".parse().unwrap();
    let repeat = second.decide(&run, &step, Decision::Repeat).await.unwrap_err();
    second.decide(&run, &step, Decision::Fail).await.unwrap();
    let Some(Outcome::Failed(failure)) = second.run_status(&run).await.unwrap().outcome else {
        panic!("it has not failed")
    };
    assert_eq!(repeat.code(), "nothing-to-decide", "no verdict lets it go on with other code");
    assert_eq!(failure.kind, FailureKind::Decided);
    assert_eq!(second.run_agent(agent, "next").await.unwrap().output.to_string(), "next");

    let house = House::new();
    let (first, agent) = house.with_agent().await;
    let request = RunRequest::new("held:gate").within(Duration::from_millis(200));
    let run = first.submit(&agent.into(), request).await.unwrap().run;
    house.world.began("gate").await;
    let second = open_second(&house).await;
    let Joined::Ended(finished) = second.join(&run, LONG).await.unwrap() else { panic!("it waits on") };
    assert_eq!(finished.failure().unwrap().kind, FailureKind::Deadline);
}

#[tokio::test]
async fn a_run_that_had_not_begun_begins_on_the_version_that_is_there() {
    let house = House::new();
    let (second, agent, run) = interrupted(&house, "held:gate").await;
    let request = RunRequest::new("once:a").when_busy(SessionPolicy::Enqueue);
    let queued = second.submit(&agent.into(), request).await.unwrap().run;

    let third = open_second(&house).await;
    third.cancel(&run, "in the way", LONG).await.unwrap();

    assert_eq!(output(&third, queued).await, "a!");
    let entries =
        third.stream(&queued, Seq::FIRST).await.unwrap().map(Result::unwrap).collect::<Vec<_>>().await;
    let begun = entries.iter().find_map(|item| match item {
        StreamItem::Entry { entry, .. } => match &entry.kind {
            EntryKind::Started(started) => Some(started.kind_version),
            _ => None,
        },
        StreamItem::Preview { .. } | StreamItem::Retracted { .. } => None,
    });
    assert_eq!(begun, Some(2));
}

#[tokio::test]
async fn a_parked_run_waits_for_its_version_when_its_time_has_come() {
    let house = House::new();
    let (first, agent) = house.with_agent().await;
    let run = submit(&first, agent, "once:a sleep:150 once:b").await;
    until_phase(&first, run, Phase::Parked).await;

    let second = open_second(&house).await;
    let status = until_version(&second, run).await;
    let meanwhile = house.world.times("b");
    second.register_kind(Arc::new(ScriptedKind(Arc::clone(&house.world))));
    second.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();

    assert_eq!((status.phase, meanwhile), (Phase::Parked, 0));
    assert_eq!(output(&second, run).await, "a! b!", "its version was registered in the same process");
}

#[tokio::test]
async fn a_begin_that_was_promised_on_a_version_is_kept_on_that_version() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "held:gate").await;
    house.world.began("gate").await;
    let next = submit(&runtime, agent, "once:a").await;
    // The declaration of the next run is the older one: it is built anew, by what is hosted then.
    runtime.register_spec(AgentSpec::new("scripted", "a").unwrap().described("new")).await.unwrap();
    runtime.register_kind(second(&house.world));

    house.world.open("gate");
    output(&runtime, first).await;
    until_version(&runtime, next).await;

    assert_eq!(house.world.times("a"), 0);
}
