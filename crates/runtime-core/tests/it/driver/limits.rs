//! Agents are held to limits: who holds them is asked before each call, and told what it took.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Lets, MapStore, Turnstile};
use runtime_testkit::recount::cells;
use runtime_traits::id::AgentId;
use runtime_traits::log::{FailureKind, Phase, WaitOn};
use runtime_traits::resource::{Limit, OnLimit, Refused, ResourceLimits, Whose};
use runtime_traits::runtime::{AgentRef, ForkRequest, Joined, RunRequest, Runtime};
use runtime_traits::store::{Key, Then};
use runtime_traits::{AgentSpec, RunId, RuntimeError, Tenant, UnixMillis};

use super::house::{House, meddle, output, submit, until_phase};
use super::swept::Years;

pub(super) const FULL: Lets = Lets::Wait(None);

fn refusal() -> Refused {
    let (limit, whose) = (Limit::MaxTokensTotal, Whose::Agent);
    Refused::Reached { limit, whose, retry_after: Some(Duration::from_secs(7)) }
}

/// A runtime whose agent `a` is held to limits.
pub(super) async fn governed(
    house: &House,
    turnstile: &Turnstile,
    limits: ResourceLimits,
) -> (RuntimeManager, AgentId) {
    let runtime = house.builder().governor(Arc::new(turnstile.clone())).open().await.unwrap();
    let spec = AgentSpec::new("scripted", "a").unwrap().limited(limits);
    let agent = runtime.register_spec(spec).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

pub(super) async fn failure(runtime: &RuntimeManager, run: RunId) -> (FailureKind, String) {
    match runtime.join(&run, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => {
            let failure = finished.failure().expect("it fails").clone();
            (failure.kind, failure.message)
        }
        Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

/// Waits until so many calls wait for room.
pub(super) async fn until_waiting(runtime: &RuntimeManager, run: RunId) {
    loop {
        if runtime.run_status(&run).await.unwrap().room.is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_is_let_through_before_it_is_made_and_told_over_with_what_it_took() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;

    let run = submit(&runtime, agent, "once:free costs:100/30").await;

    assert_eq!(output(&runtime, run).await, "free! 30 used");
    let asked = turnstile.asked();
    assert_eq!(asked.len(), 1, "what takes nothing is not asked about");
    assert_eq!((asked[0].run, asked[0].most.output_tokens), (run, 100));
    assert_eq!(asked[0].model, Some("test/priced".into()));
    let settled = turnstile.settled();
    assert_eq!(settled.len(), 1);
    assert_eq!((settled[0].0, settled[0].1.output_tokens), (asked[0].id, 30));
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!(view.price.micros, Some(30), "what the call cost is in the log");
    assert_eq!(view.steps[1].reserved_micros, 100, "and what it could have cost");
    assert_eq!(turnstile.over(), [run]);
}

#[tokio::test]
async fn a_run_waits_for_room_visibly_and_goes_on_when_there_is_some() {
    let (house, turnstile) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Waiting).await;

    let view = runtime.run_status(&run).await.unwrap();
    assert!(matches!(&view.waits[0].on, WaitOn::Budget(step) if step.name.as_str() == "model"), "{view:?}");
    let room = view.room.expect("it is known what it waits for");
    assert_eq!((room.limit, room.place), (Limit::MaxTokensTotal, 1));
    assert_eq!(house.world.times("100/30"), 0, "nothing was sent");
    turnstile.set(Lets::Through);

    assert_eq!(output(&runtime, run).await, "30 used");
    assert_eq!(house.world.times("100/30"), 1);
}

#[tokio::test]
async fn a_run_that_waits_long_parks_and_another_limit_lets_it_go_on_at_once() {
    let (house, turnstile) = (House::new(), Turnstile::that(Lets::Wait(Some(UnixMillis(u64::MAX / 2)))));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    assert_eq!(turnstile.waiting(), 0, "a parked run has no place");

    turnstile.set(Lets::Through);
    let more = ResourceLimits { max_tokens_total: Some(9), ..ResourceLimits::default() };
    runtime.set_limits(&AgentRef::Id(agent), more).await.unwrap();

    assert_eq!(output(&runtime, run).await, "30 used");
    assert_eq!(turnstile.limits().last(), Some(&more));
    assert_eq!(runtime.agent(&AgentRef::Id(agent)).await.unwrap().revision, 2, "a change is a revision");
}

#[tokio::test]
async fn a_run_that_waits_for_a_moment_looks_again_then() {
    let house = House::new();
    let soon = UnixMillis(u64::MAX / 2);
    let turnstile = Turnstile::that(Lets::Wait(Some(soon)));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;

    let view = runtime.run_status(&run).await.unwrap();

    assert_eq!(view.waits[0].wake_at, Some(soon), "the log says for which moment it waits");
    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_refused_fails_its_run_for_a_limit_and_is_not_made() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { on_limit: OnLimit::Refuse, ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let run = submit(&runtime, agent, "held:first costs:100/30").await;
    house.world.began("first").await;
    turnstile.set(Lets::Refuse(refusal()));
    house.world.open("first");

    let (kind, message) = failure(&runtime, run).await;

    assert_eq!(kind, FailureKind::Limit);
    assert!(message.contains("`max_tokens_total` is reached, for 7 s more"), "{message}");
    assert_eq!(house.world.times("100/30"), 0);
    assert_eq!(turnstile.asked()[0].on_limit, OnLimit::Refuse);
    let refused = runtime.submit(&AgentRef::Id(agent), RunRequest::new("more")).await.unwrap_err();
    assert_eq!(refused, RuntimeError::AtLimit { agent: agent.to_string(), refused: refusal() });
}

#[tokio::test]
async fn what_was_used_before_a_restart_is_told_with_what_was_under_way() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    let over = submit(&runtime, agent, "costs:100/30").await;
    output(&runtime, over).await;
    let open = submit(&runtime, agent, "costs:100/20 costs-held:100/50").await;
    house.world.began("100/50").await;
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, ResourceLimits::default()).await;
    // The step of the process that is gone waits there as well.
    house.world.open("100/50");
    house.world.open("100/50");
    assert_eq!(output(&runtime, open).await, "20 used 50 used");

    let told = second.told(&agent).expect("it is told before the first call");
    assert_eq!(told.tokens, 30 + 20 + 100, "the call under way counts with what was held for it");
    assert_eq!(told.micros, 150);
    assert_eq!(told.minutes.iter().map(|minute| minute.tokens).sum::<u64>(), 150);
    assert_eq!(told.minutes.iter().map(|minute| minute.requests).sum::<u64>(), 3);
    assert_eq!(told.open.iter().map(|open| (open.run, open.tokens)).collect::<Vec<_>>(), [(open, 120)]);
    assert_eq!(second.asked().len(), 1, "a settled call is not asked for again");

    // A third process finds all of it in cells.
    drop(runtime);
    let third = Turnstile::default();
    let (runtime, agent) = governed(&house, &third, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:1/0").await).await;
    let told = third.told(&agent).expect("it is told before the first call");
    assert_eq!((told.tokens, told.micros, told.open.len()), (30 + 20 + 100 + 50, 200, 0));
    assert_eq!(told.minutes.iter().map(|minute| minute.tokens).sum::<u64>(), 200);
    assert_eq!(told.hours.iter().map(|hour| hour.micros).sum::<u64>(), 200);
    assert_eq!(told.month_micros, 200);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_told_over() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs-held:100/30").await;
    house.world.began("100/30").await;

    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    let settled = turnstile.settled();
    assert_eq!(settled.len(), 1, "nothing stays held");
    assert_eq!(
        settled[0].1.output_tokens, 100,
        "nobody knows what it took: it counts with all that it could"
    );
    assert_eq!(runtime.run_status(&run).await.unwrap().price.micros, Some(100));
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_waits_leaves_no_place_behind() {
    let (house, turnstile) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_waiting(&runtime, run).await;

    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    assert_eq!(turnstile.waiting(), 0);
    assert_eq!(house.world.times("100/30"), 0);
}

#[tokio::test]
async fn a_run_that_waited_when_its_process_died_asks_anew() {
    let (house, first) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Waiting).await;
    drop(runtime);

    let (runtime, _) = governed(&house, &Turnstile::default(), ResourceLimits::default()).await;

    assert_eq!(output(&runtime, run).await, "30 used");
    let entries = runtime.run_status(&run).await.unwrap();
    assert!(entries.waits.is_empty());
}

#[tokio::test]
async fn a_run_has_no_more_steps_than_it_may_also_over_a_restart() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_steps_per_run: Some(2), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let within = submit(&runtime, agent, "pure:a once:b").await;
    assert_eq!(output(&runtime, within).await, "a! b!");

    let beyond = submit(&runtime, agent, "once:c held:d once:e").await;
    house.world.began("d").await;
    drop(runtime);
    let (runtime, _) = governed(&house, &turnstile, limits).await;
    house.world.open("d");
    house.world.open("d");

    let (kind, message) = failure(&runtime, beyond).await;
    assert_eq!(kind, FailureKind::Limit);
    assert!(message.contains("`max_steps_per_run` is 2"), "{message}");
    assert_eq!(house.world.times("e"), 0);
}

#[tokio::test]
async fn calls_side_by_side_and_calls_of_agents_are_steps_as_well() {
    let (house, turnstile) = (House::new(), Turnstile::that(FULL));
    let limits = ResourceLimits { max_steps_per_run: Some(2), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let many = submit(&runtime, agent, "many:3").await;
    assert_eq!(failure(&runtime, many).await.0, FailureKind::Limit);
    let called = submit(&runtime, agent, "once:a once:b call:b/x").await;
    assert_eq!(failure(&runtime, called).await.0, FailureKind::Limit);
}

#[tokio::test]
async fn runs_that_go_on_one_from_the_other_share_the_limits_of_a_run() {
    let (house, first) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_steps_per_run: Some(4), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &first, limits).await;
    let run = submit(&runtime, agent, "once:a costs:100/30 go-on:held/b,costs/50").await;
    house.world.began("b").await;
    assert_eq!(first.asked()[0].run, run);
    assert_eq!(first.over(), [], "what it took counts for the next");
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, limits).await;
    for _ in 0..2 {
        house.world.open("b");
    }
    let heir = loop {
        if let Some(call) = second.asked().first() {
            break call.run;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(heir, run, "the calls of all of them are counted as the first one's");
    let told = second.told(&agent).unwrap();
    assert_eq!(told.open.iter().map(|open| (open.run, open.tokens)).collect::<Vec<_>>(), [(run, 30)]);
    assert_eq!(told.tokens, 30, "which counts once for their agent");
    while second.over() != [run] {
        tokio::task::yield_now().await;
    }

    let beyond = submit(&runtime, agent, "once:c once:d go-on:once/e,once/f,once/g").await;
    let heir = match runtime.join(&beyond, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            runtime_traits::Outcome::Continued(heir) => heir,
            other => panic!("{other:?}"),
        },
        Joined::Open(view) => panic!("{view:?}"),
    };
    let (kind, message) = failure(&runtime, heir).await;
    assert_eq!(kind, FailureKind::Limit);
    assert!(message.contains("`max_steps_per_run` is 4"), "{message}");
    assert_eq!((house.world.times("f"), house.world.times("g")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_time_for_a_run_holds_for_runs_that_had_begun_and_for_those_that_wait_also_over_a_restart() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::default());
    let within = |seconds| ResourceLimits { max_run_seconds: Some(seconds), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, within(6)).await;
    let at_work = submit(&runtime, agent, "held:x").await;
    house.world.began("x").await;
    runtime.set_limits(&agent.into(), within(600)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    house.world.open("x");
    assert_eq!(output(&runtime, at_work).await, "x!", "it was given more");

    let at_work = submit(&runtime, agent, "forever").await;
    let queued = submit(&runtime, agent, "once:never").await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let now = house.clock.as_ref().unwrap().now();
    runtime.set_limits(&agent.into(), within(50)).await.unwrap();
    let status = runtime.agent(&agent.into()).await.unwrap();
    assert_eq!((status.declared_at, status.limits), (now, within(50)), "since when is told");
    assert_eq!(failure(&runtime, at_work).await.0, FailureKind::Deadline, "less");
    assert_eq!(failure(&runtime, queued).await.0, FailureKind::Deadline);

    runtime.set_limits(&agent.into(), within(600)).await.unwrap();
    let at_work = submit(&runtime, agent, "forever").await;
    let queued = submit(&runtime, agent, "once:never").await;
    drop(runtime);
    let (runtime, agent) = governed(&house, &turnstile, within(600)).await;
    runtime.set_limits(&agent.into(), within(900)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert!(runtime.run_status(&at_work).await.unwrap().outcome.is_none());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(failure(&runtime, at_work).await.0, FailureKind::Deadline);
    assert_eq!(failure(&runtime, queued).await.0, FailureKind::Deadline);
    assert_eq!(house.world.times("never"), 0);
}

#[tokio::test]
async fn another_number_of_steps_holds_for_runs_that_had_begun() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "once:a held:b once:c").await;
    house.world.began("b").await;
    let limits = ResourceLimits { max_steps_per_run: Some(2), ..ResourceLimits::default() };

    runtime.set_limits(&agent.into(), limits).await.unwrap();
    house.world.open("b");

    assert_eq!(failure(&runtime, run).await.0, FailureKind::Limit);
    assert_eq!(house.world.times("c"), 0);
}

#[tokio::test]
async fn a_copy_of_a_run_is_held_to_what_a_new_run_may_take() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_run_seconds: Some(1), on_limit: OnLimit::Refuse, ..Default::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let run = submit(&runtime, agent, "once:a").await;
    assert_eq!(output(&runtime, run).await, "a!");
    let with = |input: &str| ForkRequest { input: Some(input.into()), ..ForkRequest::default() };

    let copy = runtime.fork(&run, with("forever")).await.unwrap();
    assert_eq!(failure(&runtime, copy).await.0, FailureKind::Deadline);
    let same = runtime.fork(&run, ForkRequest::default()).await.unwrap();
    assert_eq!(output(&runtime, same).await, "a!", "its time begins with it");
    turnstile.set(Lets::Refuse(refusal()));
    let refused = runtime.fork(&run, with("b")).await.unwrap_err();
    assert_eq!(refused, RuntimeError::AtLimit { agent: agent.to_string(), refused: refusal() });
}

#[tokio::test]
async fn a_run_is_over_in_the_time_that_it_may_take() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_run_seconds: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;

    let run = submit(&runtime, agent, "forever").await;

    let (kind, message) = failure(&runtime, run).await;
    assert_eq!(kind, FailureKind::Deadline);
    assert!(message.contains("`max_run_seconds`"), "{message}");
    let own = RunRequest::new("forever").within(Duration::from_millis(10));
    let own = runtime.submit(&AgentRef::Id(agent), own).await.unwrap().run;
    assert!(failure(&runtime, own).await.1.contains("deadline"));
}

#[tokio::test]
async fn no_more_runs_of_an_agent_queue_than_may() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_queued: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let at_work = submit(&runtime, agent, "held:x").await;
    house.world.began("x").await;
    let queued = submit(&runtime, agent, "y").await;

    let refused = runtime.submit(&AgentRef::Id(agent), RunRequest::new("z")).await.unwrap_err();

    assert!(matches!(&refused, RuntimeError::Busy { limit: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("max_queued"), "{refused}");
    house.world.open("x");
    assert_eq!(output(&runtime, at_work).await, "x!");
    assert_eq!(output(&runtime, queued).await, "y");
    let again = submit(&runtime, agent, "z").await;
    assert_eq!(output(&runtime, again).await, "z");
}

#[tokio::test]
async fn no_more_runs_are_worked_at_once_than_may_and_those_that_wait_can_be_cancelled() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_concurrent_requests: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &turnstile, limits).await;
    let in_session = |script: &str, session: &str| {
        RunRequest::new(script).in_session(runtime_traits::SessionName::new(session).unwrap())
    };
    let agent = AgentRef::Id(agent);
    let mut runs = Vec::new();
    for session in ["one", "two", "three"] {
        let request = in_session(&format!("held:{session}"), session);
        let run = runtime.submit(&agent, request).await.unwrap().run;
        while turnstile.entered().last() != Some(&run) {
            tokio::task::yield_now().await;
        }
        runs.push(run);
    }
    turnstile.at_once(1);
    house.world.began("one").await;

    runtime.cancel(&runs[1], "enough", Duration::from_secs(60)).await.unwrap();
    assert_eq!(house.world.times("two") + house.world.times("three"), 0, "one is worked");
    house.world.open("one");
    assert_eq!(output(&runtime, runs[0]).await, "one!");
    house.world.began("three").await;
    house.world.open("three");
    assert_eq!(output(&runtime, runs[2]).await, "three!");
    assert_eq!(house.world.times("two"), 0);
    assert_eq!(turnstile.entered(), runs);
}

#[tokio::test]
async fn a_run_that_had_begun_waits_for_its_turn_after_a_restart_and_does_not_diverge() {
    let (house, first) = (House::new(), Turnstile::default());
    let limits = ResourceLimits { max_concurrent_requests: Some(1), ..ResourceLimits::default() };
    first.at_once(1);
    let (runtime, agent) = governed(&house, &first, limits).await;
    let run = submit(&runtime, agent, "once:a held:b").await;
    house.world.began("b").await;
    drop(runtime);
    let second = Turnstile::default();
    let builder = house.builder().configure(|config| config.replay_stall = Duration::from_millis(1));
    let runtime = builder.governor(Arc::new(second.clone())).open().await.unwrap();
    while second.entered().last() != Some(&run) {
        tokio::task::yield_now().await;
    }
    // As often as its replay could have been given up meanwhile.
    for _ in 0..20 {
        runtime
            .cancel(&RunId::from_parts(run.partition(), uuid::Uuid::nil()), "", Duration::ZERO)
            .await
            .unwrap_err();
        tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
    }

    second.at_once(1);
    house.world.open("b");
    house.world.open("b");

    assert_eq!(output(&runtime, run).await, "a! b!");
}

#[tokio::test]
async fn limits_that_nobody_holds_or_that_contradict_each_other_are_refused_at_registration() {
    let house = House::new();
    let limited = |limits| AgentSpec::new("scripted", "a").unwrap().limited(limits);
    let some = ResourceLimits { max_tokens_total: Some(5), ..ResourceLimits::default() };
    let nobody = house.open().await.register_spec(limited(some)).await.unwrap_err();
    assert!(nobody.to_string().contains("nobody holds agents to limits here"), "{nobody}");

    let (runtime, agent) = governed(&house, &Turnstile::default(), some).await;
    let zero = ResourceLimits { max_tokens_total: Some(0), ..ResourceLimits::default() };
    let refused = runtime.set_limits(&AgentRef::Id(agent), zero).await.unwrap_err();
    assert!(refused.to_string().contains("`max_tokens_total` is 0"), "{refused}");
    assert_eq!(runtime.agent(&AgentRef::Id(agent)).await.unwrap().limits, some, "what was set stays");
}

#[tokio::test]
async fn whoever_looks_at_agents_is_told_what_they_used_and_makes_none_active() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    drop(runtime);

    let second = Turnstile::default();
    let runtime = house.builder().governor(Arc::new(second.clone())).open().await.unwrap();
    let listed = runtime.agents(None, 10).await.unwrap().items;

    assert_eq!(listed[0].usage.tokens_total, 30);
    assert_eq!(second.told(&agent), None, "nothing is kept of an agent that does nothing");
    assert_eq!(runtime.status().await.unwrap().active_agents, 0);
}

#[tokio::test]
async fn what_cannot_be_read_of_an_agents_use_is_named_and_lets_nothing_through_that_is_limited() {
    let (house, first) = (House::new(), Turnstile::default());
    let limited = ResourceLimits { max_tokens_total: Some(900), ..ResourceLimits::default() };
    let (runtime, agent) = governed(&house, &first, limited).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    drop(runtime);
    let cell = keys::usage(&Tenant::default(), &agent, "m-0000000001-tokens");
    meddle(house.store.as_ref(), 1, Then::Put(cell.clone(), "no number".into())).await;

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, limited).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    let (kind, message) = failure(&runtime, run).await;
    assert_eq!(kind, FailureKind::Limit);
    assert!(message.contains(&cell.to_string()), "{message}");
    assert_eq!((house.world.times("100/30"), second.asked().len()), (1, 0), "the first time was before");
    let listed = runtime.agents(None, 10).await.unwrap().items;
    assert!(listed[0].damage.as_ref().unwrap().contains(&cell.to_string()), "{listed:?}");

    // Who is not limited goes on: nothing can be exceeded.
    runtime.set_limits(&agent.into(), ResourceLimits::default()).await.unwrap();
    assert_eq!(output(&runtime, submit(&runtime, agent, "costs:100/30").await).await, "30 used");
}

#[tokio::test]
async fn use_is_kept_by_the_minute_as_long_as_it_is_needed() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    turnstile.limit_tenants();
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    output(&runtime, run).await;

    let log = runtime.run_status(&run).await.unwrap();
    assert_eq!(log.usage.output_tokens, 30);
    drop(runtime);
    let next = Turnstile::default();
    next.limit_tenants();
    let (runtime, agent) = governed(&house, &next, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:1/0").await).await;
    let of_tenant = next.told_of_a_tenant().expect("a tenant's use is told once");
    assert_eq!((of_tenant.tokens, of_tenant.micros, of_tenant.month_micros), (30, 30, 30));
}

#[tokio::test]
async fn what_an_agent_used_that_nobody_uses_any_more_goes_with_its_runs() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = governed(&years.house, &Turnstile::default(), ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    runtime.shutdown(Duration::from_secs(20)).await.unwrap();
    let kept = async || {
        let cells = cells(years.house.store.as_ref(), agent.partition()).await;
        let path = |key: &Key| String::from_utf8_lossy(key.path.as_bytes()).into_owned();
        cells
            .iter()
            .filter(|(key, _)| path(key).contains("/usage/m-") || path(key).contains("/usage/h-"))
            .count()
    };
    assert!(kept().await >= 3, "by the minute and by the hour");

    let _runtime = years.later(Duration::from_secs(31 * 24 * 60 * 60)).await;

    assert_eq!(kept().await, 0);
}

#[tokio::test]
async fn an_agent_without_limits_of_its_own_is_checked_against_those_of_its_tenant() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _) = governed(&house, &turnstile, ResourceLimits::default()).await;
    assert_eq!(turnstile.checked(), [], "nothing is limited");

    turnstile.limit_tenants();
    runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();

    assert_eq!(turnstile.checked(), [(Tenant::default(), ResourceLimits::default())]);
}
