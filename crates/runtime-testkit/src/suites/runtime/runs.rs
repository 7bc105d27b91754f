//! How runs end.

use std::time::Duration;

use runtime_traits::log::{Phase, StepKey, WaitOn};
use runtime_traits::runtime::{CancelReceipt, Decision, Joined, RunRequest};
use runtime_traits::{Content, Name, Outcome, RunId};
use tokio::time::timeout;

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{LONG, Scene, session};

/// `accepted-is-kept`: a run whose `submit` returned Ok ends in an outcome or waits visibly.
pub async fn accepted_is_kept(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let shout = scene.started("shout").await;
    let gate = scene.started("gate").await;
    let once = scene.started("once").await;
    // Nobody waits for any of these: the caller's interest is no part of a run's life.
    let mut quick: Vec<RunId> = Vec::new();
    for n in 0..20 {
        let request = RunRequest::new(format!("n{n}")).in_session(session(&format!("s{}", n % 3)));
        quick.push(scene.submit(&shout, request).await);
    }
    let held = scene.submit(&gate, "held").await;
    let paid = scene.submit(&once, "paid").await;
    scene.gates.arrived("held").await;
    scene.gates.arrived("paid").await;
    for (n, run) in quick.iter().enumerate() {
        assert_eq!(scene.output(run).await, format!("N{n}"));
    }
    let open = scene.runtime.join(&held, Duration::ZERO).await.expect("the run is there");
    assert!(matches!(&open, Joined::Open(view) if view.phase == Phase::Running), "{open:?}");

    if let Some(scene) = scene.crash(fixture).await {
        kept_through_a_crash(&scene, &quick, &held, &paid).await;
    }
}

async fn kept_through_a_crash(scene: &Scene, quick: &[RunId], held: &RunId, paid: &RunId) {
    for (n, run) in quick.iter().enumerate() {
        assert_eq!(scene.output(run).await, format!("N{n}"), "an outcome is kept");
    }
    scene.gates.open("held");
    assert_eq!(scene.output(held).await, "held");

    // Nobody knows whether it was paid: the run waits for somebody who says so, and shows it.
    let step = StepKey::first(Name::new("paid").expect("a name"));
    let asks = |on: &WaitOn| matches!(on, WaitOn::Decision(key) if *key == step);
    let view = scene.until(paid, |view| view.waits.iter().any(|wait| asks(&wait.on))).await;
    assert_ne!(view.phase, Phase::Ended);
    let assumed = Decision::Assume(Content::json("paid, says the bank").expect("JSON"));
    scene.runtime.decide(paid, &step, assumed).await.expect("it waits for a decision");
    assert_eq!(scene.output(paid).await, "paid, says the bank");
    assert_eq!(scene.gates.times("paid"), 1);
}

/// `cancel-answers-in-time`: `cancel` answers soon after `within` at the latest, and the run then has its outcome.
pub async fn cancel_answers_in_time(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let forever = scene.started("forever").await;
    let run = scene.submit(&forever, "begun").await;
    scene.gates.arrived("begun").await;
    let queued = scene.submit(&forever, "queued").await;

    cancelled(&scene, &queued, Duration::ZERO).await;
    assert_eq!(scene.gates.times("queued"), 0, "it had not begun");
    cancelled(&scene, &run, Duration::from_millis(20)).await;

    // One that waits in a step, and is given time that it does not use.
    let gate = scene.started("gate").await;
    let held = scene.submit(&gate, "held").await;
    scene.gates.arrived("held").await;
    cancelled(&scene, &held, Duration::from_millis(20)).await;

    // The sessions go on.
    scene.gates.open("next");
    assert_eq!(scene.run(&gate, "next").await, "next");
    let done = scene.submit(&gate, "next").await;
    scene.output(&done).await;
    let receipt = scene.runtime.cancel(&done, "too late", Duration::ZERO).await.expect("an answer");
    assert!(matches!(receipt, CancelReceipt::AlreadyEnded(Outcome::Completed(_))), "{receipt:?}");
}

async fn cancelled(scene: &Scene, run: &RunId, within: Duration) {
    const SOON: Duration = Duration::from_secs(5);
    let answer = timeout(within + SOON, scene.runtime.cancel(run, "the test wants it", within)).await;
    assert!(answer.is_ok(), "it answers in time: {:?}", scene.view(run).await);
    let receipt = answer.expect("it has answered").expect("the run is there");
    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");
    let joined = scene.runtime.join(run, Duration::ZERO).await.expect("the run is there");
    let has_ended =
        matches!(&joined, Joined::Ended(finished) if matches!(finished.outcome, Outcome::Cancelled(_)));
    assert!(has_ended, "it has its outcome: {joined:?}");
    let view = timeout(LONG, scene.view(run)).await.expect("it answers");
    assert_eq!(view.phase, Phase::Ended);
}
