//! An attempt that failed is followed by another one, as its agent declares; whatever it had under way, and whatever else happens meanwhile.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::MapStore;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::log::{
    Entry, EntryKind, FailureKind, Outcome, Stopped, UnknownCause, WaitOn, WaitOpened,
};
use runtime_traits::recovery::{
    AgentRecovery, Failure, History, RecoveryPolicy, Remedy, RestartWhen, StallLimits,
};
use runtime_traits::runtime::{Joined, Reply, Runtime, RuntimeError};
use runtime_traits::{AgentId, AgentSpec, Entropy, RunId};

use super::frail::{
    ByTheBook, Frail, builder, failed, log, open, recovers, recovery, spec, submit_in, until,
};
use super::house::{House, output, submit};
use super::metered::Gauge;

const LONG: Duration = Duration::from_secs(100_000);

async fn failure(runtime: &RuntimeManager, run: RunId) -> (FailureKind, String) {
    match runtime.join(&run, LONG).await.unwrap() {
        Joined::Ended(finished) => {
            let failure = finished.failure().unwrap();
            (failure.kind, failure.message.clone())
        }
        Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

/// The output of a run that takes long.
async fn ends(runtime: &RuntimeManager, run: RunId) -> String {
    match runtime.join(&run, LONG).await.unwrap() {
        Joined::Ended(finished) => finished.into_result().unwrap().output.to_string(),
        Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

async fn until_set_aside(runtime: &RuntimeManager, run: RunId) {
    let is_set_aside =
        |view: &runtime_traits::RunView| view.waits.iter().any(|w| matches!(w.on, WaitOn::Operator { .. }));
    until(runtime, run, is_set_aside).await;
}

/// When its attempts began.
fn starts(log: &[Entry]) -> Vec<UnixMillis> {
    log.iter().filter(|entry| matches!(entry.kind, EntryKind::Started(_))).map(|entry| entry.at).collect()
}

/// Until when it pauses, each time.
fn pauses(log: &[Entry]) -> Vec<UnixMillis> {
    let until = log.iter().filter_map(|entry| match &entry.kind {
        EntryKind::WaitOpened(WaitOpened { on: WaitOn::Time(_), wake_at, .. }) => *wake_at,
        _ => None,
    });
    until.collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_goes_on_with_another_attempt_of_an_agent_that_is_built_anew() {
    for verb in ["panics", "fails"] {
        let house = House::new().by_executor();
        let (runtime, agent) = open(&house, recovers()).await;
        let before = runtime.run_agent(agent, "who").await.unwrap().output.to_string();
        let run = submit(&runtime, agent, &format!("settle:x {verb}:2/it who")).await;

        assert_ne!(output(&runtime, run).await, format!("x {before}"), "{verb}");
        let log = log(&runtime, run).await;
        let counted: Vec<bool> = failed(&log).iter().map(|(_, counted)| *counted).collect();
        assert_eq!(counted, [true, true]);
        for (pause, start) in pauses(&log).iter().zip(&starts(&log)[1..]) {
            assert!(start >= pause, "the pause is kept to");
        }
        assert_eq!(pauses(&log).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_recovery_a_failure_is_the_outcome() {
    let never = AgentRecovery { restart: RestartWhen::Never, ..recovery() };
    for declared in [spec(), spec().recovering(never)] {
        let house = House::new().by_executor();
        let (runtime, agent) = open(&house, declared).await;
        let run = submit(&runtime, agent, "panics:1/it").await;
        assert_eq!(failure(&runtime, run).await.0, FailureKind::Panicked);
        assert_eq!(house.world.times("it"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_calls_permanent_is_the_outcome() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "gives-up:9/it").await;

    assert_eq!(failure(&runtime, run).await, (FailureKind::Agent, "for good".to_owned()));
    assert_eq!(house.world.times("it"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_step_came_to_is_recorded_and_no_other_attempt_would_hear_anything_else() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "within:5/").await;

    assert!(failure(&runtime, run).await.1.contains("its deadline passed"));
    assert!(failed(&log(&runtime, run).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_third_failed_start_without_progress_waits_for_a_person_and_counts_anew_after_that() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "settle:x panics:5/it y").await;
    until_set_aside(&runtime, run).await;
    assert_eq!(house.world.times("it"), 3);
    tokio::time::sleep(LONG).await;
    assert_eq!(house.world.times("it"), 3, "only a person ends that");

    let next = submit(&runtime, agent, "next").await;
    assert_eq!(output(&runtime, next).await, "next", "its conversation goes on without it");

    runtime.requeue(&run).await.unwrap();

    assert_eq!(output(&runtime, run).await, "x y");
    assert_eq!(house.world.times("it"), 6, "two further failed starts were within what may be");
}

#[tokio::test(start_paused = true)]
async fn starts_count_per_progress_made() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let script: Vec<String> = (0..6).map(|nth| format!("settle:s{nth} panics:1/p{nth}")).collect();
    let run = submit(&runtime, agent, &script.join(" ")).await;

    assert_eq!(output(&runtime, run).await, "s0 s1 s2 s3 s4 s5");
    assert_eq!(failed(&log(&runtime, run).await).len(), 6, "twice as many as without progress");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_was_under_way_when_the_agent_failed_goes_on_in_the_next_attempt() {
    for how in ["fails", "panics"] {
        let house = House::new().by_executor();
        let (runtime, agent) = open(&house, recovers()).await;
        let run = submit(&runtime, agent, &format!("fails-beside:{how}")).await;

        assert_eq!(ends(&runtime, run).await, "done", "{how}");
        assert_eq!(house.world.times("model-once"), 2);
        let log = log(&runtime, run).await;
        let unknown = log.iter().filter_map(|entry| match &entry.kind {
            EntryKind::StepUnknown(unknown) => Some(unknown.cause),
            _ => None,
        });
        assert_eq!(unknown.collect::<Vec<_>>(), [UnknownCause::Crash], "nobody dropped it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlives_the_process_and_is_not_cut_short_by_an_answer() {
    let house = House::new().by_executor();
    let slow = AgentRecovery { pause_ms: 60_000, ..recovery() };
    let declared = spec().recovering(slow);
    let (runtime, agent) = open(&house, declared.clone()).await;
    let run = submit(&runtime, agent, "panics:1/it answer:word").await;
    until(&runtime, run, |view| !view.waits.is_empty()).await;
    runtime.shutdown(Duration::ZERO).await.unwrap();

    let (runtime, _) = open(&house, declared).await;
    let view =
        until(&runtime, run, |view| view.waits.iter().any(|w| matches!(w.on, WaitOn::Answer(_)))).await;

    assert_eq!(view.attempt, 2);
    let log = log(&runtime, run).await;
    assert!(starts(&log)[1] >= pauses(&log)[0], "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_in_a_pause_does_not_end_it() {
    let house = House::new().by_executor();
    let slow = AgentRecovery { pause_ms: 60_000, ..recovery() };
    let (runtime, agent) = open(&house, spec().recovering(slow)).await;
    // It stalls while another branch of it waits for an answer.
    let declared = spec().recovering(slow).stalling(StallLimits::default());
    runtime.register_spec(declared).await.unwrap();
    let run = submit(&runtime, agent, "answer-beside").await;
    until(&runtime, run, |view| view.waits.len() == 2).await;
    let step = "word".parse().unwrap();

    runtime.answer(&run, &step, Reply::Answer(Content::text("go"))).await.unwrap();

    assert_eq!(ends(&runtime, run).await, "go done");
    let log = log(&runtime, run).await;
    assert!(starts(&log)[1] >= pauses(&log)[0]);
}

/// Answers always the same.
#[derive(Debug)]
struct Always(fn(UnixMillis) -> Remedy);

impl RecoveryPolicy for Always {
    fn decide(
        &self,
        _: &AgentRecovery,
        _: &Failure,
        _: &History,
        now: UnixMillis,
        _: &dyn Entropy,
    ) -> Remedy {
        (self.0)(now)
    }
}

/// Opens a runtime whose policy is this, with a started agent.
async fn open_by(
    house: &House,
    policy: Arc<dyn RecoveryPolicy>,
    declared: AgentRecovery,
) -> (RuntimeManager, AgentId) {
    let runtime = builder(house).recovery(policy).open().await.unwrap();
    let agent = runtime.register_spec(spec().recovering(declared)).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

#[tokio::test(start_paused = true)]
async fn restarts_of_an_agent_keep_within_its_window() {
    keeps_within_its_window(Arc::new(ByTheBook)).await;
}

#[tokio::test(start_paused = true)]
async fn restarts_keep_within_the_window_also_where_all_were_decided_before_any_was_noted() {
    keeps_within_its_window(Arc::new(Always(|now| Remedy::Restart { at: now, counted: true }))).await;
}

async fn keeps_within_its_window(policy: Arc<dyn RecoveryPolicy>) {
    let house = House::new().by_executor();
    let declared = AgentRecovery { most: 2, within_ms: 600_000, ..recovery() };
    let (runtime, agent) = open_by(&house, policy, declared).await;
    let mut runs = Vec::new();
    for nth in 0..5 {
        runs.push(submit_in(&runtime, agent, &format!("s{nth}"), &format!("panics:1/p{nth} y")).await);
    }
    let mut begun = Vec::new();
    for run in runs {
        let Joined::Ended(_) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };
        begun.extend(starts(&log(&runtime, run).await).into_iter().skip(1));
    }
    begun.sort();

    assert_eq!(begun.len(), 5);
    for row in begun.windows(3) {
        // A start may be a moment late, and never early.
        assert!(row[2].since(row[0]) >= Duration::from_millis(599_900), "{begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_built_anew_when_the_pause_is_over_and_no_run_leaves_for_it_before() {
    let house = House::new().by_executor();
    let slow = AgentRecovery { pause_ms: 60_000, ..recovery() };
    let (runtime, agent) = open(&house, spec().recovering(slow)).await;
    let before = runtime.run_agent(agent, "who").await.unwrap().output.to_string();
    let works = submit_in(&runtime, agent, "works", "held:door settle:y who").await;
    house.world.began("door").await;
    submit_in(&runtime, agent, "meanwhile", "held:gate").await;
    // What waited for its turn asks for its agent when it begins.
    let meanwhile = submit_in(&runtime, agent, "meanwhile", "who").await;
    let fails = submit_in(&runtime, agent, "fails", "panics:1/it who").await;
    until(&runtime, fails, |view| !view.waits.is_empty()).await;
    house.world.open("gate");
    assert_eq!(output(&runtime, meanwhile).await, before);
    house.world.open("door");

    assert_eq!(output(&runtime, works).await, format!("door y {before}"));
    assert_eq!(starts(&log(&runtime, works).await).len(), 1, "it was left to work");
    assert_ne!(ends(&runtime, fails).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_or_has_no_remedy_for_runs_leaves_the_failure_as_the_outcome() {
    let no_use: [fn(UnixMillis) -> Remedy; 4] = [
        |_| std::panic::resume_unwind(Box::new("a policy")),
        |now| Remedy::Restore { at: now },
        |_| Remedy::SwitchModel { model: "other".to_owned() },
        |now| Remedy::Act { action: "act".to_owned(), at: now },
    ];
    for answer in no_use {
        let house = House::new().by_executor();
        let (runtime, agent) = open_by(&house, Arc::new(Always(answer)), recovery()).await;
        let run = submit(&runtime, agent, "settle:x panics:1/it").await;

        assert_eq!(failure(&runtime, run).await.0, FailureKind::Panicked);
        assert_eq!(house.world.times("it"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn other_runs_of_the_agent_go_on_with_the_new_value_from_their_next_step_on() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let other = submit_in(&runtime, agent, "other", "held:door settle:y who").await;
    house.world.began("door").await;
    let fails = submit_in(&runtime, agent, "fails", "panics:1/it who").await;
    let new = output(&runtime, fails).await;
    house.world.open("door");

    assert_eq!(output(&runtime, other).await, format!("door y {new}"));
    assert_eq!(house.world.times("door"), 1, "the step that was under way was left alone");
    assert!(failed(&log(&runtime, other).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_registered_as_a_value_keeps_it() {
    let house = House::new().by_executor();
    let runtime = builder(&house).open().await.unwrap();
    let value = Frail { world: Arc::clone(&house.world), spec: recovers(), value: 77 };
    let agent = runtime.register_agent(value).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "panics:1/it who").await;

    assert_eq!(output(&runtime, run).await, "value 77");
}

#[tokio::test(start_paused = true)]
async fn too_much_memory_ends_the_attempt_and_not_the_run() {
    let house = House::new().by_executor();
    let gauge = Gauge::default();
    let runtime = builder(&house).meter(Arc::new(gauge.clone())).open().await.unwrap();
    let agent = runtime.register_spec(recovers()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "settle:x held:door y").await;
    house.world.began("door").await;
    gauge.exceeds(true);
    house.world.open("door");
    until(&runtime, run, |view| view.waits.iter().any(|wait| matches!(wait.on, WaitOn::Time(_)))).await;
    gauge.exceeds(false);
    house.world.open("door");

    assert_eq!(output(&runtime, run).await, "x door y");
    let failed = failed(&log(&runtime, run).await);
    assert!(failed.len() == 1 && failed[0].1 && failed[0].0.contains("bytes alive"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_memory_ends_no_attempt_whose_thread_still_works_but_says_so() {
    let house = House::new();
    let gauge = Gauge::default();
    let runtime = builder(&house).meter(Arc::new(gauge.clone())).open().await.unwrap();
    let agent = runtime.register_spec(recovers()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "upload:door").await;
    house.world.began("door").await;
    gauge.exceeds(true);
    // Whoever wants something of its agent has it looked at.
    runtime.start_agent(agent).await.unwrap();

    let result = runtime.join(&run, Duration::from_secs(5)).await.unwrap();
    house.world.unblock("door");
    assert!(matches!(result, Joined::Ended(_)), "{result:?}");
    match runtime.run_status(&run).await.unwrap().outcome {
        Some(Outcome::Cancelled(receipt)) => assert_eq!(receipt.stopped, Stopped::Abandoned),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_during_a_pause_ends_the_run() {
    let house = House::new().by_executor();
    let slow = AgentRecovery { pause_ms: 60_000, ..recovery() };
    let (runtime, agent) = open(&house, spec().recovering(slow)).await;
    let run = submit(&runtime, agent, "panics:1/it").await;
    until(&runtime, run, |view| !view.waits.is_empty()).await;

    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    let view = runtime.run_status(&run).await.unwrap();
    assert!(view.outcome.is_some(), "{view:?}");
    assert_eq!(house.world.times("it"), 1);
}

#[tokio::test]
async fn what_cannot_be_kept_to_is_refused_when_the_agent_is_registered() {
    let house = House::new();
    let runtime = builder(&house).open().await.unwrap();
    let refused = async |runtime: &RuntimeManager, spec: AgentSpec| match runtime.register_spec(spec).await {
        Err(error @ RuntimeError::Spec(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let none = spec().recovering(AgentRecovery { attempts: 0, ..recovery() });
    assert!(refused(&runtime, none).await.contains("`recovery.attempts` is 0"));
    let stall = spec().stalling(StallLimits { tool_ms: Some(0), ..StallLimits::default() });
    assert!(refused(&runtime, stall).await.contains("`stall.tool` is no time"));
    let without = house.builder().kind(frail_kind(&house)).open().await.unwrap();
    assert!(refused(&without, recovers()).await.contains("nobody decides about failures here"));
    assert!(without.register_spec(spec()).await.is_ok());
}

fn frail_kind(house: &House) -> Arc<dyn runtime_traits::AgentKind> {
    Arc::new(super::frail::FrailKind(Arc::clone(&house.world), Default::default()))
}

fn asked(name: &str, small: usize) -> usize {
    std::env::var(name).ok().and_then(|asked| asked.parse().ok()).unwrap_or(small)
}

/// Poison runs among good ones: each panics, fails or stalls whenever it is started.
#[tokio::test(start_paused = true)]
async fn poison_runs_are_set_aside_after_three_starts_and_all_good_ones_finish() {
    let good = asked("AGENT_RUNTIME_GOOD", 200);
    let poison = good / 10;
    let house = House::over(Arc::new(MapStore::new())).by_executor();
    let declared = AgentRecovery { most: 1_000_000, ..recovery() };
    let (runtime, agent) = open(&house, spec().recovering(declared)).await;
    let (mut good_runs, mut poison_runs) = (Vec::new(), Vec::new());
    for nth in 0..good {
        good_runs.push(submit_in(&runtime, agent, &format!("g{nth}"), "settle:x sleep:1 settle:y").await);
        if nth % 10 == 0 {
            let script = match nth / 10 % 3 {
                0 => format!("panics:9/p{nth}"),
                1 => format!("settle:x fails:9/p{nth}"),
                _ => format!("panics:9/p{nth} deadlock"),
            };
            poison_runs.push((nth, submit_in(&runtime, agent, &format!("p{nth}"), &script).await));
        }
    }
    for run in good_runs {
        assert_eq!(output(&runtime, run).await, "x y");
        assert!(failed(&log(&runtime, run).await).is_empty());
    }
    assert_eq!(poison_runs.len(), poison);
    for (nth, run) in poison_runs {
        until_set_aside(&runtime, run).await;
        assert_eq!(house.world.times(&format!("p{nth}")), 3);
    }
}

/// `AGENT_RUNTIME_PANICS` of them.
#[tokio::test(start_paused = true)]
async fn panics_harm_no_other_run_and_leave_nothing_in_memory() {
    let house = House::new().by_executor();
    let declared = AgentRecovery { most: 1_000_000, ..recovery() };
    let builder = builder(&house).configure(|config| config.max_ended = Some(1));
    let runtime = builder.open().await.unwrap();
    let agent = runtime.register_spec(spec().recovering(declared)).await.unwrap();
    let plain = AgentSpec::new("frail", "plain").unwrap();
    let plain = runtime.register_spec(plain).await.unwrap();
    for agent in [agent, plain] {
        runtime.start_agent(agent).await.unwrap();
    }
    let other = submit_in(&runtime, agent, "other", "held:door y").await;
    house.world.began("door").await;
    // The store of these tests keeps the number of every batch: as many runs that end well are the measure.
    let many = asked("AGENT_RUNTIME_PANICS", 300);
    let begin = resident();
    for nth in 0..many {
        runtime.run_agent(plain, format!("fine-{}", nth % 7)).await.unwrap();
    }
    let ended_well = resident();
    for nth in 0..many {
        let failed = runtime.run_agent(plain, format!("panics:/{}", nth % 7)).await.unwrap_err();
        assert!(matches!(failed, RuntimeError::RunFailed { .. }), "{failed}");
    }
    let (well, panicked) = (ended_well.saturating_sub(begin), resident().saturating_sub(ended_well));
    assert!(
        panicked < well + 8 * 1024 * 1024,
        "{many} panics left {panicked} bytes, as many other runs {well}"
    );
    assert_eq!(runtime.status().await.unwrap().open_runs, 1);
    house.world.open("door");

    assert_eq!(output(&runtime, other).await, "door y");
    assert!(failed(&log(&runtime, other).await).is_empty());
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
