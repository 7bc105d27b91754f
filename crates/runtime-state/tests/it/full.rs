//! A limit on the size of files, which a system reports as it reports a full disk: at the write that no longer fits.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use runtime_state::{
    CopyError, EncryptedStore, KeyRing, OpenError, RedbStore, RekeyError, RepairError, Verified, copy_store,
    open, rekey, repair_store, verify_store,
};
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Key, Seq, StateError, StateStore, Then};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harmed::{Harm, Harmed};
use crate::lived::{Lived, at};
use crate::redb_faults::{HERE, put};

/// Set in the process that fills its file: the URI of its store.
const STORE: &str = "FULL_STORE";

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, ..getrlimit(Resource::Fsize) }).unwrap();
}

fn large(n: u32) -> Batch {
    let key = Key::new(HERE, format!("{n:04}")).unwrap();
    let then = vec![Then::Put(key, vec![n as u8; 50_000].into())];
    Batch { then, ..put("x", 0) }
}

/// Runs in a process of its own, because the limit is the process's.
fn fill(uri: &str) {
    block_on(async {
        let store = open(uri).await.unwrap();
        // sled cannot always be opened again while there is no room, so that nobody knows, and nothing is read. When it
        // is, it begins another part of its log, which may have room for one batch more.
        let strict = uri.starts_with("redb:");
        let is_full = |error: &StateError| {
            *error == StateError::NoSpace || (!strict && matches!(error, StateError::Unknown { .. }))
        };
        let mut written = 0;
        for size in [1, 2, 4] {
            limit(Some(size * 1024 * 1024));
            let refused = loop {
                let batch = large(written);
                match store.commit(batch.clone()).await {
                    Ok(_) => written += 1,
                    Err(error) => {
                        assert!(is_full(&error), "{error:?}");
                        break batch;
                    }
                }
                assert!(written < 200, "the limit limits nothing");
            };
            // Still full, still said, and what is there can be read.
            let again = store.commit(refused.clone()).await;
            if strict {
                assert_eq!(again, Err(StateError::NoSpace));
                let cells = store.scan(&Key::all(HERE), None, 999).await.unwrap();
                assert_eq!(cells.len() as u32, written);
            } else if let Err(error) = again {
                assert!(is_full(&error), "{error:?}");
            }
            limit(None);
            store.commit(refused).await.unwrap();
            written += 1;
        }
        drop(store);
        let store = open(uri).await.unwrap();
        let cells = store.scan(&Key::all(HERE), None, 999).await.unwrap();
        assert_eq!(cells.len() as u32, written);
        assert!(cells.iter().zip(0..).all(|((_, cell), n)| cell.value == vec![n as u8; 50_000]));
        println!("filled it {written}");
    });
}

#[test]
fn a_redb_file_that_may_not_grow_is_a_full_disk() {
    fill_in_a_process("full::a_redb_file_that_may_not_grow_is_a_full_disk", "redb");
}

#[test]
fn a_sled_log_that_may_not_grow_is_a_full_disk() {
    fill_in_a_process("full::a_sled_log_that_may_not_grow_is_a_full_disk", "sled");
}

/// Copies, repairs and rewrites a store of some megabytes where a file may have only one.
fn find_no_room(uri: &str) {
    let path = Path::new(uri.strip_prefix("redb:").unwrap());
    let beside = |name: &str| path.with_file_name(name);
    let ring = |lines: &str| KeyRing::parse(lines).unwrap();
    let (old, new) = (format!("1 {}", "5e".repeat(32)), format!("2 {}", "a7".repeat(32)));
    block_on(async {
        let plain = Lived::in_memory().await;
        for n in 0..60 {
            plain.write(HERE, large(n).then).await;
        }
        let mut harmed = Harmed::over(Arc::clone(&plain.store));
        harmed.entries.insert((plain.messages(), Seq(2)), Harm::Cut);
        let sealed = EncryptedStore::open(RedbStore::open(path).unwrap(), ring(&old)).await.unwrap();
        copy_store(&*plain.store, &sealed, |_, _| {}).await.unwrap();
        drop(sealed);
        let held = async || {
            let sealed = EncryptedStore::open(RedbStore::open(path).unwrap(), ring(&old)).await.unwrap();
            let Verified { cells, entries, bytes, damaged, .. } =
                verify_store(&sealed, |_| {}).await.unwrap();
            (cells, entries, bytes, damaged)
        };
        let before = held().await;
        let (copy, repaired) = (beside("copy.redb"), beside("repaired.redb"));
        let (to_copy, to_repair) = (RedbStore::open(&copy).unwrap(), RedbStore::open(&repaired).unwrap());

        limit(Some(1024 * 1024));
        let told = copy_store(&*plain.store, &to_copy, |_, _| {}).await;
        assert_eq!(told, Err(CopyError::To(StateError::NoSpace)));
        let told = repair_store(&harmed, &to_repair, at(100), &mut |_| Ok(()), &mut |_, _| {}).await;
        assert!(matches!(&told, Err(RepairError::Copy(CopyError::To(StateError::NoSpace)))), "{told:?}");
        let told = rekey(path, &ring(&format!("{new}\n{old}")), |_, _| {}).await;
        let aside = beside("agents.rekey");
        assert!(
            matches!(&told, Err(RekeyError::NoRoom { path }) if path.ends_with("agents.rekey")),
            "{told:?}"
        );
        assert!(!aside.exists(), "it takes no room");
        limit(None);

        // Nobody takes what was begun for whole, and what was read is as it was.
        drop((to_copy, to_repair));
        for half in [copy, repaired] {
            let opened = open(&format!("redb:{}", half.display())).await;
            assert!(matches!(opened, Err(OpenError::HalfCopied { .. })), "{opened:?}");
        }
        assert_eq!(held().await, before);
        assert_eq!(plain.verify().await.damaged, 0);
        let copied = rekey(path, &ring(&format!("{new}\n{old}")), |_, _| {}).await.unwrap();
        assert_eq!(copied.cells, plain.verify().await.cells);
        println!("filled it");
    });
}

#[test]
fn a_store_that_finds_no_room_is_neither_copied_nor_repaired_nor_rewritten_and_nothing_is_lost() {
    if let Ok(uri) = env::var(STORE) {
        return find_no_room(&uri);
    }
    in_a_process(
        "full::a_store_that_finds_no_room_is_neither_copied_nor_repaired_nor_rewritten_and_nothing_is_lost",
        "redb",
    );
}

fn fill_in_a_process(test: &str, scheme: &str) {
    if let Ok(uri) = env::var(STORE) {
        return fill(&uri);
    }
    in_a_process(test, scheme);
}

fn in_a_process(test: &str, scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    // The shell has the signal ignored that would end the process at its first write past the limit.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(STORE, format!("{scheme}:{}", folder.path().join("agents").display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("filled it"), "it did nothing: {said}");
}
