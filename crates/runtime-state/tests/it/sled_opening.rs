//! Whatever may be wrong when a store by sled is opened has an error that names the store and the remedy.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use runtime_state::{Integrity, OpenError, SledOptions, SledStore};
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Durability, Key, StateStore, Then};
use rustix::process::Uid;

use crate::opening::text;
use crate::redb_faults::{HERE, put, value};
use crate::sled_suite::copy;

const MARK: &str = "agent-runtime.mark";

#[test]
fn a_missing_folder_is_created_and_a_store_is_found_again() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/agents.sled");
        for n in 1..4 {
            let store = SledStore::open(&path).unwrap();
            assert_eq!(store.path(), path);
            store.commit(put(&n.to_string(), n)).await.unwrap();
            for before in 1..=n {
                assert!(value(&store, &before.to_string()).await.is_some());
            }
        }
        let everything = SledOptions { integrity: Integrity::Everything, ..SledOptions::default() };
        assert!(SledStore::open_with(&path, everything).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "for its owner only");
    });
}

#[test]
fn a_second_one_is_told_who_is_in_the_way() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    let first = SledStore::open(&path).unwrap();
    let error = SledStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(text(&error, &path).contains("another process"), "{error}");
    drop(first);
    // Dropped means closed: nobody has to wait for it.
    let _again = SledStore::open(&path).unwrap();
}

/// Somebody who does not know our mark, but has sled's lock.
#[test]
fn another_program_that_has_the_log_open_is_in_the_way_too() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    drop(SledStore::open(&path).unwrap());
    let log = fs::File::open(path.join("db")).unwrap();
    log.lock().unwrap();
    let error = SledStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
}

/// sled's own threads hold its lock a little longer than the store is there, and tell nobody when they let it go.
#[test]
fn a_store_that_was_closed_in_the_same_process_is_opened_as_soon_as_sled_lets_it_go() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    drop(SledStore::open(&path).unwrap());
    let log = fs::File::open(path.join("db")).unwrap();
    log.lock().unwrap();
    let (done, opened) = std::sync::mpsc::sync_channel(1);
    let opening = std::thread::spawn(move || done.send(SledStore::open(&path).map(drop)));
    let early = opened.recv_timeout(Duration::from_millis(100));
    assert_eq!(early.err(), Some(RecvTimeoutError::Timeout), "it does not give up at the first try");
    drop(log);
    opened.recv().unwrap().unwrap();
    opening.join().unwrap().unwrap();
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_name_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    drop(SledStore::open(&path).unwrap());
    let mark = path.join(MARK);
    // The magic, then a checksum over it and the format, then the format.
    let magic = b"agent-runtime sled store\n";
    let format = 7_u64.to_le_bytes();
    let sum = crc32fast::hash(&[&magic[..], &format].concat());
    let file = fs::OpenOptions::new().write(true).open(&mark).unwrap();
    file.write_all_at(&[&sum.to_le_bytes()[..], &format].concat(), magic.len() as u64).unwrap();
    let before = fs::read(path.join("db")).unwrap();
    let error = SledStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, known: 1, .. }), "{error:?}");
    assert!(text(&error, &path).contains("format 7"), "{error}");
    assert!(fs::read(path.join("db")).unwrap() == before);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "a file").unwrap();
    let other = home.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("db"), "a database of somebody else").unwrap();
    for path in [&file, &other] {
        let error = SledStore::open(path).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert!(text(&error, path).contains("is not a store of Agent Runtime"), "{error}");
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "nothing was added");
    let below = file.join("agents.sled");
    let error = SledStore::open(&below).unwrap_err();
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    text(&error, &below);
}

/// Permissions do not bind root, so the thread becomes somebody else; the rest of the process stays who it is.
#[test]
fn a_folder_without_permission_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    drop(SledStore::open(&path).unwrap());
    let locked = home.path().join("locked");
    fs::create_dir(&locked).unwrap();
    for folder in [&locked, &path, home.path()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let root = rustix::process::geteuid().is_root();
    if !root {
        fs::set_permissions(path.join(MARK), fs::Permissions::from_mode(0o400)).unwrap();
    }
    let denied = std::thread::spawn(move || {
        if root {
            rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
        }
        [path, locked.join("new.sled"), locked.join("deep/new.sled")].map(|path| {
            let error = SledStore::open(&path).unwrap_err();
            assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
            error.to_string()
        })
    });
    for text in denied.join().unwrap() {
        assert!(text.starts_with("no access to `/") && text.contains("writable"), "{text}");
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// sled opens a log that lost its end and says nothing. An older copy of it is such a log.
#[test]
fn a_log_that_lost_its_end_is_refused_each_time_it_is_opened() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let [path, early] = ["agents.sled", "early"].map(|name| home.path().join(name));
        let store = SledStore::open(&path).unwrap();
        store.commit(put("a", 1)).await.unwrap();
        copy(&path, &early);
        // The mark of what came later, on the disk's word, for it is so much that it is synced, or on the system's alone.
        let large = Then::Put(Key::new(HERE, "large").unwrap(), vec![1; 300_000].into());
        store
            .commit(Batch { then: vec![large], durability: Durability::Memory, ..put("a", 2) })
            .await
            .unwrap();
        let synced = fs::read(path.join(MARK)).unwrap();
        store.commit(Batch { durability: Durability::Process, ..put("a", 3) }).await.unwrap();
        let written = fs::read(path.join(MARK)).unwrap();
        drop(store);
        for (n, mark) in [synced, written].into_iter().enumerate() {
            let copied = home.path().join(format!("copy/{n}"));
            copy(&early, &copied);
            fs::write(copied.join(MARK), mark).unwrap();
            for _ in 0..2 {
                let error = SledStore::open(&copied).unwrap_err();
                assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
                let found = format!("sled finds 2 of at least {} groups", 3 + n);
                assert!(text(&error, &copied).contains(&found), "{error}");
            }
        }
        assert_eq!(value(&SledStore::open(&early).unwrap(), "a").await.as_deref(), Some("1"));
    });
}

#[test]
fn a_mark_or_a_log_that_is_gone_is_missed() {
    let home = tempfile::tempdir().unwrap();
    for (name, what) in [("db", "its file `db` is missing"), (MARK, "without `agent-runtime.mark`")] {
        let path = home.path().join(name);
        drop(SledStore::open(&path).unwrap());
        fs::remove_file(path.join(name)).unwrap();
        let error = SledStore::open(&path).unwrap_err();
        assert!(text(&error, &path).contains(what), "{error}");
        assert!(!path.join(name).exists(), "it is not made anew");
    }
}

/// The process was killed before anything but the store's first row was synced.
#[test]
fn a_damaged_claim_never_takes_the_log_away() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("agents.sled");
        let store = SledStore::open(&path).unwrap();
        store.commit(Batch { durability: Durability::Process, ..put("a", 1) }).await.unwrap();
        for (n, slot) in [4_096_u64, 8_192].into_iter().enumerate() {
            let killed = home.path().join(n.to_string());
            copy(&path, &killed);
            let mark = fs::OpenOptions::new().read(true).write(true).open(killed.join(MARK)).unwrap();
            let mut byte = [0];
            mark.read_exact_at(&mut byte, slot + 5).unwrap();
            mark.write_all_at(&[byte[0] ^ 4], slot + 5).unwrap();
            SledStore::forget_start(&killed).unwrap();
            let store = SledStore::open(&killed).unwrap();
            assert_eq!(value(&store, "a").await.as_deref(), Some("1"), "claim {n} is damaged");
        }
    });
}

/// A process may be killed while it makes the store, and while it opens it.
#[test]
fn what_a_killed_process_left_half_made_is_made_anew() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("agents.sled");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(MARK), "").unwrap();
        let store = SledStore::open(&path).unwrap();
        store.commit(put("a", 1)).await.unwrap();
        drop(store);
        // sled takes the last of these for its summary, and does not open.
        fs::write(path.join("snap.FFFFFFFFFFFFFFFF.generating"), "the beginning").unwrap();
        assert_eq!(value(&SledStore::open(&path).unwrap(), "a").await.as_deref(), Some("1"));
    });
}
