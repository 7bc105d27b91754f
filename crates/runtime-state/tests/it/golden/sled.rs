//! Format 1 of sled's folder, and of the rows in its tree.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use runtime_state::{Integrity, MemoryStore, SledOptions, SledStore};
use runtime_testkit::block_on;

use super::batches::{escaped, is_as, is_as_kept, offer, write};
use super::{sparse, whole};
use crate::sled_suite::copy;

/// Its files: the length of the name and the name, how many bytes follow, and these as in [`super::GOLDEN`].
const FOLDER: &[u8] = include_bytes!("../../golden/sled-1.bin");
/// The rows of its tree: a key and a row on each line.
const ROWS: &str = include_str!("../../golden/sled-1.txt");

fn unpack(packed: &[u8], folder: &Path) {
    let number = |at: usize| u32::from_le_bytes(packed[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 0;
    while at < packed.len() {
        let name = std::str::from_utf8(&packed[at + 4..at + 4 + number(at)]).unwrap();
        at += 4 + name.len();
        fs::write(folder.join(name), whole(&packed[at + 4..at + 4 + number(at)])).unwrap();
        at += 4 + number(at);
    }
}

fn pack(folder: &Path) -> Vec<u8> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    names.retain(|entry| entry.file_type().unwrap().is_file());
    names.sort_by_key(fs::DirEntry::file_name);
    let mut packed = Vec::new();
    for entry in names {
        let (name, bytes) = (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let bytes = sparse(&bytes);
        for part in [name.as_bytes(), &bytes] {
            packed.extend_from_slice(&(part.len() as u32).to_le_bytes());
            packed.extend_from_slice(part);
        }
    }
    packed
}

fn rows(folder: &Path) -> String {
    // sled's own threads may still hold the lock of the closed one.
    let beside = tempfile::tempdir().unwrap();
    copy(folder, beside.path());
    let tree = sled::Config::new().path(beside.path()).open().unwrap();
    let mut rows = String::new();
    for row in &*tree {
        let (key, row) = row.unwrap();
        writeln!(rows, "{} {}", escaped(&key), escaped(&row)).unwrap();
    }
    rows
}

#[test]
fn a_folder_that_format_1_wrote_is_opened_whole_and_goes_on() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        unpack(FOLDER, folder.path());
        let memory = MemoryStore::new();
        write(&memory).await;

        let everything = SledOptions { integrity: Integrity::Everything, ..SledOptions::default() };
        let store = SledStore::open_with(folder.path(), everything).unwrap();

        is_as(&store, &memory).await;
    });
}

#[test]
fn todays_sled_store_writes_the_rows_of_format_1() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        write(&store).await;
        drop(store);
        SledStore::forget_start(folder.path()).unwrap();
        offer("sled-1.bin", &pack(folder.path()));

        is_as_kept("sled-1.txt", &rows(folder.path()), ROWS);
    });
}
