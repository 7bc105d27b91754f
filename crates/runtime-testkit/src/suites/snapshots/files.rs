//! Snapshots as files.

use std::sync::Arc;

use runtime_traits::RuntimeError;
use runtime_traits::store::StateStore;

use super::restoring::lively;
use crate::fakes::MapStore;
use crate::suites::snapshots::{Bench, SnapshotsFixture};

/// `file-is-whole`: an exported file gives an equal snapshot in any store; one that is cut or damaged gives none.
pub async fn file_is_whole(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = lively(&bench).await;
    let state = bench.save(&agent).await;
    let memory = bench.memory(&agent).await;
    let file = bench.export(&state).await;

    let store: Arc<dyn StateStore> = Arc::new(MapStore::new());
    let there = Bench::over(Arc::clone(&store), fixture.over(store));
    // Ids there are not those that were drawn here.
    for _ in 0..1_000 {
        there.unique();
    }
    let taken = there.import(&file, 1_000).await.expect("it is whole");
    assert_ne!(taken.state, state);
    let described = there.snapshots.describe(&there.tenant, &taken.state).await.expect("it is there");
    let mut original = bench.snapshots.describe(&bench.tenant, &state).await.expect("it is there");
    original.info.state = taken.state;
    assert_eq!(described, original);
    let twin = there.agent("twin", 200).await;
    there.snapshots.fill(&there.tenant, &taken.state, &twin, &there.owner).await.expect("it is filled");
    assert_eq!(there.memory(&twin).await, memory);
    assert_eq!(there.export(&taken.state).await.len(), file.len());

    for part in [0, 1, 7, 40, file.len() / 2, file.len() - 1] {
        refused(&there, &file[..part]).await;
    }
    for at in [0, 9, 60, file.len() / 3, file.len() / 2, file.len() - 1] {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        refused(&there, &damaged).await;
    }
    assert_eq!(there.count().await, 1);
}

async fn refused(bench: &Bench, file: &[u8]) {
    let taken = bench.import(file, 10_000).await;
    let is_refused = matches!(taken, Err(RuntimeError::BadSnapshotFile { .. } | RuntimeError::Newer { .. }));
    assert!(is_refused, "{} bytes: {taken:?}", file.len());
}
