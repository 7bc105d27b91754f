//! Files with a bit flipped or an end cut off: never a wrong value, never a panic.

use std::fs;
use std::path::Path;

use redb::{Database, ReadableTable, TableDefinition};
use runtime_state::{Integrity, OpenError, RedbOptions, RedbStore};
use runtime_testkit::block_on;
use runtime_testkit::fakes::Chance;
use runtime_traits::store::{Batch, Key, Log, Seq, StateError, StateStore, Then, When};

use crate::redb_faults::{HERE, put};

const CELLS: u32 = 150;

/// What became of a damaged copy.
#[derive(Debug, PartialEq)]
enum Found {
    /// It does not open, and says so.
    Refused,
    /// Some call said so.
    Told,
    /// Everything is there: the damage hit free space.
    Whole,
    /// Something is not there, and nothing says so.
    Missing,
}

fn key(n: u32) -> Key {
    Key::new(HERE, format!("cell/{n:03}")).unwrap()
}

fn log(n: u32) -> Log {
    Log::new(HERE, format!("log/{n:03}")).unwrap()
}

fn value(n: u32) -> Vec<u8> {
    vec![n as u8; 100 + n as usize * 17 % 900]
}

async fn fill(path: &Path) {
    let store = RedbStore::open(path).unwrap();
    for n in 0..CELLS {
        let then = vec![
            Then::Put(key(n), value(n).into()),
            Then::Append(log(n), vec![value(n).into(), value(n + 1).into()]),
        ];
        store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
    }
}

async fn examine(path: &Path, integrity: Integrity) -> Found {
    let store = match RedbStore::open_with(path, RedbOptions { integrity, ..RedbOptions::default() }) {
        Ok(store) => store,
        Err(OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }) => {
            return Found::Refused;
        }
        Err(error) => panic!("{error:?}"),
    };
    let mut found = Found::Whole;
    let mut note = |new: Found| {
        if found != Found::Told {
            found = new;
        }
    };
    for n in 0..CELLS {
        match store.get(&[key(n)]).await {
            Ok(cells) => match &cells[0] {
                Some(cell) => assert_eq!(cell.value, value(n), "a wrong value"),
                None => note(Found::Missing),
            },
            Err(error) => note(told(&error)),
        }
        match store.read(&log(n), Seq(1), 9).await {
            Ok(tail) if tail.entries.is_empty() => note(Found::Missing),
            Ok(tail) => assert_eq!(tail.entries, [value(n), value(n + 1)], "a wrong entry"),
            Err(error) => note(told(&error)),
        }
    }
    match store.scan(&Key::all(HERE), None, 999).await {
        Ok(cells) if cells.len() < CELLS as usize => note(Found::Missing),
        Ok(_) => {}
        Err(error) => note(told(&error)),
    }
    found
}

fn told(error: &StateError) -> Found {
    assert!(
        matches!(
            error,
            StateError::Damaged { .. } | StateError::Unavailable { .. } | StateError::Poisoned { .. }
        ),
        "{error:?}"
    );
    Found::Told
}

fn damage(path: &Path, copies: u32, integrity: Integrity) -> Vec<Found> {
    let original = fs::read(path).unwrap();
    let mut chance = Chance::new(5);
    let mut all = Vec::new();
    for copy in 0..copies {
        let mut bytes = original.clone();
        let at = chance.below(bytes.len() as u64) as usize;
        if copy % 4 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << chance.below(8);
        }
        let path = path.with_extension(copy.to_string());
        fs::write(&path, bytes).unwrap();
        all.push(block_on(examine(&path, integrity)));
        fs::remove_file(path).unwrap();
    }
    all
}

#[test]
fn damage_never_gives_a_wrong_value_and_a_full_check_finds_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    block_on(fill(&path));
    let quick = damage(&path, 120, Integrity::AsNeeded);
    let full = damage(&path, 60, Integrity::Everything);
    let count = |all: &[Found], what: Found| all.iter().filter(|found| **found == what).count();
    println!(
        "opened as needed: {} refused, {} told, {} whole, {} missing; checked: {} refused, {} whole",
        count(&quick, Found::Refused),
        count(&quick, Found::Told),
        count(&quick, Found::Whole),
        count(&quick, Found::Missing),
        count(&full, Found::Refused),
        count(&full, Found::Whole),
    );
    assert!(count(&quick, Found::Refused) + count(&quick, Found::Told) > 30, "the damage hit nothing");
    assert_eq!(count(&full, Found::Missing), 0, "a check of everything missed it");
}

/// What no checksum of a page can tell: a row that is gone, and one that is whole but in another one's place.
#[test]
fn a_lost_entry_and_a_misplaced_row_are_damage() {
    const CELLS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("cells");
    const ENTRIES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("entries");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.redb");
    block_on(fill(&path));
    {
        let file = Database::open(&path).unwrap();
        let txn = file.begin_write().unwrap();
        let mut entries = txn.open_table(ENTRIES).unwrap();
        // The second and last entry of the third log, and the first of the fifth.
        entries.remove((3 << 64) + 2).unwrap().expect("logs are numbered from 1");
        entries.remove((5 << 64) + 1).unwrap().expect("logs are numbered from 1");
        drop(entries);
        let mut cells = txn.open_table(CELLS).unwrap();
        let (mut other, row) = {
            let (place, row) = cells.iter().unwrap().next().unwrap().unwrap();
            (place.value().to_vec(), row.value().to_vec())
        };
        *other.last_mut().unwrap() += 1;
        cells.insert(&other[..], &row[..]).unwrap();
        drop(cells);
        txn.commit().unwrap();
    }
    block_on(async {
        let store = RedbStore::open(&path).unwrap();
        assert!(store.read(&log(1), Seq(1), 9).await.is_ok());
        for n in [2, 4] {
            let error = store.read(&log(n), Seq(1), 9).await.unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("log `main.9/log/{n:03}`")), "{error}");
        }
        assert!(store.get(&[key(0)]).await.is_ok());
        for error in [
            store.get(&[key(1)]).await.map(|_| ()).unwrap_err(),
            store.scan(&Key::all(HERE), None, 9).await.map(|_| ()).unwrap_err(),
            store
                .commit(Batch { when: vec![When::Absent(key(1))], ..put("x", 0) })
                .await
                .map(|_| ())
                .unwrap_err(),
        ] {
            assert_eq!(error, StateError::Damaged { what: "the cell `main.9/cell/001`".to_owned() });
        }
        // Damage refuses the batch that needs the row, and nothing else.
        store.commit(put("x", 0)).await.unwrap();
    });
}
