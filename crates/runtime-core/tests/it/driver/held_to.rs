//! Limits hold also where agents, stores and moments are not as anybody would expect.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::engine::keys;
use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::log::{FailureKind, Phase};
use runtime_traits::resource::{Limit, ResourceLimits, Used};
use runtime_traits::runtime::{AgentRef, ForkRequest, Joined, RunRequest, Runtime};
use runtime_traits::store::{LARGEST_SUM, Then};
use runtime_traits::{AgentSpec, RuntimeError, SessionName, Tenant, UnixMillis};

use super::house::{House, meddle, output, submit, until_phase};
use super::limits::{FULL, failure, governed, until_waiting};
use super::metered::Gauge;

fn in_session(script: &str, session: &str) -> RunRequest {
    RunRequest::new(script).in_session(SessionName::new(session).unwrap())
}

#[tokio::test]
async fn runs_that_wait_until_fewer_are_worked_queue_as_well() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits =
        ResourceLimits { max_concurrent_requests: Some(1), max_queued: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    turnstile.at_once(1);
    let agent = AgentRef::Id(agent);
    let at_work = runtime.submit(&agent, in_session("held:x", "one")).await.unwrap().run;
    house.world.began("x").await;
    let waits = runtime.submit(&agent, in_session("y", "two")).await.unwrap().run;

    for session in ["one", "three"] {
        let refused = runtime.submit(&agent, in_session("z", session)).await.unwrap_err();
        assert!(matches!(&refused, RuntimeError::Busy { limit: 1, .. }), "{session}: {refused}");
    }

    let used = runtime.agent(&agent).await.unwrap().usage.limits;
    let shown = used.iter().find(|used| used.limit == Limit::MaxQueued);
    assert_eq!(
        shown,
        Some(&Used { limit: Limit::MaxQueued, used: 1, max: Some(1) }),
        "that is what is shown"
    );

    house.world.open("x");
    assert_eq!(output(&runtime, at_work).await, "x!");
    assert_eq!(output(&runtime, waits).await, "y");
    let again = runtime.submit(&agent, in_session("z", "three")).await.unwrap().run;
    assert_eq!(output(&runtime, again).await, "z");
}

#[tokio::test]
async fn copies_of_a_run_queue_like_runs() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits =
        ResourceLimits { max_concurrent_requests: Some(1), max_queued: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    turnstile.at_once(1);
    let over = submit(&runtime, agent, "once:a").await;
    output(&runtime, over).await;
    let at_work = submit(&runtime, agent, "held:x").await;
    house.world.began("x").await;

    let copy = runtime.fork(&over, ForkRequest::default()).await.unwrap();
    let refused = runtime.fork(&over, ForkRequest::default()).await.unwrap_err();

    assert!(matches!(&refused, RuntimeError::Busy { limit: 1, .. }), "{refused}");
    house.world.open("x");
    assert_eq!(output(&runtime, at_work).await, "x!");
    assert_eq!(output(&runtime, copy).await, "a!");
    let again = runtime.fork(&over, ForkRequest::default()).await.unwrap();
    assert_eq!(output(&runtime, again).await, "a!");
}

#[tokio::test]
async fn whatever_an_agent_says_that_it_used_its_run_ends() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    turnstile.limit_tenants();
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let max = u64::MAX;
    let twice = submit(&runtime, agent, &format!("costs:{max}/{max} costs:{max}/{max} used:{max}")).await;
    output(&runtime, twice).await;
    let given_up = submit(&runtime, agent, &format!("costs-held:{max}/1")).await;
    house.world.began(&format!("{max}/1")).await;
    runtime.cancel(&given_up, "enough", Duration::ZERO).await.unwrap();
    assert_eq!(runtime.run_status(&given_up).await.unwrap().phase, Phase::Ended);

    // As full as a cell can be, after thousands of those.
    let cell = keys::usage(&Tenant::default(), &agent, "output-tokens");
    let full = LARGEST_SUM - 1;
    meddle(house.store.as_ref(), 1, Then::Put(cell.clone(), full.to_string().into())).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    let kept = house.store.get(&[cell]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(kept.value, (full + 1).to_string());

    drop(runtime);
    let next = Turnstile::default();
    let (runtime, agent) = governed(&house, &next, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    assert!(next.told(&agent).unwrap().tokens > LARGEST_SUM as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_limits_that_are_set_at_once_those_hold_that_are_kept() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let agent = AgentRef::Id(agent);
    for round in 0..100 {
        let set = (1..=4).map(|nth| {
            let (runtime, agent) = (runtime.clone(), agent.clone());
            let max_tokens_total = Some(1_000 * (round + 1) + nth);
            async move {
                let limits = ResourceLimits { max_tokens_total, ..ResourceLimits::default() };
                runtime.set_limits(&agent, limits).await.unwrap();
            }
        });
        futures_util::future::join_all(set).await;

        let kept = runtime.agent(&agent).await.unwrap().limits;
        assert_eq!(turnstile.limits().last(), Some(&kept), "round {round}");
    }
}

#[tokio::test]
async fn a_copy_of_a_run_and_what_goes_on_from_it_have_as_many_steps_as_a_new_run() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = |most| ResourceLimits { max_steps_per_run: Some(most), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits(2)).await;
    let run = submit(&runtime, agent, "once:a pure:b once:c go-on:once/d").await;
    assert_eq!(failure(&runtime, run).await.0, FailureKind::Limit);

    let copy = runtime.fork(&run, ForkRequest::default()).await.unwrap();

    let heir = match runtime.join(&copy, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            runtime_traits::Outcome::Continued(heir) => heir,
            other => panic!("{other:?}"),
        },
        Joined::Open(view) => panic!("{view:?}"),
    };
    assert_eq!(output(&runtime, heir).await, "d!");
    assert_eq!(house.world.times("a"), 1, "it was copied");
}

#[tokio::test]
async fn a_step_that_never_began_is_no_step() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_steps_per_run: Some(2), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;

    let run = submit(&runtime, agent, "unbegun unbegun once:a once:b").await;

    assert_eq!(output(&runtime, run).await, "a! b!");
}

#[tokio::test]
async fn what_is_held_off_is_no_step_also_over_a_restart_and_in_copies_and_in_what_goes_on() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_steps_per_run: Some(3), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let away = "held-off held-off held-off held-off";
    let within = submit(&runtime, agent, &format!("{away} once:a held:b {away} once:c")).await;
    house.world.began("b").await;
    drop(runtime);
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    house.world.open("b");
    house.world.open("b");
    assert_eq!(output(&runtime, within).await, "a! b! c!");

    let beyond = submit(&runtime, agent, &format!("{away} once:d once:e {away} once:f once:g")).await;
    assert_eq!(failure(&runtime, beyond).await.0, FailureKind::Limit, "what asks somebody counts");
    assert_eq!((house.world.times("f"), house.world.times("g")), (1, 0));
    let copy = runtime.fork(&beyond, ForkRequest::default()).await.unwrap();
    assert_eq!(output(&runtime, copy).await, "d! e! f! g!", "those that were copied are not its own");

    let on = submit(&runtime, agent, "held-off held-off once:h go-on:held-off,once/i,held-off,once/j,once/k")
        .await;
    let heir = match runtime.join(&on, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            runtime_traits::Outcome::Continued(heir) => heir,
            other => panic!("{other:?}"),
        },
        Joined::Open(view) => panic!("{view:?}"),
    };
    assert_eq!(failure(&runtime, heir).await.0, FailureKind::Limit);
    assert_eq!((house.world.times("j"), house.world.times("k")), (1, 0));
}

#[tokio::test]
async fn a_run_parks_also_when_it_turns_out_later_how_long_it_waits() {
    for first in [FULL, Lets::Wait(Some(UnixMillis(1)))] {
        let (house, turnstile) = (House::new(), Turnstile::that(first));
        let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
        let run = submit(&runtime, agent, "costs:100/30").await;
        until_phase(&runtime, run, Phase::Waiting).await;

        turnstile.set(Lets::Wait(Some(UnixMillis(u64::MAX / 2))));

        until_phase(&runtime, run, Phase::Parked).await;
        assert_eq!(turnstile.waiting(), 0, "a parked run has no place");
        let view = runtime.run_status(&run).await.unwrap();
        assert_eq!(view.waits[0].wake_at, Some(UnixMillis(u64::MAX / 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_long_writes_nothing_meanwhile() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Waiting).await;
    let entries = runtime.run_status(&run).await.unwrap().entries;

    tokio::time::sleep(Duration::from_secs(60)).await;

    assert_eq!(runtime.run_status(&run).await.unwrap().entries, entries);
}

#[tokio::test]
async fn a_run_waits_with_the_priority_that_it_was_asked_for_with_also_in_its_next_attempt() {
    let (house, first) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    let request = RunRequest::new("costs:100/30 go-on:costs/100").with_priority(7);
    let run = runtime.submit(&AgentRef::Id(agent), request).await.unwrap().run;
    until_waiting(&runtime, run).await;
    assert_eq!(first.asked()[0].priority, 7);
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, _) = governed(&house, &second, ResourceLimits::default()).await;
    runtime.join(&run, Duration::from_secs(20)).await.unwrap();
    while second.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(second.asked().iter().all(|call| call.priority == 7), "what goes on from it as well");
}

#[tokio::test]
async fn what_a_run_asks_other_agents_for_has_its_priority_and_what_these_ask_for_too() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let called = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
    runtime.start_agent(called).await.unwrap();
    let request = RunRequest::new("call:b/costs:100,call:b/costs:50").with_priority(9);
    let run = runtime.submit(&AgentRef::Id(agent), request).await.unwrap().run;
    output(&runtime, run).await;

    let told: Vec<_> =
        turnstile.asked().iter().map(|call| (call.most.output_tokens, call.priority)).collect();
    assert_eq!(told, [(100, 9), (50, 9)]);
}

#[tokio::test]
async fn how_many_of_an_agents_runs_wait_is_among_what_it_uses() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_queued: Some(5), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let at_work = submit(&runtime, agent, "held:x").await;
    house.world.began("x").await;
    submit(&runtime, agent, "y").await;

    let used = runtime.agent(&agent.into()).await.unwrap().usage.limits;

    assert_eq!(used, [Used { limit: Limit::MaxQueued, used: 1, max: Some(5) }]);
    house.world.open("x");
    output(&runtime, at_work).await;
}

#[tokio::test]
async fn a_run_that_waits_to_be_worked_is_not_cancelled_for_the_memory_of_another_one() {
    let (house, turnstile, gauge) = (House::new(), Turnstile::default(), Gauge::default());
    turnstile.at_once(1);
    let builder = house.builder().governor(Arc::new(turnstile.clone())).meter(Arc::new(gauge.clone()));
    let runtime = builder.open().await.unwrap();
    let limits = ResourceLimits { max_concurrent_requests: Some(1), ..ResourceLimits::default() };
    let agent =
        runtime.register_spec(AgentSpec::new("scripted", "a").unwrap().limited(limits)).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let at_work = runtime.submit(&agent.into(), in_session("held:x", "one")).await.unwrap().run;
    house.world.began("x").await;

    gauge.exceeds(true);
    let waits = runtime.submit(&agent.into(), in_session("once:y", "two")).await.unwrap().run;
    while turnstile.entered().last() != Some(&waits) {
        tokio::task::yield_now().await;
    }
    // It is polled as soon as it has asked.
    let still = runtime.join(&waits, Duration::from_millis(50)).await.unwrap();
    gauge.exceeds(false);
    house.world.open("x");

    assert!(matches!(still, Joined::Open(_)), "{still:?}");
    assert_eq!(output(&runtime, at_work).await, "x!");
    assert_eq!(output(&runtime, waits).await, "y!");
}
