//! Register, start, run, stop; what is refused; what is remembered.

use runtime_traits::runtime::{AgentRef, RunFilter, RunRequest, Runtime, RuntimeError};
use runtime_traits::{AgentSpec, IdempotencyKey};

use super::house::{House, output, submit};

#[tokio::test]
async fn a_run_does_its_steps_and_answers() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;

    let result = runtime.run_agent(agent, "pure:one once:two again:three").await.unwrap();

    assert_eq!(result.output.to_string(), "one! two! three!");
    assert_eq!(house.world.times("two"), 1);
    let view = runtime.run_status(&result.run).await.unwrap();
    assert_eq!(view.entries, 2 + 1 + 2 + 2 + 1, "a pure step has one entry, any other two");
}

#[tokio::test]
async fn a_large_input_and_output_are_kept_beside_the_log() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let input = format!("big:200000 {}", "y ".repeat(10_000));

    let result = runtime.run_agent(agent, input.as_str()).await.unwrap();

    assert!(result.output.to_string().starts_with(&"x".repeat(200_000)));
    let again = output(&house.open().await, result.run).await;
    assert_eq!(again, result.output.to_string());
}

#[tokio::test]
async fn a_panic_is_its_runs_failure_and_nothing_elses() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;

    let error = runtime.run_agent(agent, "panic:ouch").await.unwrap_err();

    assert!(error.to_string().contains("panicked: ouch"), "{error}");
    assert_eq!(runtime.run_agent(agent, "fine").await.unwrap().output.to_string(), "fine");
}

#[tokio::test]
async fn state_is_the_sessions_and_survives_stop_save_and_restore() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "state:a").await.unwrap();
    runtime.run_agent(agent, "state:b").await.unwrap();

    let saved = runtime.save_state(agent).await.unwrap();
    runtime.stop_agent(agent).await.unwrap();
    let refused = runtime.run_agent(agent, "state:c").await.unwrap_err();
    let restored = runtime.restore_agent(&saved).await.unwrap();

    assert_eq!(refused.code(), "not-started");
    assert_eq!(runtime.run_agent(restored, "state:c").await.unwrap().output.to_string(), "a,b,c");
    assert_eq!(runtime.agent(&AgentRef::Id(restored)).await.unwrap().name.as_str(), "a-2");
    runtime.start_agent(agent).await.unwrap();
    assert_eq!(runtime.run_agent(agent, "state:d").await.unwrap().output.to_string(), "a,b,d");
}

#[tokio::test]
async fn a_state_above_the_limit_is_refused_and_nothing_of_it_is_recorded() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "state:a").await.unwrap();

    // As JSON, two quotation marks more.
    let refused = runtime.run_agent(agent, "keep:16777215").await.unwrap();
    let after = runtime.run_agent(agent, "state:b").await.unwrap();
    let largest = runtime.run_agent(agent, "keep:16777214").await.unwrap();

    let words = "the session's state has 16777217 bytes; the limit is 16777216";
    assert_eq!(refused.output.to_string(), words);
    assert_eq!(runtime.run_status(&refused.run).await.unwrap().entries, 3, "no state is among them");
    assert_eq!(after.output.to_string(), "a,b");
    assert_eq!(largest.output.to_string(), "kept");
}

#[tokio::test]
async fn the_same_key_gives_the_same_run_also_when_asked_at_once() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let agent = AgentRef::Id(agent);
    let request = RunRequest::new("once:paid").with_key(IdempotencyKey::new("k1").unwrap());

    let (a, b) =
        tokio::join!(runtime.submit(&agent, request.clone()), runtime.submit(&agent, request.clone()));
    let (a, b) = (a.unwrap(), b.unwrap());
    output(&runtime, a.run).await;
    let later = house.open().await.submit(&agent, request.clone()).await.unwrap();

    assert_eq!(a.run, b.run);
    assert_eq!((later.run, later.repeated), (a.run, true));
    assert_eq!(house.world.times("paid"), 1);
    let other = RunRequest { input: "else".into(), ..request };
    let error = house.open().await.submit(&agent, other).await.unwrap_err();
    assert_eq!(error.code(), "key-reused");
}

#[tokio::test]
async fn registering_again_attaches_and_a_change_is_a_revision() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;

    let same =
        runtime.register_spec(AgentSpec::new("scripted", "A").unwrap().described("new")).await.unwrap();

    assert_eq!(same, agent);
    assert_eq!(runtime.agent(&agent.into()).await.unwrap().revision, 2);
    let listed = runtime.agents(None, 10).await.unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test]
async fn a_deleted_agent_leaves_nothing() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    runtime.run_agent(agent, "state:a pure:b").await.unwrap();
    let still = runtime.unregister(&agent.into()).await.unwrap_err();
    runtime.stop_agent(agent).await.unwrap();

    runtime.unregister(&agent.into()).await.unwrap();

    assert!(matches!(still, RuntimeError::WrongState { .. }));
    assert!(runtime.agents(None, 10).await.unwrap().items.is_empty());
    assert!(runtime.runs(RunFilter::default()).await.unwrap().items.is_empty());
    for partition in house.store.partitions().await.unwrap() {
        let all = runtime_traits::store::Key::all(partition);
        for (key, _) in house.store.scan(&all, None, 10_000).await.unwrap() {
            let path = key.path.to_string();
            assert!(path == "own" || path.starts_with("due/"), "{path} is left");
        }
        let logs = runtime_traits::store::Log::all(partition);
        assert!(house.store.logs(&logs, None, 10_000).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn queued_runs_are_worked_in_the_order_of_acceptance() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let first = submit(&runtime, agent, "held:gate state:0").await;
    house.world.began("gate").await;
    let mut rest = Vec::new();
    for n in 1..20 {
        rest.push(submit(&runtime, agent, &format!("state:{n}")).await);
    }
    let status = runtime.agent(&agent.into()).await.unwrap();

    house.world.open("gate");
    output(&runtime, first).await;
    let mut last = String::new();
    for run in rest {
        last = output(&runtime, run).await;
    }

    assert_eq!((status.running, status.queued), (1, 19));
    assert_eq!(last, (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
}
