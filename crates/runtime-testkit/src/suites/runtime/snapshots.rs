//! Snapshots: listed, compared, put back, carried elsewhere.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use runtime_traits::runtime::{AgentRef, RunRequest, SnapshotFilter};
use runtime_traits::snapshot::Retention;
use runtime_traits::{AgentId, Name, RuntimeError, StateId};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

/// `in-place-is-the-saved-one`: an agent put back to a snapshot keeps its id and name, and has the conversations and the
/// states that were saved, those and no others.
pub async fn in_place_is_the_saved_one(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    let elsewhere = |input: &str| RunRequest::new(input).in_session(session("other"));
    scene.run(&agent, "one").await;
    scene.run(&agent, "two").await;
    let state = save(&scene, &agent).await;
    scene.run(&agent, "late").await;
    scene.run(&agent, elsewhere("late")).await;
    let before = runtime.agent(&agent).await.expect("it is there");
    runtime.stop(&agent).await.expect("it stops");

    runtime.restore_in_place(&state, &agent).await.expect("it is stopped, and no run is open");

    runtime.start(&agent).await.expect("it starts");
    let after = runtime.agent(&agent).await.expect("it is there");
    assert_eq!((after.id, &after.name, after.kind), (before.id, &before.name, before.kind));
    assert_eq!(scene.run(&agent, "three").await, r#"["one","two","three"]"#);
    assert_eq!(scene.run(&agent, elsewhere("four")).await, r#"["four"]"#);
    runtime.stop(&agent).await.expect("it stops");
    let by_name = AgentRef::Name(after.name);
    runtime.restore_in_place(&state, &by_name).await.expect("a snapshot can be used again");
    runtime.start(&agent).await.expect("it starts");
    assert_eq!(scene.run(&agent, "five").await, r#"["one","two","five"]"#);
}

/// `in-place-when-stopped`: an agent that is started, or has an open run, is not put back, and goes on as it was.
pub async fn in_place_when_stopped(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    scene.run(&agent, "one").await;
    let state = save(&scene, &agent).await;
    scene.run(&agent, "two").await;
    let is_refused = |put: &Result<(), RuntimeError>| matches!(put, Err(RuntimeError::WrongState { .. }));

    let put = runtime.restore_in_place(&state, &agent).await;
    assert!(is_refused(&put), "it is started: {put:?}");
    runtime.pause(&agent).await.expect("it pauses");
    let put = runtime.restore_in_place(&state, &agent).await;
    assert!(is_refused(&put), "it is paused: {put:?}");
    runtime.resume(&agent).await.expect("it resumes");
    assert_eq!(scene.run(&agent, "three").await, r#"["one","two","three"]"#);

    let gate = scene.started("gate").await;
    let state = save(&scene, &gate).await;
    let run = scene.submit(&gate, "held").await;
    scene.gates.arrived("held").await;
    let queued = scene.submit(&gate, "queued").await;
    runtime.pause(&gate).await.expect("it pauses");
    runtime.cancel(&queued, "not needed", std::time::Duration::ZERO).await.expect("the run is there");
    let put = runtime.restore_in_place(&state, &gate).await;
    assert!(is_refused(&put), "a run is open: {put:?}");
    runtime.resume(&gate).await.expect("it resumes");
    scene.gates.open("held");
    assert_eq!(scene.output(&run).await, "held");
}

/// `snapshots-are-listed`: what was saved is listed and described until it is deleted, or no rule of retention keeps it.
pub async fn snapshots_are_listed(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    let other = scene.started("echo").await;
    scene.run(&agent, "one").await;
    let first = save(&scene, &agent).await;
    let second = save(&scene, &agent).await;
    let others = save(&scene, &other).await;
    let mut all = vec![first, second, others];
    all.sort();
    assert_eq!(listed(&scene, None).await, all);
    let AgentRef::Id(id) = agent else { unreachable!("it was registered") };
    assert_eq!(listed(&scene, Some(id)).await.len(), 2);

    let view = runtime.snapshot(&first).await.expect("it is there");
    assert_eq!((view.info.state, view.info.agent, view.info.name.as_str()), (first, id, "remember"));
    assert_eq!((view.info.sessions, view.sessions.len()), (1, 1));
    assert_eq!(view.sessions[0].messages, view.info.messages);
    assert!(view.info.messages >= 2, "the input and the output");

    let retention = Retention { newest: Some(1), within: None };
    let deleted = runtime.retain_snapshots(&agent, retention).await.expect("it retains");
    assert_eq!(deleted.len(), 1, "the newest stays");
    assert!(matches!(runtime.snapshot(&deleted[0]).await, Err(RuntimeError::UnknownState { .. })));
    runtime.delete_snapshot(&others).await.expect("it is there");
    let gone = RuntimeError::UnknownState { state: others };
    assert_eq!(runtime.snapshot(&others).await, Err(gone.clone()));
    assert_eq!(runtime.delete_snapshot(&others).await, Err(gone));
    assert_eq!(listed(&scene, None).await.len(), 1);
}

/// `diff-says-what-changed`: the difference of two snapshots is what happened between them.
pub async fn diff_says_what_changed(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    scene.run(&agent, "one").await;
    let before = save(&scene, &agent).await;
    scene.run(&agent, "two").await;
    scene.run(&agent, RunRequest::new("new").in_session(session("new"))).await;
    let after = save(&scene, &agent).await;

    let same = runtime.diff_snapshots(&before, &before).await.expect("it is there");
    assert!(same.is_empty(), "{same:?}");
    let diff = runtime.diff_snapshots(&before, &after).await.expect("both are there");
    assert_eq!((diff.added, diff.removed, diff.spec), (vec![session("new")], vec![], vec![]));
    let change = &diff.changed[..];
    assert!(matches!(change, [change] if change.shared >= 2 && change.only_before == 0), "{change:?}");
    assert!(change[0].only_after >= 2 && change[0].state_differs, "{change:?}");
}

/// `file-restores-elsewhere`: an exported snapshot, imported, is one more snapshot with the same conversations and states.
pub async fn file_restores_elsewhere(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let runtime = &scene.runtime;
    let agent = scene.started("remember").await;
    scene.run(&agent, "one").await;
    let state = save(&scene, &agent).await;
    let file = runtime.export_snapshot(&state).await.expect("it is there");
    let file: Vec<Bytes> = file.try_collect().await.expect("the file is whole");
    let file = file.concat();

    let taken = import(&scene, &file).await.expect("the file is whole");
    assert_ne!(taken, state, "it has an id of its own");
    runtime.delete_snapshot(&state).await.expect("it is there");
    let twin = Some(Name::new("twin").expect("a name"));
    let twin = runtime.restore_agent(&taken, twin).await.expect("it is restored");
    assert_eq!(scene.run(&AgentRef::Id(twin), "two").await, r#"["one","two"]"#);

    for part in [&file[..0], &file[..file.len() / 2], &file[..file.len() - 1]] {
        let refused = import(&scene, part).await;
        assert!(matches!(refused, Err(RuntimeError::BadSnapshotFile { .. })), "{refused:?}");
    }
    assert_eq!(listed(&scene, None).await, [taken]);
}

async fn import(scene: &Scene, file: &[u8]) -> Result<StateId, RuntimeError> {
    let pieces: Vec<_> = file.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    scene.runtime.import_snapshot(stream::iter(pieces).boxed()).await
}

async fn save(scene: &Scene, agent: &AgentRef) -> StateId {
    scene.runtime.save_state(agent).await.expect("it is saved")
}

/// The ids of all snapshots, page by page, in their order.
async fn listed(scene: &Scene, agent: Option<AgentId>) -> Vec<StateId> {
    let mut listed = Vec::new();
    let mut filter = SnapshotFilter { agent, after: None, limit: 2 };
    loop {
        let page = scene.runtime.snapshots(filter.clone()).await.expect("snapshots are listed");
        listed.extend(page.items.into_iter().map(|info| info.state));
        filter.after = page.next;
        if filter.after.is_none() {
            listed.sort();
            return listed;
        }
    }
}
