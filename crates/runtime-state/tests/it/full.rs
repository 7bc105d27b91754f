//! A limit on the size of files, which a system reports as it reports a full disk: at the write that no longer fits.

use std::env;
use std::process::Command;

use runtime_state::open;
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Key, StateError, StateStore, Then};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

fn fill_in_a_process(test: &str, scheme: &str) {
    if let Ok(uri) = env::var(STORE) {
        return fill(&uri);
    }
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
