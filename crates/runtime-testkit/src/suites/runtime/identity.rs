//! What is taken as a run, and where it goes.

use runtime_traits::log::Phase;
use runtime_traits::runtime::{RunRequest, SessionPolicy, Want};
use runtime_traits::{IdempotencyKey, RuntimeError};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

/// `not-started-is-refused`: a run of an agent that is not started is `NotStarted`, and leaves nothing behind.
pub async fn not_started_is_refused(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.registered("gate").await;

    let refused = scene.runtime.submit(&agent, "never".into()).await;
    assert!(
        matches!(refused, Err(RuntimeError::NotStarted { want: Want::Stopped, .. })),
        "it was not started: {refused:?}"
    );
    let refused = scene.runtime.run(&agent, "never".into()).await;
    assert!(matches!(refused, Err(RuntimeError::NotStarted { .. })), "{refused:?}");
    let key = IdempotencyKey::new("k").expect("a key");
    let refused = scene.runtime.submit(&agent, RunRequest::new("never").with_key(key.clone())).await;
    assert!(matches!(refused, Err(RuntimeError::NotStarted { .. })), "{refused:?}");

    let status = scene.runtime.agent(&agent).await.expect("it is there");
    assert_eq!((status.running, status.queued, status.want), (0, 0, Want::Stopped));
    assert_eq!(scene.runs().await, 0);
    scene.runtime.start(&agent).await.expect("it starts");
    scene.gates.open("now");
    assert_eq!(scene.run(&agent, RunRequest::new("now").with_key(key)).await, "now");
    assert_eq!(scene.gates.arrivals(), ["now"]);
}

/// `same-key-same-run`: the same idempotency key and input give the same run; another input is `KeyReused`.
pub async fn same_key_same_run(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("gate").await;
    let key = IdempotencyKey::new("k/1").expect("a key");
    let request = || RunRequest::new("door").with_key(key.clone());

    let (a, b, c) = futures_util::join!(
        runtime.submit(&agent, request()),
        runtime.submit(&agent, request()),
        runtime.submit(&agent, request()),
    );
    let answers = [a, b, c].map(|answer| answer.expect("it is taken"));
    let run = answers[0].run;
    assert!(answers.iter().all(|answer| answer.run == run), "{answers:?}");
    let first = answers.iter().filter(|answer| !answer.repeated).count();
    assert_eq!(first, 1, "one of them began it: {answers:?}");

    let reused = runtime.submit(&agent, RunRequest::new("other").with_key(key.clone())).await;
    let refusal = RuntimeError::KeyReused { key: key.as_str().to_owned(), run };
    assert_eq!(reused, Err(refusal.clone()), "the run is open");

    scene.gates.open("door");
    assert_eq!(scene.output(&run).await, "door");
    let again = runtime.submit(&agent, request()).await.expect("it is taken");
    assert_eq!((again.run, again.repeated), (run, true));
    let reused = runtime.submit(&agent, RunRequest::new("other").with_key(key)).await;
    assert_eq!(reused, Err(refusal), "the run is over");
    assert_eq!(scene.gates.arrivals(), ["door"]);
}

/// `sessions-in-order`: the runs of a session are worked one after the other, in the order of acceptance.
pub async fn sessions_in_order(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("gate").await;
    let mut runs = Vec::new();
    for gate in ["first", "second", "third", "fourth"] {
        runs.push(scene.submit(&agent, gate).await);
    }

    // Another session goes its own way.
    scene.gates.open("aside");
    let aside = RunRequest::new("aside").in_session(session("other"));
    assert_eq!(scene.run(&agent, aside).await, "aside");

    scene.gates.arrived("first").await;
    for run in &runs[1..] {
        assert_eq!(scene.phase(run).await, Phase::Queued, "the first is not over");
    }
    // The later gates are open before the runs come to them: only the session holds these back.
    scene.gates.open("fourth");
    scene.gates.open("third");
    scene.gates.open("second");
    scene.come_round().await;
    assert_eq!(scene.phase(&runs[1]).await, Phase::Queued, "the first is not over");
    scene.gates.open("first");
    for run in &runs {
        scene.output(run).await;
    }
    let arrivals: Vec<String> = scene.gates.arrivals().into_iter().filter(|gate| gate != "aside").collect();
    assert_eq!(arrivals, ["first", "second", "third", "fourth"]);
}

/// `rejected-when-busy`: with the policy `Reject` a run for a busy session is `SessionBusy`.
pub async fn rejected_when_busy(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("gate").await;
    let rejecting = |input: &str| RunRequest::new(input).when_busy(SessionPolicy::Reject);
    let run = scene.submit(&agent, "held").await;
    scene.gates.arrived("held").await;

    let refused = scene.runtime.submit(&agent, rejecting("other")).await;
    assert!(
        matches!(&refused, Err(RuntimeError::SessionBusy { session, run: by, .. })
            if session == "default" && *by == run),
        "the session is busy with {run}: {refused:?}"
    );
    assert_eq!(scene.runs().await, 1, "what is refused leaves nothing behind");

    scene.gates.open("aside");
    let aside = rejecting("aside").in_session(session("free"));
    assert_eq!(scene.run(&agent, aside).await, "aside");
    scene.gates.open("held");
    assert_eq!(scene.output(&run).await, "held");
    scene.gates.open("later");
    assert_eq!(scene.run(&agent, rejecting("later")).await, "later");
}
