//! Whatever may be wrong when a store is opened has an error that names the store and the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use redb::{Database, TableDefinition};
use runtime_state::{Integrity, OpenError, RedbOptions, RedbStore};
use runtime_testkit::block_on;
use runtime_traits::store::{Key, StateStore};
use rustix::process::Uid;

use crate::redb_faults::{put, value};

/// The error's text, which names the store.
pub(crate) fn text(error: &OpenError, path: &Path) -> String {
    let text = error.to_string();
    assert!(text.contains(&format!("`{}`", path.display())), "it does not name the store: {text}");
    text
}

#[test]
fn a_missing_folder_is_created_and_a_store_is_found_again() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/agents.redb");
        for n in 1..4 {
            let store = RedbStore::open(&path).unwrap();
            assert_eq!(store.path(), path);
            store.commit(put(&n.to_string(), n)).await.unwrap();
            for before in 1..=n {
                assert!(value(&store, &before.to_string()).await.is_some());
            }
        }
        let everything = RedbOptions { integrity: Integrity::Everything, ..RedbOptions::default() };
        assert!(RedbStore::open_with(&path, everything).is_ok());
    });
}

#[test]
fn a_store_is_for_its_owner_only_and_keeps_the_permissions_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;

    drop(RedbStore::open(&path).unwrap());
    assert_eq!(mode(), 0o600);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(mode(), 0o640, "who let a group read it may");
}

#[test]
fn a_second_one_is_told_who_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    let first = RedbStore::open(&path).unwrap();
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(text(&error, &path).contains("another process"), "{error}");
    drop(first);
    // Dropped means closed: nobody has to wait for it.
    assert!(RedbStore::open(&path).is_ok());
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_name_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    drop(RedbStore::open(&path).unwrap());
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("agent-runtime");
    {
        let file = Database::open(&path).unwrap();
        let txn = file.begin_write().unwrap();
        txn.open_table(meta).unwrap().insert("format", 7).unwrap();
        txn.commit().unwrap();
    }
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, known: 1, .. }), "{error:?}");
    assert!(text(&error, &path).contains("format 7"), "{error}");
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    for content in ["no store", &"a longer text that is no store either. ".repeat(10_000)] {
        fs::write(&path, content).unwrap();
        let error = RedbStore::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert!(text(&error, &path).contains("is not a store of Agent Runtime"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("accounts");
    {
        let file = Database::create(&path).unwrap();
        let txn = file.begin_write().unwrap();
        txn.open_table(table).unwrap().insert(1, 2).unwrap();
        txn.commit().unwrap();
    }
    let error = RedbStore::open(&path).unwrap_err();
    assert!(text(&error, &path).contains("another program, with table `accounts`"), "{error}");
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = RedbStore::open(file.join("agents.redb")).unwrap_err();
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    text(&error, &file);
    let error = RedbStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(text(&error, folder.path()).contains("a folder, and a store of redb is a file"), "{error}");
}

#[test]
fn what_others_left_half_made_goes_and_what_they_are_making_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    let beside = |name: &str| folder.path().join(name);
    // Another process may have the same number, in another container.
    let mine = format!("agents.redb.{}.new", std::process::id());
    let left = ["agents.redb.1.new", "agents.redb.00ff00ff00ff00ff.new"];
    let others = [mine.as_str(), "agents.redb.notes.new", "other.redb.1.new", "agents.redb.bak"];
    for name in left.iter().chain(&others) {
        fs::write(beside(name), "half").unwrap();
    }
    let making = fs::File::open(beside(&mine)).unwrap();
    making.lock().unwrap();

    drop(RedbStore::open(&path).unwrap());

    for name in left {
        assert!(!beside(name).exists(), "{name} is left");
    }
    for name in others {
        assert_eq!(fs::read_to_string(beside(name)).unwrap(), "half", "{name} is somebody else's");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + others.len());
}

#[test]
fn a_file_of_another_version_of_redb_is_refused_by_its_number_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    drop(RedbStore::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    let versioned = |places: &[usize], version: u8| {
        let mut bytes = whole.clone();
        for at in places {
            bytes[*at] = version;
        }
        fs::write(&path, &bytes).unwrap();
        let error = RedbStore::open(&path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        text(&error, &path);
        error
    };
    let newer = versioned(&[64, 192], 4);
    assert!(matches!(newer, OpenError::Newer { found: 4, known: 3, .. }), "{newer:?}");
    let older = versioned(&[64, 192], 2);
    assert!(matches!(older, OpenError::Older { found: 2, .. }), "{older:?}");
    assert!(older.to_string().contains("format 2 of redb"), "{older}");
}

/// Permissions do not bind root, so the thread becomes somebody else; the rest of the process stays who it is.
#[test]
fn a_folder_without_permission_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    drop(RedbStore::open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let root = rustix::process::geteuid().is_root();
    if !root {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    let denied = std::thread::spawn(move || {
        if root {
            rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
        }
        [path, locked.join("new.redb"), locked.join("deep/new.redb")].map(|path| {
            let error = RedbStore::open(&path).unwrap_err();
            assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
            error.to_string()
        })
    });
    for text in denied.join().unwrap() {
        assert!(text.starts_with("no access to `/") && text.contains("writable"), "{text}");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_store_that_is_dropped_has_written_what_was_queued() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.redb");
        let store = RedbStore::open(&path).unwrap();
        for n in 0..200 {
            let mut commit = store.commit(put(&n.to_string(), n));
            assert!(futures_util::poll!(&mut commit).is_pending());
        }
        drop(store);
        let store = RedbStore::open(&path).unwrap();
        let cells = store.scan(&Key::all(crate::redb_faults::HERE), None, 999).await.unwrap();
        assert_eq!(cells.len(), 200);
    });
}
