//! Steps that wait for room under a limit: what is held for them, and who ends their waiting.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::id::AgentId;
use runtime_traits::log::Phase;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::Runtime;
use runtime_traits::{AgentSpec, RunId};

use super::house::{House, output, submit, until_phase};
use super::limits::{FULL, governed, until_waiting};

#[tokio::test]
async fn the_entry_that_dispatches_a_step_says_what_is_held_for_it_also_if_it_waited() {
    for waits in [false, true] {
        let (house, turnstile) = (House::new(), Turnstile::default());
        if waits {
            turnstile.set(FULL);
        }
        turnstile.holds_more(7);
        let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
        let run = submit(&runtime, agent, "costs-held:100/30").await;
        if waits {
            until_phase(&runtime, run, Phase::Waiting).await;
            turnstile.set(Lets::Through);
        }
        house.world.began("100/30").await;

        let step = runtime.run_status(&run).await.unwrap().steps[0].clone();
        assert_eq!((step.reserved.tokens(), step.reserved_micros), (107, 107), "waited: {waits}");
        drop(runtime);
        let second = Turnstile::that(FULL);
        let (runtime, _) = governed(&house, &second, ResourceLimits::default()).await;
        until_phase(&runtime, run, Phase::Waiting).await;
        let view = runtime.run_status(&run).await.unwrap();
        assert_eq!((view.usage.tokens(), view.price.micros), (107, Some(107)), "that is booked");
        assert_eq!(second.told(&agent).unwrap().tokens, 107);
    }
}

/// A run that waits for room: for long, so that its log says so, or not yet.
async fn waiting(house: &House, turnstile: &Turnstile, long: bool) -> (RuntimeManager, AgentId, RunId) {
    let park_after = Duration::from_millis(if long { 20 } else { 3_600_000 });
    let builder = house.builder().configure(|config| config.park_after = park_after);
    let runtime = builder.governor(Arc::new(turnstile.clone())).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_waiting(&runtime, run).await;
    if long {
        until_phase(&runtime, run, Phase::Waiting).await;
    }
    (runtime, agent, run)
}

#[tokio::test]
async fn whoever_waits_for_room_is_drained_at_once_and_asks_anew_in_the_next_process() {
    for long in [false, true] {
        let (house, first) = (House::new(), Turnstile::that(FULL));
        let (runtime, _, run) = waiting(&house, &first, long).await;

        let drained = runtime.shutdown(Duration::from_secs(3_600));
        tokio::time::timeout(Duration::from_secs(20), drained).await.expect("it waits for nobody").unwrap();

        assert_eq!(first.waiting(), 0);
        drop(runtime);
        let (runtime, _) = governed(&house, &Turnstile::default(), ResourceLimits::default()).await;
        assert_eq!(output(&runtime, run).await, "30 used");
    }
}

#[tokio::test]
async fn whoever_waits_for_room_gives_up_its_place_when_its_agent_is_paused_or_the_run_is_to_end() {
    for long in [false, true] {
        let (house, turnstile) = (House::new(), Turnstile::that(FULL));
        let (runtime, agent, run) = waiting(&house, &turnstile, long).await;
        runtime.pause(&agent.into()).await.unwrap();
        while turnstile.waiting() > 0 {
            tokio::task::yield_now().await;
        }
        turnstile.set(Lets::Through);
        assert_eq!(house.world.times("100/30"), 0, "a pause holds it");
        runtime.resume(&agent.into()).await.unwrap();
        assert_eq!(output(&runtime, run).await, "30 used");
        drop(runtime);

        let (house, turnstile) = (House::new(), Turnstile::that(FULL));
        let (runtime, _, run) = waiting(&house, &turnstile, long).await;
        let cancelled = runtime.cancel(&run, "enough", Duration::from_secs(3_600));
        tokio::time::timeout(Duration::from_secs(20), cancelled).await.expect("it is told at once").unwrap();
        assert_eq!((turnstile.waiting(), house.world.times("100/30")), (0, 0));
    }
}

#[tokio::test]
async fn a_pause_that_is_over_before_the_run_is_polled_leaves_it_one_place() {
    let (house, turnstile) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent, run) = waiting(&house, &turnstile, false).await;

    runtime.pause(&agent.into()).await.unwrap();
    runtime.resume(&agent.into()).await.unwrap();
    while turnstile.asked().len() < 2 {
        tokio::task::yield_now().await;
    }

    assert_eq!(turnstile.waiting(), 1);
    turnstile.set(Lets::Through);
    assert_eq!(output(&runtime, run).await, "30 used");
}
