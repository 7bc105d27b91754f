//! A process dies; the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use runtime_testkit::fakes::{Fault, FaultyStore, MapStore};
use runtime_traits::log::Phase;
use runtime_traits::runtime::{CancelReceipt, Decision, RunRequest, Runtime, SessionPolicy};
use runtime_traits::store::Then;
use runtime_traits::{AgentSpec, Content, StepKey};

use super::house::{House, output, submit, until_phase};

#[tokio::test]
async fn settled_steps_are_not_repeated_after_a_takeover() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "once:a pure:b held:c again:d").await;
    house.world.began("c").await;

    let next = house.open().await;
    house.world.began("c").await;
    house.world.open("c");
    house.world.open("c");

    assert_eq!(output(&next, run).await, "a! b! c! d!");
    assert_eq!((house.world.times("a"), house.world.times("b")), (1, 1));
    assert_eq!(house.world.times("c"), 2, "its end was not known, and it may be repeated");
    assert_eq!(house.world.times("d"), 1, "the stale owner's write is refused before its step begins");
}

#[tokio::test]
async fn an_at_most_once_step_waits_for_a_decision_and_is_found_by_the_next_process_too() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held-once:pay again:mail").await;
    house.world.began("pay").await;
    let step: StepKey = "pay".parse().unwrap();

    let second = house.open().await;
    until_phase(&second, run, Phase::Parked).await;
    let third = house.open().await;
    let view = third.run_status(&run).await.unwrap();
    let value = Content::json("paid by hand").unwrap();
    third.decide(&run, &step, Decision::Assume(value)).await.unwrap();

    assert_eq!(view.waits.len(), 1);
    assert_eq!(output(&third, run).await, "paid by hand mail!");
    assert_eq!(house.world.times("pay"), 1);
}

#[tokio::test]
async fn runs_that_had_not_begun_begin_in_their_order() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "held:gate state:0").await;
    house.world.began("gate").await;
    let mut runs = vec![first];
    for n in 1..10 {
        runs.push(submit(&runtime, agent, &format!("state:{n}")).await);
    }

    let next = house.open().await;
    house.world.open("gate");
    house.world.open("gate");
    let mut last = String::new();
    for run in runs {
        last = output(&next, run).await;
    }

    assert_eq!(last, "0,1,2,3,4,5,6,7,8,9");
}

#[tokio::test]
async fn a_run_that_has_begun_goes_on_alone_also_when_the_one_behind_it_was_accepted_first() {
    let mut passed = false;
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |batch| {
        let accepts =
            |then: &Then| matches!(then, Then::Put(key, _) if key.path.as_bytes().starts_with(b"open/"));
        // The first acceptance has to be submitted again, and lands behind the second.
        if !batch.then.iter().any(accepts) || std::mem::replace(&mut passed, true) {
            Fault::Pass
        } else {
            Fault::Unavailable
        }
    });
    let house = House::over(Arc::new(store));
    let (runtime, agent) = house.with_agent().await;
    let (first, second) =
        tokio::join!(submit(&runtime, agent, "held:gate state:1"), submit(&runtime, agent, "state:2"));
    house.world.began("gate").await;

    let next = house.open().await;
    house.world.began("gate").await;
    let behind = next.run_status(&second).await.unwrap();
    house.world.open("gate");
    house.world.open("gate");

    assert_eq!(behind.phase, Phase::Queued);
    assert_eq!(output(&next, first).await, "gate! 1");
    assert_eq!(output(&next, second).await, "1,2");
}

#[tokio::test]
async fn commits_whose_fate_is_unknown_are_submitted_again_and_land_once() {
    let mut draws = 0_u32;
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |_| {
        draws += 1;
        match draws % 4 {
            0 => Fault::UnknownAfter,
            1 => Fault::UnknownBefore,
            2 => Fault::Unavailable,
            _ => Fault::Pass,
        }
    });
    let house = House::over(Arc::new(store));
    let (runtime, agent) = house.with_agent().await;

    let result = runtime.run_agent(agent, "once:a once:b pure:c state:d").await.unwrap();

    assert_eq!(result.output.to_string(), "a! b! c! d");
    assert_eq!((house.world.times("a"), house.world.times("b")), (1, 1));
}

#[tokio::test]
async fn a_kind_that_is_not_hosted_keeps_its_runs_until_it_is() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "held:gate once:after").await;
    house.world.began("gate").await;

    let without = runtime_core::RuntimeManager::builder(Arc::clone(&house.store)).open().await.unwrap();
    let status = without.agent(&agent.into()).await.unwrap();
    let view = without.run_status(&run).await.unwrap();
    without.register_kind(Arc::new(super::house::ScriptedKind(Arc::clone(&house.world))));
    without.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    house.world.open("gate");
    house.world.open("gate");

    assert!(!status.hosted);
    assert_eq!(view.phase, Phase::Parked);
    assert_eq!(output(&without, run).await, "gate! after!");
}

#[tokio::test]
async fn an_orderly_end_parks_what_waits_and_the_next_process_goes_on() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, "once:a sleep:150 once:b held:c").await;
    house.world.began("a").await;
    let late = RunRequest::new("late").when_busy(SessionPolicy::Enqueue);
    let late = runtime.submit(&agent.into(), late).await.unwrap().run;

    runtime.shutdown(Duration::from_millis(10)).await.unwrap();
    let refused = runtime.run_agent(agent, "x").await.unwrap_err();
    let next = house.open().await;
    house.world.began("c").await;
    house.world.open("c");

    assert_eq!(refused.code(), "shutting-down");
    assert_eq!(output(&next, run).await, "a! b! c!");
    assert_eq!(output(&next, late).await, "late");
    assert_eq!((house.world.times("a"), house.world.times("b")), (1, 1));
}

#[tokio::test]
async fn a_runtime_at_rest_sets_nothing_off() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let begun = submit(&runtime, agent, "held:a").await;
    house.world.began("a").await;
    let paid = runtime
        .submit(&agent.into(), RunRequest::new("held-once:pay").in_session("other".parse().unwrap()))
        .await;
    let paid = paid.unwrap().run;
    house.world.began("pay").await;
    let behind = submit(&runtime, agent, "pure:b").await;
    let ended = submit(&runtime, agent, "pure:c").await;

    let second = house.open().await;
    until_phase(&second, paid, Phase::Parked).await;
    house.world.began("a").await;

    let rest = house.builder().configure(|config| config.at_rest = true).open().await.unwrap();
    assert_eq!(rest.run_status(&begun).await.unwrap().phase, Phase::Parked);
    assert_eq!(rest.run_status(&behind).await.unwrap().phase, Phase::Queued);
    assert_eq!(rest.run_agent(agent, "pure:d").await.unwrap_err().code(), "wrong-state");
    assert!(matches!(
        rest.cancel(&ended, "enough", Duration::ZERO).await.unwrap(),
        CancelReceipt::Cancelled(_)
    ));
    rest.pause_agent(agent).await.unwrap();
    rest.resume_agent(agent).await.unwrap();
    rest.decide(&paid, &"pay".parse().unwrap(), Decision::Assume(Content::json(&"paid").unwrap()))
        .await
        .unwrap();
    rest.shutdown(Duration::from_secs(10)).await.unwrap();
    assert_eq!((house.world.times("a"), house.world.times("b")), (2, 0));

    let next = house.open().await;
    house.world.began("a").await;
    (0..3).for_each(|_| house.world.open("a"));
    assert_eq!(output(&next, begun).await, "a!");
    assert_eq!(output(&next, behind).await, "b!");
    assert_eq!(output(&next, paid).await, "paid");
    assert_eq!((house.world.times("a"), house.world.times("pay")), (3, 1));
    assert_eq!(house.world.times("c"), 0);
}
