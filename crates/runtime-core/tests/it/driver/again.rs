//! A call that is made once more within its step is a call like the first: it is held before it is sent.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::id::AgentId;
use runtime_traits::log::{FailureKind, Phase, WaitOn};
use runtime_traits::resource::{Limit, Refused, Whose};
use runtime_traits::runtime::{Decision, Joined, Runtime};
use runtime_traits::{AgentSpec, RunId, UnixMillis};

use super::house::{House, output, submit, until_phase};

const FULL: Lets = Lets::Wait(None);

/// A run whose first call is under way, in a runtime that asks `turnstile`.
async fn called(house: &House, turnstile: &Turnstile, script: &str) -> (RuntimeManager, AgentId, RunId) {
    let runtime = house.builder().governor(Arc::new(turnstile.clone())).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, script).await;
    house.world.began("call").await;
    (runtime, agent, run)
}

async fn reopened(house: &House, turnstile: &Turnstile) -> RuntimeManager {
    let runtime = house.builder().governor(Arc::new(turnstile.clone())).open().await.unwrap();
    runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime
}

#[tokio::test]
async fn each_call_of_a_step_is_held_and_settled_by_itself() {
    for (sort, first) in [("billed", 100), ("free", 0)] {
        let (house, turnstile) = (House::new(), Turnstile::default());
        let script = format!("breaks:{sort}/100/30");
        let (runtime, _, run) = called(&house, &turnstile, &script).await;
        assert_eq!((turnstile.asked().len(), turnstile.settled().len()), (1, 0));
        house.world.open("call");
        house.world.began("call again").await;

        let asked = turnstile.asked();
        assert_eq!(asked.len(), 2, "the second is asked for before it is sent");
        assert_ne!(asked[0].id, asked[1].id);
        assert_eq!(asked[1].most, asked[0].most, "its worst case is held as well");
        let settled = turnstile.settled();
        assert_eq!(settled.len(), 1, "the first is over, the second is under way");
        assert_eq!((settled[0].0, settled[0].1.output_tokens), (asked[0].id, first));
        assert_eq!(settled[0].1.model_calls, 1, "it counts as a request, whatever it took");
        house.world.open("call again");
        assert_eq!(output(&runtime, run).await, "30 used");

        let settled = turnstile.settled();
        assert_eq!((settled[1].0, settled[1].1.output_tokens), (asked[1].id, 30));
        let view = runtime.run_status(&run).await.unwrap();
        assert_eq!((view.usage.output_tokens, view.usage.model_calls), (first + 30, 2));
        assert_eq!((view.price.micros, view.steps[0].tries), (Some(first + 30), 2));
        assert_eq!(view.steps[0].reserved_micros, 100, "the log says what is held");
    }
}

#[tokio::test]
async fn the_work_of_a_step_is_told_all_that_is_held_for_its_call() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    turnstile.holds_more(7);
    let (runtime, _, run) = called(&house, &turnstile, "breaks:billed/100/30").await;
    turnstile.holds_more(0);
    house.world.open("call");
    house.world.began("call again").await;

    let (_, took) = turnstile.settled()[0];
    assert_eq!(took.tokens(), 107, "nobody knows what it took");
    house.world.open("call again");
    assert_eq!(output(&runtime, run).await, "30 used");
    assert_eq!(runtime.run_status(&run).await.unwrap().usage.tokens(), 137);
}

#[tokio::test]
async fn a_call_that_a_limit_refuses_is_not_made_once_more_and_its_run_fails_for_it() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _, run) = called(&house, &turnstile, "breaks:billed/100/30").await;
    turnstile.set(Lets::Refuse(Refused::Reached {
        limit: Limit::MaxTokensTotal,
        whose: Whose::Agent,
        retry_after: None,
    }));
    house.world.open("call");

    let Joined::Ended(finished) = runtime.join(&run, Duration::from_secs(20)).await.unwrap() else {
        unreachable!("it ends")
    };

    let failure = finished.failure().unwrap();
    assert!(failure.message.contains("`max_tokens_total` is reached"), "{failure}");
    assert_eq!((house.world.times("call again"), finished.usage.output_tokens), (0, 100));
    assert_eq!(turnstile.settled().len(), 1, "nothing else was held");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.usage, view.price.micros), (finished.usage, Some(100)));
    assert_eq!(failure.kind, FailureKind::Limit);
}

#[tokio::test]
async fn a_call_that_finds_no_room_waits_visibly_between_two_calls_and_goes_on() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _, run) = called(&house, &turnstile, "breaks:free/100/30").await;
    turnstile.set(FULL);
    house.world.open("call");
    until_phase(&runtime, run, Phase::Waiting).await;
    let view = runtime.run_status(&run).await.unwrap();
    assert!(matches!(&view.waits[0].on, WaitOn::Budget(_)), "{view:?}");
    assert_eq!(view.price.micros.unwrap_or(0), 0, "what was refused cost nothing");

    turnstile.set(Lets::Through);
    house.world.began("call again").await;
    house.world.open("call again");

    assert_eq!(output(&runtime, run).await, "30 used");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.usage.output_tokens, view.usage.model_calls, view.price.micros), (30, 2, Some(30)));
}

#[tokio::test]
async fn a_run_that_is_cancelled_between_two_calls_leaves_nothing_held() {
    for long in [false, true] {
        let (house, turnstile) = (House::new(), Turnstile::default());
        let (runtime, _, run) = called(&house, &turnstile, "breaks:billed/100/30").await;
        turnstile.set(FULL);
        house.world.open("call");
        if long {
            until_phase(&runtime, run, Phase::Waiting).await;
        } else {
            while turnstile.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        }

        // It is told so, and ends by itself.
        runtime.cancel(&run, "enough", Duration::from_secs(600)).await.unwrap();

        assert_eq!((turnstile.waiting(), turnstile.settled().len()), (0, 1));
        assert_eq!(house.world.times("call again"), 0);
        let view = runtime.run_status(&run).await.unwrap();
        assert_eq!((view.usage.output_tokens, view.price.micros), (100, Some(100)), "{long}");
    }
}

#[tokio::test]
async fn what_broke_off_counts_once_over_a_restart_wherever_it_comes() {
    // While it waits for room; while the second call is under way.
    for (waits, expected) in [(true, 100), (false, 200)] {
        let (house, first) = (House::new(), Turnstile::default());
        let (runtime, agent, run) = called(&house, &first, "breaks:billed/100/30").await;
        if waits {
            first.set(FULL);
        }
        house.world.open("call");
        if waits {
            until_phase(&runtime, run, Phase::Waiting).await;
        } else {
            house.world.began("call again").await;
        }
        drop(runtime);

        let second = Turnstile::default();
        let runtime = reopened(&house, &second).await;
        house.world.began("call").await;
        let told = second.told(&agent).unwrap();
        assert_eq!((told.tokens, told.micros), (expected, expected), "{waits}");
        for _ in 0..2 {
            house.world.open("call");
            house.world.open("call again");
        }
        assert_eq!(output(&runtime, run).await, "30 used");
        let view = runtime.run_status(&run).await.unwrap();
        assert_eq!(view.usage.output_tokens, expected + 100 + 30, "{waits}");
        assert_eq!(view.price.micros, Some(expected + 100 + 30));
    }
}

#[tokio::test]
async fn a_copy_of_a_run_counts_nothing_of_what_broke_off_in_the_original() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _, run) = called(&house, &turnstile, "breaks:billed/100/30").await;
    house.world.open("call");
    house.world.open("call again");
    assert_eq!(output(&runtime, run).await, "30 used");

    let copy = runtime.fork(&run, Default::default()).await.unwrap();

    assert_eq!(output(&runtime, copy).await, "30 used");
    let view = runtime.run_status(&copy).await.unwrap();
    assert_eq!((view.usage.output_tokens, view.price.micros.unwrap_or(0)), (0, 0));
    assert_eq!(house.world.times("call"), 1, "it is the original's");
}

#[tokio::test]
async fn a_run_that_waits_long_between_two_calls_parks_and_goes_on_with_the_step() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent, run) = called(&house, &turnstile, "breaks:billed/100/30").await;
    turnstile.set(Lets::Wait(Some(UnixMillis(u64::MAX / 2))));
    house.world.open("call");
    until_phase(&runtime, run, Phase::Parked).await;
    assert_eq!(turnstile.waiting(), 0);

    turnstile.set(Lets::Through);
    runtime.set_limits(&agent.into(), Default::default()).await.unwrap();
    for what in ["call", "call again"] {
        house.world.began(what).await;
        house.world.open(what);
    }

    assert_eq!(output(&runtime, run).await, "30 used");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.usage.output_tokens, view.usage.model_calls), (230, 3));
}

#[tokio::test]
async fn a_step_that_may_happen_once_is_decided_about_when_its_work_is_gone_between_two_calls() {
    for dies in [false, true] {
        let (house, first) = (House::new(), Turnstile::default());
        let (mut runtime, agent, run) = called(&house, &first, "breaks-once:billed/100/30").await;
        first.set(if dies { FULL } else { Lets::Wait(Some(UnixMillis(u64::MAX / 2))) });
        house.world.open("call");
        if dies {
            until_phase(&runtime, run, Phase::Waiting).await;
            drop(runtime);
            runtime = reopened(&house, &Turnstile::default()).await;
        } else {
            until_phase(&runtime, run, Phase::Parked).await;
            first.set(Lets::Through);
            runtime.set_limits(&agent.into(), Default::default()).await.unwrap();
        }

        let waits = loop {
            let waits = runtime.run_status(&run).await.unwrap().waits;
            if !matches!(waits.first().map(|wait| &wait.on), None | Some(WaitOn::Budget(_))) {
                break waits;
            }
            assert_eq!(house.world.times("call"), 1, "it is not done again");
            tokio::task::yield_now().await;
        };
        assert!(matches!(&waits[..], [wait] if matches!(wait.on, WaitOn::Decision(_))), "{waits:?}");
        assert_eq!(house.world.times("call"), 1);

        let step = waits[0].on.step().unwrap().clone();
        runtime.decide(&run, &step, Decision::Repeat).await.unwrap();
        for what in ["call", "call again"] {
            house.world.began(what).await;
            house.world.open(what);
        }
        assert_eq!(output(&runtime, run).await, "30 used");
    }
}

#[tokio::test]
async fn a_call_is_made_once_more_also_from_another_task_than_its_attempts() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _, run) = called(&house, &turnstile, "breaks-apart:30").await;
    house.world.open("call");

    assert_eq!(output(&runtime, run).await, "Ok(Go)");
    assert_eq!(turnstile.asked().len(), 2);
}

#[tokio::test]
async fn a_step_that_turns_out_to_be_done_waits_for_no_room_any_more() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent, run) = called(&house, &turnstile, "breaks-known:100 held:then").await;
    turnstile.set(Lets::Wait(Some(UnixMillis(u64::MAX / 2))));
    house.world.open("call");
    until_phase(&runtime, run, Phase::Parked).await;

    runtime.set_limits(&agent.into(), Default::default()).await.unwrap();
    house.world.began("then").await;

    assert_eq!(runtime.run_status(&run).await.unwrap().waits, []);
    house.world.open("then");
    assert_eq!(output(&runtime, run).await, "done before then!");
}

#[tokio::test]
async fn work_in_another_task_that_asks_to_make_its_call_again_is_told_when_its_run_ends_or_parks() {
    for parks in [false, true] {
        let (house, turnstile) = (House::new(), Turnstile::default());
        let (runtime, _, run) = called(&house, &turnstile, "breaks-apart:30").await;
        turnstile.set(if parks { Lets::Wait(Some(UnixMillis(u64::MAX / 2))) } else { FULL });
        house.world.open("call");
        if parks {
            until_phase(&runtime, run, Phase::Parked).await;
        } else {
            until_phase(&runtime, run, Phase::Waiting).await;
            runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();
        }

        // It asks again by itself after 20 s.
        let told = tokio::time::timeout(Duration::from_secs(10), house.world.began("told Ok(Ends)"));
        told.await.expect("it is told at once");
    }
}
