//! What is overwritten gives its room on the disk back.

use std::env;
use std::fs;
use std::path::Path;

use runtime_state::open;
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Durability, Key, StateStore, Then};

use crate::redb_faults::{HERE, put};

const KEYS: u32 = 10;
const VALUE: usize = 1024 * 1024 - 64;

#[test]
fn large_values_that_are_overwritten_leave_at_most_five_times_as_much_with_redb() {
    overwrite("redb", 0, 15);
}

#[test]
fn large_values_that_are_overwritten_leave_at_most_five_times_as_much_with_sled() {
    overwrite("sled", 0, 40);
}

/// Rows that nobody changes keep parts of sled's log in use.
#[test]
fn large_values_beside_small_ones_that_stay_leave_at_most_five_times_as_much_with_sled() {
    overwrite("sled", 800, 8);
}

/// Ten keys of 1 MiB are overwritten so often, or as `OVERWRITES` says, and small ones are strewn between them.
fn overwrite(scheme: &str, small: u32, times: u32) {
    let times: u32 = env::var("OVERWRITES").map_or(times, |times| times.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents");
    let uri = format!("{scheme}:{}", path.display());
    block_on(async {
        let store = open(&uri).await.unwrap();
        let mut largest = 0;
        for time in 0..times {
            for key in 0..KEYS {
                let n = time * KEYS + key;
                write(&*store, format!("large/{key}"), VALUE, n).await;
                for _ in 0..small / times / KEYS {
                    let some = (n * 7_919) % small;
                    write(&*store, format!("small/{some}"), 200, n).await;
                }
            }
            largest = largest.max(on_disk(&path));
        }
        let live = live(&*store).await;
        let (at_the_end, written) = (on_disk(&path), times as usize * KEYS as usize * VALUE);
        println!(
            "{scheme}, {small} small ones: {live} live of {written} written, {at_the_end} on disk ({:.2}), {largest} at \
             most ({:.2})",
            at_the_end as f64 / live as f64,
            largest as f64 / live as f64,
        );
        assert!(largest <= 5 * live, "{largest} bytes on disk for {live}");
        drop(store);
        let store = open(&uri).await.unwrap();
        assert_eq!(self::live(&*store).await, live);
        assert!(on_disk(&path) <= 5 * live);
    });
}

async fn write(store: &dyn StateStore, path: String, size: usize, n: u32) {
    let then = vec![Then::Put(Key::new(HERE, path).unwrap(), vec![n as u8; size].into())];
    store.commit(Batch { then, durability: Durability::Process, ..put("x", 0) }).await.unwrap();
}

async fn live(store: &dyn StateStore) -> u64 {
    let cells = store.scan(&Key::all(HERE), None, u32::MAX).await.unwrap();
    cells.iter().map(|(_, cell)| cell.value.len() as u64).sum()
}

/// Bytes of a file, or of all files in a folder.
fn on_disk(path: &Path) -> u64 {
    let there = fs::metadata(path).unwrap();
    if !there.is_dir() {
        return there.len();
    }
    let entries = fs::read_dir(path).unwrap();
    // A file of sled's may go while it is looked at.
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.exists()).map(|path| on_disk(&path)).sum()
}
