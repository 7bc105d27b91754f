//! What stands still for too long is given up, within its bound and a second; what gives a sign of life, or may be silent, is not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_traits::AgentSpec;
use runtime_traits::content::Content;
use runtime_traits::log::{EntryKind, Outcome, StepPhase, Stopped, UnknownCause};
use runtime_traits::recovery::{Phase, StallBounds};
use runtime_traits::runtime::{AgentRef, CancelReceipt, Joined, Reply, RunRequest, Runtime};

use super::frail::{builder, failed, log, open, recovers, recovery, spec, stalling, submit_in, until};
use super::house::{House, output, submit};
use super::metered::Gauge;

const LONG: Duration = Duration::from_secs(100_000);
const SECOND: Duration = Duration::from_secs(1);

/// How a run of this ends, and how long that takes.
async fn ends(spec: AgentSpec, script: &str) -> (Result<String, String>, Duration) {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, spec).await;
    let run = submit(&runtime, agent, script).await;
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };
    let view = runtime.run_status(&run).await.unwrap();
    let result = match finished.failure() {
        Some(failure) => Err(failure.message.clone()),
        None => Ok(finished.output.unwrap().to_string()),
    };
    (result, view.last_at.since(view.accepted_at))
}

#[tokio::test(start_paused = true)]
async fn what_stands_still_is_given_up_within_its_bound_and_a_second_and_named() {
    let bounds = StallBounds::default();
    let five = Duration::from_secs(5);
    let hangs = [
        ("model:", Phase::FirstByte, bounds.first_byte),
        ("model:5", Phase::BetweenTokens, bounds.between_tokens + five),
        ("tool:", Phase::Tool, bounds.tool),
        ("tool:5", Phase::Tool, bounds.tool + five),
        ("tool-once:", Phase::Tool, bounds.tool),
        ("settle:x deadlock", Phase::Step, bounds.step),
    ];
    for (script, phase, bound) in hangs {
        let (result, after) = ends(spec(), script).await;
        let failure = result.unwrap_err();

        assert!(
            failure.contains("stalled") && failure.contains(&format!("({phase})")),
            "{script}: {failure}"
        );
        assert!(
            after >= bound && after <= bound + SECOND,
            "{script}: after {after:?}, the bound is {bound:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_declares_bounds_its_runs_and_no_others() {
    let declared = spec().stalling(stalling(|stall| stall.tool_ms = Some(7_000)));
    let (result, after) = ends(declared, "tool:").await;

    assert!(result.unwrap_err().contains("for 7 s"));
    assert!(after >= 7 * SECOND && after <= 8 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_puts_it_off() {
    for script in ["model:170,110,110,110,end", "tool:290,290,290,end", "settle:x sleep:86400"] {
        let (result, _) = ends(spec(), script).await;
        assert!(result.is_ok(), "{script}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_of_declared_silence_is_no_alarm_and_more_is() {
    let half_an_hour = Duration::from_secs(1_800);
    for script in ["quiet:1800/1795,end", "within:1800/1795,end"] {
        let (result, _) = ends(recovers(), script).await;
        assert_eq!(result.as_deref(), Ok("done"), "{script}");
    }

    let (result, after) = ends(spec(), "quiet:1800/").await;

    assert!(result.unwrap_err().contains("for 1800 s"));
    assert!(after >= half_an_hour && after <= half_an_hour + SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_a_deadline_and_no_stall() {
    let (result, after) = ends(spec(), "within:20/").await;

    assert!(result.unwrap_err().contains("its deadline passed"));
    assert!(after <= 21 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_where_it_stands_since_when_and_how_long_it_may() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, spec()).await;
    let model = submit(&runtime, agent, "model:5").await;
    let queued = submit(&runtime, agent, "x").await;
    let tool = submit_in(&runtime, agent, "tool", "tool:").await;
    let waits = submit_in(&runtime, agent, "waits", "answer:name").await;
    let own = submit_in(&runtime, agent, "own", "deadlock").await;
    let at = async |run, phase| {
        let is_there = move |view: &runtime_traits::RunView| view.stands.is_some_and(|at| at.phase == phase);
        until(&runtime, run, is_there).await.stands.unwrap()
    };
    let bounds = StallBounds::default();

    let first = at(model, Phase::FirstByte).await;
    assert_eq!(first.until, Some(first.since.after(bounds.first_byte)));
    assert_eq!(at(queued, Phase::Queued).await.until, None);
    let works = at(tool, Phase::Tool).await;
    assert_eq!(works.until, Some(works.since.after(bounds.tool)));
    assert_eq!(at(waits, Phase::Wait).await.until, None);
    let code = at(own, Phase::Step).await;
    assert_eq!(code.until, Some(code.since.after(bounds.step)));
    let between = at(model, Phase::BetweenTokens).await;
    assert!(between.since.since(first.since) >= 5 * SECOND);
    assert_eq!(between.until, Some(between.since.after(bounds.between_tokens)));
}

async fn answered(runtime: &RuntimeManager, run: runtime_traits::RunId) -> String {
    let step = "word".parse().unwrap();
    runtime.answer(&run, &step, Reply::Answer(Content::text("go"))).await.unwrap();
    output(runtime, run).await
}

#[tokio::test(start_paused = true)]
async fn a_replay_hears_of_a_stall_what_was_heard_first() {
    for (script, times) in [("heard:tool-once: answer:word", 1), ("heard:model: answer:word", 1)] {
        let house = House::new().by_executor();
        let (runtime, agent) = open(&house, spec()).await;
        let first = submit_in(&runtime, agent, "one", script).await;
        let second = submit_in(&runtime, agent, "two", script).await;
        for run in [first, second] {
            until(&runtime, run, |view| !view.waits.is_empty()).await;
        }
        let heard = answered(&runtime, first).await;

        let (again, _) = open(&house, spec()).await;

        assert_eq!(answered(&again, second).await, heard, "{script}");
        assert!(heard.contains("stalled"), "{heard}");
        let verb = script.split(':').nth(1).unwrap();
        assert_eq!(house.world.times(verb), 2 * times, "nothing is done twice");
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_must_not_be_done_twice_the_log_says_that_nobody_knows() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, spec()).await;
    let run = submit(&runtime, agent, "heard:tool-once:").await;
    assert!(matches!(runtime.join(&run, LONG).await.unwrap(), Joined::Ended(_)));

    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!(view.steps[0].phase, StepPhase::Unknown(UnknownCause::TimedOut));
    let log = log(&runtime, run).await;
    assert!(!log.iter().any(|entry| matches!(entry.kind, EntryKind::StepSettled(_))));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_stalled_is_made_again_where_the_agent_declares_its_recovery() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "settle:x model-once:").await;
    let result = runtime.join(&run, LONG).await.unwrap();

    let Joined::Ended(finished) = result else { panic!("{result:?}") };
    assert_eq!(finished.output.unwrap().to_string(), "x done");
    assert_eq!(house.world.times("model-once"), 2);
    let failed = failed(&log(&runtime, run).await);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0.contains("first byte") && !failed[0].1, "a retry does not count: {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadlocked_agent_is_begun_again() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "settle:x deadlock-once y").await;
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };

    assert_eq!(finished.output.unwrap().to_string(), "x y");
    assert!(failed(&log(&runtime, run).await)[0].1, "that counts");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_call_takes_no_other_step_with_it_that_must_not_be_done_twice() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "beside-once").await;
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };

    let output = finished.output.unwrap().to_string();
    assert!(output.starts_with("done and") && output.contains("stalled"), "{output}");
    assert_eq!((house.world.times("tool-once"), house.world.times("model")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_stalls_again_and_again_waits_for_a_person() {
    let house = House::new().by_executor();
    let declared = spec().recovering(runtime_traits::recovery::AgentRecovery { retries: 1, ..recovery() });
    let (runtime, agent) = open(&house, declared).await;
    let run = submit(&runtime, agent, "model:").await;
    let view = until(&runtime, run, |view| !view.waits.is_empty() && view.waits[0].wake_at.is_none()).await;

    assert!(view.is_quarantined());
    // Each of the first two starts has a retry, and the third one that fails is one too many.
    let counts: Vec<bool> = failed(&log(&runtime, run).await).iter().map(|(_, counted)| *counted).collect();
    assert_eq!(counts, [false, true, false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_agents_and_a_run_that_waits_for_long_are_nobodys_alarm() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    for nth in 0..200 {
        let spec = AgentSpec::new("frail", format!("idle-{nth}")).unwrap().recovering(recovery());
        let idle = runtime.register_spec(spec).await.unwrap();
        runtime.start_agent(idle).await.unwrap();
    }
    let run = submit(&runtime, agent, "answer:word").await;
    tokio::time::sleep(Duration::from_secs(1_900)).await;

    assert_eq!(answered(&runtime, run).await, "go");
    assert!(failed(&log(&runtime, run).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_thread_is_shown_and_harms_no_other_run() {
    let house = House::new();
    let declared = spec().stalling(stalling(|stall| stall.step_ms = Some(20)));
    let (runtime, agent) = open(&house, declared).await;
    let blocked = submit_in(&runtime, agent, "blocked", "block:door").await;
    house.world.began("door").await;

    let other = runtime.run(&AgentRef::Id(agent), RunRequest::new("fine")).await.unwrap();
    let stands = runtime.run_status(&blocked).await.unwrap().stands.unwrap();
    house.world.unblock("door");

    assert!(matches!(other.outcome, Outcome::Completed(_)));
    assert_eq!(stands.phase, Phase::Step);
    assert!(stands.until.is_some(), "whoever looks sees since when, and that it is too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_thread_still_works_is_given_up_and_its_attempt_goes_on() {
    let house = House::new();
    let declared = recovers().stalling(stalling(|stall| stall.tool_ms = Some(20)));
    let (runtime, agent) = open(&house, declared).await;
    let run = submit(&runtime, agent, "upload:door").await;
    house.world.began("door").await;
    let is_given_up = |view: &runtime_traits::RunView| {
        view.steps.iter().any(|step| matches!(step.phase, StepPhase::Unknown(_)))
    };
    let view = until(&runtime, run, is_given_up).await;
    let failed = failed(&log(&runtime, run).await);
    let cancelled = runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();
    house.world.unblock("door");

    assert_eq!(view.steps[0].phase, StepPhase::Unknown(UnknownCause::TimedOut));
    assert!(failed.is_empty(), "{failed:?}");
    let CancelReceipt::Cancelled(receipt) = cancelled else { panic!("{cancelled:?}") };
    assert_eq!(receipt.stopped, Stopped::Abandoned, "the thread is still there");
    assert_eq!(house.world.times("door"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_an_agent_is_held_to_its_share_is_no_time_of_its_steps() {
    let house = House::new().by_executor();
    let gauge = Gauge::default();
    let runtime = builder(&house).meter(Arc::new(gauge.clone())).open().await.unwrap();
    let agent = runtime.register_spec(spec()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let speaks = submit_in(&runtime, agent, "speaks", "tool:200,end").await;
    let hangs = submit_in(&runtime, agent, "hangs", "tool:").await;
    for _ in 0..2 {
        house.world.began("tool").await;
    }
    gauge.waits(true);
    // Whoever wants something of its agent has it looked at: it is held from now on.
    runtime.start_agent(agent).await.unwrap();
    tokio::time::sleep(1_000 * SECOND).await;
    for run in [speaks, hangs] {
        let view = runtime.run_status(&run).await.unwrap();
        assert!(view.outcome.is_none() && view.stands.unwrap().until.is_none(), "{view:?}");
    }
    gauge.waits(false);

    assert_eq!(output(&runtime, speaks).await, "done");
    assert!(matches!(runtime.join(&hangs, LONG).await.unwrap(), Joined::Ended(_)));
    let view = runtime.run_status(&hangs).await.unwrap();
    let (after, bound) = (view.last_at.since(view.accepted_at), StallBounds::default().tool);
    assert!(after >= 999 * SECOND + bound && after <= 1_003 * SECOND + bound, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_cancel_waits_for_something() {
    let house = House::new().by_executor();
    let (runtime, agent) = open(&house, recovers()).await;
    let run = submit(&runtime, agent, "settle:x cancelled").await;
    tokio::time::sleep(LONG).await;
    let view = runtime.run_status(&run).await.unwrap();
    assert!(view.outcome.is_none() && view.attempt == 1, "{view:?}");
    assert_eq!(view.stands.unwrap().phase, Phase::Wait);

    runtime.cancel(&run, "enough", SECOND).await.unwrap();
    assert!(failed(&log(&runtime, run).await).is_empty());
}
