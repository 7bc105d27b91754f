//! What callers do wrong, and what agents do wrong: typed errors, nothing half-done, nobody else harmed.

use std::time::Duration;

use runtime_traits::log::{FailureKind, StepKey};
use runtime_traits::runtime::{Decision, RunRequest};
use runtime_traits::{AgentSpec, Content, Name, Outcome, RunFailure, RuntimeError};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

/// A declaration that cannot be built is refused with the reason, and registers nothing.
pub async fn bad_declarations_are_refused(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;

    let unknown = runtime.register(AgentSpec::new("poet", "a").expect("names")).await;
    assert!(
        matches!(&unknown, Err(RuntimeError::UnknownKind { kind, known })
            if kind == "poet" && known.contains("echo")),
        "{unknown:?}"
    );
    let settings = AgentSpec::new("echo", "a").expect("names").configured(&["colour"]).expect("JSON");
    let refused = runtime.register(settings).await;
    assert!(matches!(&refused, Err(RuntimeError::Spec(_))), "{refused:?}");
    assert!(refused.is_err_and(|error| error.to_string().contains("`a`")));

    assert!(runtime.agents(None, 0).await.expect("agents are listed").items.is_empty());
    let agent = scene.registered("echo").await;
    let worse = AgentSpec::new("echo", "echo").expect("names").configured(&1).expect("JSON");
    assert!(matches!(runtime.register(worse).await, Err(RuntimeError::Spec(_))));
    assert_eq!(runtime.agent(&agent).await.map(|status| status.revision), Ok(1));
}

/// An input without bytes is refused.
pub async fn empty_inputs_are_refused(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("echo").await;

    let refused = scene.runtime.submit(&agent, "".into()).await;
    assert_eq!(refused, Err(RuntimeError::EmptyInput));
    assert_eq!(scene.runs().await, 0);
    assert_eq!(scene.run(&agent, " ").await, " ", "a space is an input");
}

/// An input of 20 MiB is refused with its size and the limit.
pub async fn large_inputs_are_refused(fixture: &dyn RuntimeFixture) {
    const SIZE: usize = 20 * 1024 * 1024;
    let scene = Scene::of(fixture).await;
    let agent = scene.started("echo").await;

    let refused = scene.runtime.submit(&agent, "x".repeat(SIZE).into()).await;
    assert!(
        matches!(&refused, Err(RuntimeError::TooLarge { size, limit, .. })
            if *size == SIZE as u64 && *limit < *size),
        "{refused:?}"
    );
    assert_eq!(scene.runs().await, 0);
    assert_eq!(scene.run(&agent, "small").await, "small");
}

/// Contents far beyond what a log holds in place arrive unchanged, whatever they are made of.
pub async fn large_contents_arrive(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let echo = scene.started("echo").await;
    let big = scene.started("big").await;
    let text = Content::text("ü\u{0}\"\\\r\n\u{1F980}".repeat(20_000));
    let json = Content::json(&vec!["a\nb"; 10_000]).expect("JSON");
    let bytes = Content::bytes((0..=255).cycle().take(100_000).collect::<Vec<u8>>());

    for content in [text, json, bytes] {
        let run = scene.submit(&echo, content.clone()).await;
        let output = scene.ended(&run).await.output;
        assert!(output == Some(content), "it comes back as it was given");
    }
    assert_eq!(scene.run(&big, "3000000").await.len(), 3_000_000);
}

/// What an agent's state forbids is refused with the reason.
pub async fn wrong_states_are_refused(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.registered("gate").await;
    let is_wrong = |result: Result<(), RuntimeError>| matches!(result, Err(RuntimeError::WrongState { .. }));

    assert!(is_wrong(runtime.pause(&agent).await), "it is stopped");
    assert!(is_wrong(runtime.resume(&agent).await), "it is stopped");
    runtime.start(&agent).await.expect("it starts");
    assert!(is_wrong(runtime.unregister(&agent).await), "it is started");
    let run = scene.submit(&agent, "held").await;
    scene.gates.arrived("held").await;
    let queued = scene.submit(&agent, "queued").await;
    runtime.stop(&agent).await.expect("it stops");
    assert!(is_wrong(runtime.unregister(&agent).await), "it has open runs");
    runtime.cancel(&queued, "the test wants it", Duration::ZERO).await.expect("the run is there");
    scene.gates.open("held");
    assert_eq!(scene.output(&run).await, "held");

    runtime.unregister(&agent).await.expect("it is stopped and has no open run");
    let gone = RuntimeError::UnknownAgent { agent: agent.to_string() };
    assert_eq!(runtime.agent(&agent).await, Err(gone));
    assert!(runtime.agents(None, 0).await.expect("agents are listed").items.is_empty());
    assert_ne!(scene.registered("gate").await, agent, "an id is never used again");
}

/// A decision that nobody waits for is refused, and changes nothing.
pub async fn nothing_to_decide_is_said(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("gate").await;
    let run = scene.submit(&agent, "held").await;
    scene.gates.arrived("held").await;
    let step = StepKey::first(Name::new("held").expect("a name"));

    let refused = runtime.decide(&run, &step, Decision::Fail).await;
    assert_eq!(refused, Err(RuntimeError::NothingToDecide { run, step: step.clone() }));
    scene.gates.open("held");
    assert_eq!(scene.output(&run).await, "held");
    let refused = runtime.decide(&run, &step, Decision::Repeat).await;
    assert!(refused.is_err(), "the run is over");
}

/// An agent that fails and a run that is too late have an outcome that says why.
pub async fn failures_are_outcomes(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("fail").await;

    let finished = scene.runtime.run(&agent, "no paper left".into()).await.expect("it has an outcome");
    let failure = RunFailure { kind: FailureKind::Agent, message: "no paper left".to_owned() };
    assert_eq!(finished.outcome, Outcome::Failed(failure.clone()));
    assert_eq!(finished.output, None);
    let run = finished.run;
    assert_eq!(finished.into_result(), Err(RuntimeError::RunFailed { run, failure }));

    let forever = scene.started("forever").await;
    let hurried = RunRequest::new("begun").within(Duration::from_millis(30));
    let finished = scene.runtime.run(&forever, hurried).await.expect("it has an outcome");
    assert_eq!(finished.failure().map(|failure| failure.kind), Some(FailureKind::Deadline));
}

/// A panic is its run's failure, and nobody else's.
pub async fn panics_stay_in_their_runs(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("panic").await;
    let gate = scene.started("gate").await;
    let held = scene.submit(&gate, "held").await;
    scene.gates.arrived("held").await;

    for n in 0..3 {
        let run = scene.submit(&agent, RunRequest::new("ouch").in_session(session(&format!("s{n}")))).await;
        let finished = scene.ended(&run).await;
        let failure = finished.failure().expect("it failed");
        assert_eq!(failure.kind, FailureKind::Panicked);
        assert!(failure.message.contains("ouch"), "{failure:?}");
    }
    scene.gates.open("held");
    assert_eq!(scene.output(&held).await, "held");
}
