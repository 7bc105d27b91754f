//! Timers, parking, pausing, deadlines.

use std::time::Duration;

use futures_util::StreamExt;
use runtime_core::RuntimeManager;
use runtime_traits::RunId;
use runtime_traits::log::{FailureKind, Phase};
use runtime_traits::runtime::{AgentRef, Joined, RunRequest, Runtime, StreamItem};
use runtime_traits::store::Seq;

use super::house::{House, output, submit, until_phase};

/// Waits until a run's log has this many entries.
async fn until_entries(runtime: &RuntimeManager, run: RunId, count: usize) {
    let entries = runtime.stream(&run, Seq::FIRST).await.expect("the run is known");
    let seen = entries.filter(|item| {
        let entry = matches!(item, Ok(StreamItem::Entry { .. }));
        async move { entry }
    });
    assert_eq!(seen.take(count).count().await, count);
}

#[tokio::test]
async fn a_run_that_sleeps_parks_and_is_woken() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;

    let run = submit(&runtime, agent, "once:a now sleep:200 once:b").await;
    until_phase(&runtime, run, Phase::Parked).await;

    let said = output(&runtime, run).await;
    assert!(said.starts_with("a!") && said.ends_with("b!"), "{said}");
    assert_eq!(house.world.times("a"), 1);
    assert_eq!(runtime.run_status(&run).await.unwrap().attempt, 2);
    let due = runtime_traits::store::Key::new(agent.partition(), "due/").unwrap();
    let due = house.store.scan(&due, None, 100).await.unwrap();
    assert!(due.iter().all(|(key, _)| !key.path.to_string().contains("wake")), "{due:?}");
}

#[tokio::test]
async fn a_paused_agents_runs_wait_at_their_next_step() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:a once:b").await;
    house.world.began("a").await;

    runtime.pause_agent(agent).await.unwrap();
    house.world.open("a");
    let joined = runtime.join(&run, Duration::from_millis(100)).await.unwrap();
    let while_paused = house.world.times("b");
    runtime.resume_agent(agent).await.unwrap();

    assert!(
        matches!(joined, Joined::Open(view) if view.steps.iter().all(|step| step.key.name.as_str() == "a"))
    );
    assert_eq!(while_paused, 0);
    assert_eq!(output(&runtime, run).await, "a! b!");
}

#[tokio::test]
async fn a_run_that_is_not_over_by_its_deadline_fails() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let request = RunRequest::new("once:a forever").within(Duration::from_millis(100));

    let finished = runtime.run(&AgentRef::Id(agent), request).await.unwrap();

    assert_eq!(finished.failure().unwrap().kind, FailureKind::Deadline);
    assert_eq!(runtime.run_agent(agent, "next").await.unwrap().output.to_string(), "next");
}

#[tokio::test]
async fn joining_answers_by_its_deadline_with_where_the_run_is() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:a").await;
    house.world.began("a").await;

    let joined = runtime.join(&run, Duration::from_millis(10)).await.unwrap();

    assert!(matches!(joined, Joined::Open(view) if view.phase == Phase::Running));
    house.world.open("a");
    assert_eq!(output(&runtime, run).await, "a!");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_runs_that_a_pause_or_a_wait_holds() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let held = submit(&runtime, agent, "held:a once:b").await;
    let other = RunRequest::new("held:c once:d").in_session("other".parse().unwrap());
    let later = runtime.submit(&agent.into(), other).await.unwrap().run;
    let third = RunRequest::new("held:e sleep:10000000").in_session("third".parse().unwrap());
    let waits = runtime.submit(&agent.into(), third).await.unwrap().run;
    for step in ["a", "c", "e"] {
        house.world.began(step).await;
    }
    runtime.pause_agent(agent).await.unwrap();
    house.world.open("a");
    until_entries(&runtime, held, 4).await;

    // The second comes to its pause, and the third to its wait, while the runtime is about to end.
    let ending = tokio::time::timeout(Duration::from_secs(20), runtime.shutdown(Duration::from_secs(3_600)));
    let (ended, ()) = tokio::join!(ending, async {
        tokio::task::yield_now().await;
        house.world.open("c");
        house.world.open("e");
    });
    ended.expect("nothing holds it up").unwrap();
    let next = house.open().await;
    let before = house.world.times("b") + house.world.times("d");
    next.resume_agent(agent).await.unwrap();

    assert_eq!(before, 0);
    assert_eq!(output(&next, held).await, "a! b!");
    assert_eq!(output(&next, later).await, "c! d!");
    assert_eq!((house.world.times("a"), house.world.times("c")), (1, 1), "an orderly end repeats nothing");
    assert_eq!(next.run_status(&waits).await.unwrap().phase, Phase::Parked);
}
