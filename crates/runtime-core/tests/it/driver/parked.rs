//! Runs that are parked because there is no room: they are looked at, and write nothing meanwhile.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::agent::{Agent, AgentKind, SpecError};
use runtime_traits::log::{Phase, WaitOn};
use runtime_traits::resource::{LimitsBy, ResourceLimits};
use runtime_traits::runtime::{RunRequest, Runtime};
use runtime_traits::{
    AgentError, AgentId, AgentSpec, Content, Ctx, Effect, Name, RunId, SessionName, UnixMillis,
};

use super::house::{House, output, submit, until_phase};
use super::limits::governed;

const NEXT_YEAR: Lets = Lets::Wait(Some(UnixMillis(u64::MAX / 2)));
const HOUR: Duration = Duration::from_secs(60 * 60);

fn tokens(most: u64) -> ResourceLimits {
    ResourceLimits { max_tokens_total: Some(most), ..ResourceLimits::default() }
}

/// A run that found no room for long.
async fn parked(house: &House, turnstile: &Turnstile) -> (RuntimeManager, AgentId, RunId) {
    let (runtime, agent) = governed(house, turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    (runtime, agent, run)
}

#[tokio::test(start_paused = true)]
async fn a_parked_run_looks_for_room_every_ten_minutes_however_often_it_was_woken_and_writes_nothing() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(NEXT_YEAR));
    let (runtime, agent, run) = parked(&house, &turnstile).await;
    let entries = runtime.run_status(&run).await.unwrap().entries;

    for most in 1..=9 {
        runtime.set_limits(&agent.into(), tokens(most)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    let before = turnstile.asked().len();
    assert!(before > 9, "who changes a limit lets it look: {before}");
    tokio::time::sleep(12 * HOUR).await;

    let looked = turnstile.asked().len() - before;
    assert!((71..=73).contains(&looked), "it looked {looked} times in twelve hours");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.entries, view.phase), (entries, Phase::Parked));
    assert_eq!((turnstile.waiting(), turnstile.settled().len()), (0, 0), "and takes no place");

    turnstile.set(Lets::Through);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(output(&runtime, run).await, "30 used", "it finds by itself that there is room");
    assert_eq!(turnstile.settled().len(), 2, "what was held to look was given back");
}

#[tokio::test(start_paused = true)]
async fn a_parked_run_looks_at_the_moment_for_which_it_waits_as_well() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let in_an_hour = house.clock.as_ref().unwrap().now().after(HOUR);
    turnstile.set(Lets::Wait(Some(in_an_hour)));
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    tokio::time::sleep(HOUR / 4).await;
    let looked = turnstile.asked().len();
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(turnstile.asked().len() - looked, 3, "every ten minutes");
    tokio::time::sleep(HOUR / 4 - Duration::from_secs(60)).await;

    turnstile.set(Lets::Through);
    tokio::time::sleep(Duration::from_secs(61)).await;

    assert_eq!(runtime.run_status(&run).await.unwrap().phase, Phase::Ended);
}

/// The agent as another program has it: it asks for something else.
#[derive(Debug)]
struct Changed;

#[async_trait]
impl Agent for Changed {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("scripted", "a").unwrap()
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        ctx.step("another", Effect::Repeatable, "what", |_| async { Ok(()) }).await?;
        Ok(Content::text("done"))
    }
}

impl AgentKind for Changed {
    fn name(&self) -> Name {
        Name::new("scripted").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, _: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Self))
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_diverged_while_it_waited_for_room_waits_for_a_person_and_is_not_started_again() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(NEXT_YEAR));
    let (runtime, agent, run) = parked(&house, &turnstile).await;
    drop(runtime);
    let changed = house.builder().kind(Arc::new(Changed)).governor(Arc::new(turnstile.clone()));
    let runtime = changed.open().await.unwrap();
    let waits = loop {
        let waits = runtime.run_status(&run).await.unwrap().waits;
        if waits.len() > 1 {
            break waits;
        }
        tokio::time::sleep(HOUR).await;
    };
    assert!(matches!(waits[1].on, WaitOn::Diverged { .. }), "{waits:?}");
    let entries = runtime.run_status(&run).await.unwrap().entries;

    for most in 1..=3 {
        runtime.set_limits(&agent.into(), tokens(most)).await.unwrap();
        tokio::time::sleep(HOUR).await;
    }

    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.entries, view.waits.len()), (entries, 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_finds_room_earlier_than_its_log_says_keeps_its_place() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(NEXT_YEAR));
    let (runtime, agent, run) = parked(&house, &turnstile).await;
    let soon = house.clock.as_ref().unwrap().now().after(Duration::from_secs(60));

    turnstile.set(Lets::Wait(Some(soon)));
    runtime.set_limits(&agent.into(), tokens(9)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;

    assert_eq!(turnstile.waiting(), 1);
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.phase, view.waits.len()), (Phase::Waiting, 1));
    turnstile.set(Lets::Through);
    assert_eq!(output(&runtime, run).await, "30 used");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_another_limit_helps_parks_lets_others_be_worked_and_goes_on_when_one_changes() {
    for by_tenant in [false, true] {
        let (house, turnstile) = (House::new().by_executor(), Turnstile::default());
        turnstile.at_once(1);
        let limits = |most| ResourceLimits { max_concurrent_requests: Some(1), ..tokens(most) };
        let (runtime, agent) = governed(&house, &turnstile, limits(1)).await;
        let in_session = |script: &str, session: &str| {
            RunRequest::new(script).in_session(SessionName::new(session).unwrap())
        };
        let limit = async |most| match by_tenant {
            true => runtime.set_tenant_limits(tokens(most), LimitsBy::Hand).await.unwrap(),
            false => runtime.set_limits(&agent.into(), limits(most)).await.unwrap(),
        };
        turnstile.set(Lets::WaitForLimit);
        let large = runtime.submit(&agent.into(), in_session("costs:100/30", "one")).await.unwrap().run;
        until_phase(&runtime, large, Phase::Waiting).await;
        let small = runtime.submit(&agent.into(), in_session("once:small", "two")).await.unwrap().run;

        assert_eq!(output(&runtime, small).await, "small!", "who waits for a limit is not worked");
        let view = runtime.run_status(&large).await.unwrap();
        assert_eq!((view.phase, view.waits.len(), view.waits[0].wake_at), (Phase::Parked, 1, None));
        limit(2).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(runtime.run_status(&large).await.unwrap().entries, view.entries, "that did not help");

        turnstile.set(Lets::Through);
        limit(200).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(runtime.run_status(&large).await.unwrap().phase, Phase::Ended, "it does not wait to look");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_run_of_a_paused_agent_ends_at_its_deadline() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(NEXT_YEAR));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let request = RunRequest::new("costs:100/30").within(HOUR);
    let run = runtime.submit(&agent.into(), request).await.unwrap().run;
    until_phase(&runtime, run, Phase::Parked).await;
    runtime.pause(&agent.into()).await.unwrap();

    tokio::time::sleep(HOUR - Duration::from_secs(60)).await;
    assert_eq!(runtime.run_status(&run).await.unwrap().phase, Phase::Parked);
    tokio::time::sleep(Duration::from_secs(61)).await;

    assert_eq!(runtime.run_status(&run).await.unwrap().phase, Phase::Ended);
}
