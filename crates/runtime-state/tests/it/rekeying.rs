//! A file rewritten under another key.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use runtime_state::{EncryptedStore, EncryptionError, KeyRing, OpenError, RedbStore, RekeyError, rekey};
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Key, StateStore, Then};
use rustix::process::Uid;

use crate::redb_faults::{HERE, put};

fn ring(ids: &[u8]) -> KeyRing {
    let lines: Vec<String> =
        ids.iter().map(|id| format!("{id} {}", format!("{id:02x}").repeat(32))).collect();
    KeyRing::parse(&lines.join("\n")).unwrap()
}

async fn opened(path: &Path, ids: &[u8]) -> Result<EncryptedStore<RedbStore>, EncryptionError> {
    EncryptedStore::open(RedbStore::open(path).unwrap(), ring(ids)).await
}

async fn fill(store: &dyn StateStore) {
    for n in 0..200 {
        // Not a number: that would be in the clear.
        let path = format!("cell/{n:03}");
        let then =
            vec![Then::Put(Key::new(HERE, path.clone()).unwrap(), format!("the value of {path}").into())];
        store.commit(Batch { then, ..put(&path, n) }).await.unwrap();
    }
}

async fn cells(store: &dyn StateStore) -> Vec<(String, String)> {
    let all = store.scan(&Key::all(HERE), None, 999).await.unwrap().into_iter();
    all.map(|(key, cell)| (key.path.to_string(), String::from_utf8_lossy(&cell.value).into_owned())).collect()
}

#[test]
fn a_rewritten_file_needs_the_new_key_only_and_keeps_its_contents_and_its_mode() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let store = opened(&path, &[1]).await.unwrap();
        fill(&store).await;
        let before = cells(&store).await;
        drop(store);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();

        // Broken off in the middle: the old file is what it was.
        let both = ring(&[2, 1]);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let mut stop = Some(stop);
        tokio::select! {
            biased;
            _ = stopped => {}
            done = rekey(&path, &both, |_, done| {
                if done.cells > 100 && let Some(stop) = stop.take() {
                    stop.send(()).unwrap();
                }
            }) => panic!("it was to be stopped: {done:?}"),
        }
        assert!(folder.path().join("a.redb.rekey").exists());
        assert_eq!(cells(&opened(&path, &[1]).await.unwrap()).await, before);

        let copied = rekey(&path, &both, |_, _| {}).await.unwrap();

        assert_eq!(copied.cells, 200);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!folder.path().join("a.redb.rekey").exists());
        let store = opened(&path, &[2]).await.unwrap();
        assert_eq!(cells(&store).await, before);
        assert_eq!(store.keys_needed().await.unwrap().into_keys().collect::<Vec<_>>(), [2]);
        drop(store);
        assert_eq!(opened(&path, &[1]).await.unwrap_err(), EncryptionError::MissingKey { id: 2 });
    });
}

#[test]
fn a_link_stays_a_link_and_the_file_keeps_its_owner() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.redb"), folder.path().join("link.redb"));
        fill(&opened(&path, &[1]).await.unwrap()).await;
        std::os::unix::fs::symlink(&path, &link).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&path).unwrap();

        rekey(&link, &ring(&[2, 1]), |_, _| {}).await.unwrap();

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let after = fs::metadata(&path).unwrap();
        let whose = |file: &fs::Metadata| (file.uid(), file.gid(), file.mode());
        assert_eq!(whose(&after), whose(&before));
        assert_ne!(after.ino(), before.ino(), "it is another file");
        assert_eq!(opened(&path, &[2]).await.unwrap().keys_needed().await.unwrap().len(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    });
}

/// Permissions do not bind root, so the thread becomes somebody else; the rest of the process stays who it is.
#[test]
fn a_folder_without_permission_is_named_and_the_store_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    block_on(async { fill(&opened(&path, &[1]).await.unwrap()).await });
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    // Nothing may be made in it; it may not even be entered.
    for mode in [0o555, 0o000] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let file = path.clone();
        let refused = std::thread::spawn(move || {
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
            }
            block_on(rekey(&file, &ring(&[2, 1]), |_, _| {})).unwrap_err()
        });
        let refused = refused.join().unwrap();
        assert!(matches!(refused, RekeyError::Open(OpenError::Denied { .. })), "{mode:o}: {refused:?}");
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    block_on(async { assert_eq!(cells(&opened(&path, &[1]).await.unwrap()).await.len(), 200) });
}

#[test]
fn keys_that_do_not_fit_and_files_that_are_not_there_leave_everything_alone() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        assert!(matches!(rekey(&path, &ring(&[1]), |_, _| {}).await, Err(RekeyError::Open(_))));
        assert!(!path.exists(), "nothing is made by looking for it");

        fill(&opened(&path, &[1]).await.unwrap()).await;
        let refused = rekey(&path, &ring(&[2]), |_, _| {}).await.unwrap_err();
        assert!(matches!(refused, RekeyError::Keys { source: EncryptionError::MissingKey { id: 1 }, .. }));
        let held = opened(&path, &[1]).await.unwrap();
        assert!(matches!(rekey(&path, &ring(&[2, 1]), |_, _| {}).await, Err(RekeyError::Open(_))));
        assert_eq!(cells(&held).await.len(), 200);
    });
}
