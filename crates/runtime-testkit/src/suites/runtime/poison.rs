//! Runs that are set aside, and what people do about them.

use runtime_traits::runtime::RunFilter;
use runtime_traits::{RunId, RuntimeError};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::Scene;

/// More deaths than it takes to find the only run in flight.
const DEATHS: usize = 6;

/// `poison-is-set-aside`: a run that killed its process too often waits for an operator, is listed as quarantined, and the next run of its
/// session begins.
pub async fn poison_is_set_aside(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let gate = scene.started("gate").await;
    let poison = scene.submit(&gate, "poison").await;
    scene.gates.arrived("poison").await;
    let next = scene.submit(&gate, "next").await;
    let Some(scene) = until_aside(scene, fixture, &poison).await else { return };

    scene.gates.open("next");
    assert_eq!(scene.output(&next).await, "next", "its session goes on without it");
    let starts = scene.view(&poison).await.attempt;
    let filter = RunFilter { quarantined: true, ..RunFilter::default() };
    let listed = scene.runtime.runs(filter).await.expect("runs are listed").items;
    assert_eq!(listed.iter().map(|view| view.run).collect::<Vec<_>>(), [poison]);
    scene.come_round().await;
    let view = scene.view(&poison).await;
    assert!(view.is_quarantined() && view.attempt == starts, "nobody starts it: {view:?}");
}

/// `requeued-by-a-person`: `requeue` lets such a run go on, once; a run that is not in quarantine is `CannotRequeue`.
pub async fn requeued_by_a_person(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let gate = scene.started("gate").await;
    let run = scene.submit(&gate, "poison").await;
    scene.gates.arrived("poison").await;
    cannot(&scene, &run).await;
    let Some(scene) = until_aside(scene, fixture, &run).await else { return };

    scene.runtime.requeue(&run).await.expect("it is in quarantine");
    cannot(&scene, &run).await;
    // Those that the attempts before it held open are gone with their processes.
    (0..=DEATHS).for_each(|_| scene.gates.open("poison"));
    assert_eq!(scene.output(&run).await, "poison");
    let over = scene.runtime.requeue(&run).await;
    assert!(matches!(over, Err(RuntimeError::RunOver { .. })), "{over:?}");
}

async fn cannot(scene: &Scene, run: &RunId) {
    let refused = scene.runtime.requeue(run).await;
    assert!(matches!(refused, Err(RuntimeError::CannotRequeue { .. })), "{refused:?}");
}

/// Lets process after process die until the run is set aside. `None` where nothing outlives a crash.
async fn until_aside(mut scene: Scene, fixture: &dyn RuntimeFixture, run: &RunId) -> Option<Scene> {
    for _ in 0..DEATHS {
        let before = scene.view(run).await.attempt;
        scene = scene.crash(fixture).await?;
        if scene.until(run, |view| view.attempt > before || view.is_quarantined()).await.is_quarantined() {
            return Some(scene);
        }
    }
    panic_with(&scene, run).await
}

async fn panic_with(scene: &Scene, run: &RunId) -> Option<Scene> {
    let view = scene.view(run).await;
    assert!(view.is_quarantined(), "it is set aside after {DEATHS} deaths: {view:?}");
    None
}
