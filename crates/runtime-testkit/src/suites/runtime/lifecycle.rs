//! Stopping and pausing.

use std::time::Duration;

use runtime_traits::AgentRef;
use runtime_traits::log::{Phase, StepPhase};
use runtime_traits::runtime::{RunRequest, Want};
use tokio::time::timeout;

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

/// `stop-drains`: after `stop` no run is taken; those that were accepted and have not begun stay queued.
pub async fn stop_drains(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("gate").await;
    let first = scene.submit(&agent, "first").await;
    scene.gates.arrived("first").await;
    let second = scene.submit(&agent, "second").await;
    scene.gates.open("second");

    stop(&scene, &agent).await;
    let refused = runtime.submit(&agent, "third".into()).await;
    assert!(refused.is_err(), "a stopped agent takes no run: {refused:?}");
    scene.gates.open("first");

    // What runs may end or park; this one ends or stays as it is.
    runtime.join(&first, Duration::from_secs(1)).await.expect("the run is there");
    scene.come_round().await;
    assert_eq!(scene.phase(&second).await, Phase::Queued, "it was accepted and has not begun");
    assert_eq!(scene.gates.times("second"), 0);
    runtime.stop(&agent).await.expect("stopping twice is stopping");

    runtime.start(&agent).await.expect("it starts");
    assert_eq!(scene.output(&first).await, "first");
    assert_eq!(scene.output(&second).await, "second");
    assert_eq!(scene.gates.times("third"), 0);
}

/// `pause-holds-steps`: after `pause` no step begins until `resume`.
pub async fn pause_holds_steps(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("gate").await;
    let run = scene.submit(&agent, "begun held").await;
    scene.gates.arrived("begun").await;
    scene.gates.open("held");

    runtime.pause(&agent).await.expect("it pauses");
    assert_eq!(runtime.agent(&agent).await.expect("it is there").want, Want::Paused);
    scene.gates.open("begun");
    scene.until(&run, |view| view.steps.iter().any(|step| step.phase == StepPhase::Settled)).await;
    let late = RunRequest::new("held").in_session(session("late"));
    let late = scene.submit(&agent, late).await;
    scene.come_round().await;
    assert_eq!(scene.gates.times("held"), 0, "no step begins");
    assert_ne!(scene.phase(&run).await, Phase::Ended);
    runtime.pause(&agent).await.expect("pausing twice is pausing");

    runtime.resume(&agent).await.expect("it resumes");
    assert_eq!(scene.output(&run).await, "begun held");
    assert_eq!(scene.output(&late).await, "held");
    assert_eq!(scene.gates.times("begun"), 1, "what was settled is not done again");
    runtime.resume(&agent).await.expect("resuming what runs changes nothing");
}

/// Stops an agent one of whose runs waits at the gate `first`. A runtime may answer at once, or when what runs is over.
async fn stop(scene: &Scene, agent: &AgentRef) {
    const AT_ONCE: Duration = Duration::from_secs(2);
    let mut stopping = scene.runtime.stop(agent);
    let stopped = match timeout(AT_ONCE, &mut stopping).await {
        Ok(stopped) => stopped,
        Err(_) => {
            scene.gates.open("first");
            stopping.await
        }
    };
    stopped.expect("it stops");
}
