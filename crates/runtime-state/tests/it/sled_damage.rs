//! Stores with an end cut off, a bit flipped, a page zeroed: each opened in a process of its own, because sled may
//! panic in its own threads, abort or hang.

use std::env;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use runtime_codec::keys;
use runtime_state::{MemoryStore, OpenError, SledOptions, SledStore, read_store, repair_store};
use runtime_testkit::block_on;
use runtime_testkit::fakes::Chance;
use runtime_traits::store::{Batch, Key, Log, Seq, StateError, StateStore, Then};

use crate::lived::{Lived, at};
use crate::redb_faults::{HERE, put};
use crate::sled_suite::copy;

/// Set in the process that looks at a damaged store: its folder.
const STORE: &str = "DAMAGED_STORE";
const CELLS: u32 = 150;
const ROUNDS: u32 = 3;
const SAYS: &str = "\nfound: ";

fn key(n: u32) -> Key {
    Key::new(HERE, format!("cell/{n:03}")).unwrap()
}

fn log(n: u32) -> Log {
    Log::new(HERE, format!("log/{n:03}")).unwrap()
}

fn value(n: u32, round: u32) -> Vec<u8> {
    vec![(n + round) as u8; 100 + n as usize * 17 % 900 + usize::from(n.is_multiple_of(50)) * 20_000]
}

/// Everything is written three times, and the store is opened anew in between, so that there is something to lose that
/// looks whole.
fn fill(path: &Path) {
    for round in 0..ROUNDS {
        block_on(async {
            let store = SledStore::open(path).unwrap();
            for n in 0..CELLS {
                let then = vec![
                    Then::Put(key(n), value(n, round).into()),
                    Then::Append(log(n), vec![value(n, round).into()]),
                ];
                store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
            }
        });
    }
}

/// `refused` at opening, `told` by some call, `whole`, or `silent`: something is not as it was, and nothing says so.
async fn examine(path: &Path) -> &'static str {
    let store = match SledStore::open_with(path, SledOptions::default()) {
        Ok(store) => store,
        Err(OpenError::Damaged { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }) => {
            return "refused";
        }
        Err(error) => panic!("{error:?}"),
    };
    let (mut told, mut silent) = (false, false);
    for n in 0..CELLS {
        match store.get(&[key(n)]).await {
            Ok(cells) => silent |= cells[0].as_ref().is_none_or(|cell| cell.value != value(n, ROUNDS - 1)),
            Err(error) => told |= says(&error),
        }
        match store.read(&log(n), Seq(1), 9).await {
            Ok(tail) => {
                silent |= !tail
                    .entries
                    .iter()
                    .eq((0..ROUNDS).map(|round| value(n, round)).collect::<Vec<_>>().iter())
            }
            Err(error) => told |= says(&error),
        }
    }
    match store.scan(&Key::all(HERE), None, 999).await {
        Ok(cells) => silent |= cells.len() != CELLS as usize,
        Err(error) => told |= says(&error),
    }
    match (told, silent) {
        (true, _) => "told",
        (false, true) => "silent",
        (false, false) => "whole",
    }
}

fn says(error: &StateError) -> bool {
    let good = matches!(
        error,
        StateError::Damaged { .. } | StateError::Unavailable { .. } | StateError::Poisoned { .. }
    );
    assert!(good, "{error:?}");
    good
}

/// Harms one file of the store, mostly the log, and says how.
fn damage(path: &Path, kind: u32, chance: &mut Chance) -> String {
    let mut files: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    let of_log = files.iter().position(|file| name(file) == "db").unwrap();
    let any = chance.below(files.len() as u64) as usize;
    let file = &files[if chance.once_in(6) { any } else { of_log }];
    let len = fs::metadata(file).unwrap().len();
    let at = chance.below(len);
    let open = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let how = match kind % 3 {
        0 => {
            open.set_len(at).unwrap();
            "cut"
        }
        1 => {
            let mut byte = [0];
            open.read_exact_at(&mut byte, at).unwrap();
            byte[0] ^= 1 << chance.below(8);
            open.write_all_at(&byte, at).unwrap();
            "flipped"
        }
        _ => {
            let from = at / 4_096 * 4_096;
            open.write_all_at(&vec![0; (len - from).min(4_096) as usize], from).unwrap();
            "zeroed"
        }
    };
    format!("{} {how} at {at} of {len}", name(file))
}

#[test]
fn damage_is_said_and_no_panic_of_sled_gets_out() {
    if let Some(path) = env::var_os(STORE) {
        let found = block_on(examine(Path::new(&path)));
        println!("{SAYS}{found}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agents.sled");
    fill(&path);
    let copies: u32 = env::var("COPIES").map_or(30, |copies| copies.parse().unwrap());
    let mut chance = Chance::new(5);
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for n in 0..copies {
        let damaged = home.path().join(n.to_string());
        copy(&path, &damaged);
        let how = damage(&damaged, n, &mut chance);
        let found = look(&damaged);
        fs::remove_dir_all(damaged).unwrap();
        if !matches!(&*found, "refused" | "told" | "whole") {
            println!("{n}: {how}: {found}");
        }
        *counts.entry(found).or_default() += 1;
    }
    println!("{copies} damaged stores: {counts:?}");
    let count = |found: &str| counts.get(found).copied().unwrap_or(0);
    assert_eq!(count("escaped"), 0, "a panic got out of the library");
    assert_eq!(count("silent"), 0, "something is lost, and nothing says so");
    assert!(count("refused") + count("told") > copies / 4, "the damage hit nothing");
}

/// What a process of its own finds: its word, or how it ended. sled is given 30 seconds.
fn look(path: &Path) -> String {
    let child = Command::new("timeout")
        .args(["--signal=KILL", "30"])
        .arg(env::current_exe().unwrap())
        .args(["sled_damage::damage_is_said_and_no_panic_of_sled_gets_out", "--exact", "--nocapture"])
        .env(STORE, path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let found = said.split_once(SAYS).and_then(|(_, found)| found.lines().next());
    match (child.status.code(), found) {
        (Some(0), Some(found)) => found.to_owned(),
        (Some(101), _) => "escaped".to_owned(),
        (Some(137), _) => "hung".to_owned(),
        (code, _) => format!("ended with {code:?}"),
    }
}

#[test]
fn a_lost_row_costs_itself_and_is_told_once_for_each_list() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("agents.sled");
        let lived = Lived::over(Arc::new(SledStore::open(&path).unwrap())).await;
        let (state, lost) = (keys::snapshot(&lived.tenant, &lived.state), lived.messages());
        let whole = lived.verify().await;
        assert_eq!(whole.damaged, 0);
        let head = lived.head();
        drop(lived);
        {
            let file = sled::open(&path).unwrap();
            let is_lost = |key: &[u8]| key.ends_with(state.path.as_bytes());
            let rows = file.iter().map(|row| row.unwrap().0).filter(|key| is_lost(key));
            let rows: Vec<_> = rows.collect();
            assert_eq!(rows.len(), 1);
            file.remove(&rows[0]).unwrap();
            file.flush().unwrap();
        }
        let uri = format!("sled:{}", path.display());
        // Whoever works with it is told, and sees nothing of the partition.
        let strict = runtime_state::open(&uri).await.unwrap();
        assert!(matches!(strict.get(std::slice::from_ref(&head)).await, Err(StateError::Damaged { .. })));
        let verified = read_store(&*strict, |_| {}).await.unwrap();
        // Its name is in another partition.
        assert_eq!((verified.cells, verified.damaged), (1, 2), "{:?}", verified.damages);
        drop(strict);

        let store = runtime_state::open_to_salvage(&uri).await.unwrap();
        let verified = read_store(&*store, |_| {}).await.unwrap();
        assert_eq!(verified.cells, whole.cells - 1);
        assert_eq!((verified.entries, verified.damaged), (whole.entries, 2), "{:?}", verified.damages);
        assert_eq!(store.get(&[state]).await, Ok(vec![None]));
        assert!(store.get(&[head]).await.unwrap()[0].is_some());
        let wrote = store.commit(Batch { partition: lost.partition, ..put("x", 1) }).await;
        assert!(wrote.is_err(), "{wrote:?}");

        let repaired = MemoryStore::new();
        repair_store(&*store, &repaired, at(100), &mut |_| Ok(()), &mut |_, _| {}).await.unwrap();
        assert_eq!(repaired.read(&lost, Seq(1), 9).await.unwrap().entries.len(), 6, "its messages are kept");
    });
}
