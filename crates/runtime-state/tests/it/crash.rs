//! A process that is killed while it commits.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use runtime_state::open;
use runtime_testkit::block_on;
use runtime_testkit::fakes::Chance;
use runtime_traits::store::{Batch, BatchId, Key, Log, Seq, StateStore, Then, When};
use tokio::task::JoinSet;

use crate::redb_faults::HERE;

/// Set in the process that commits and gets killed: the URI of its store.
const STORE: &str = "KILLED_STORE";
const WRITERS: u64 = 4;

fn log(writer: u64) -> Log {
    Log::new(HERE, format!("log/{writer}")).unwrap()
}

fn count(writer: u64) -> Key {
    Key::new(HERE, format!("count/{writer}")).unwrap()
}

/// The entry `n` of a writer: told by its number, and of another length than its neighbours.
fn entry(writer: u64, n: u64) -> Vec<u8> {
    let mut entry = format!("{writer} {n} ").into_bytes();
    entry.resize(entry.len() + (n * 977 % 3_000) as usize, b'.');
    entry
}

/// The process that gets killed: says `acknowledged writer n` for every commit that was answered with `Ok` at the best level.
fn commit_until_killed(uri: &str) {
    block_on(async {
        let store = open(uri).await.unwrap();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                let first = store.read(&log(writer), Seq(1), 0).await.unwrap().next.0;
                for n in first.. {
                    let then = vec![
                        Then::Append(log(writer), vec![entry(writer, n).into()]),
                        Then::Put(count(writer), n.to_string().into()),
                    ];
                    let batch = Batch {
                        id: BatchId(u128::from(writer << 48 | n)),
                        partition: HERE,
                        fence: None,
                        when: vec![When::Next(log(writer), Seq(n))],
                        then,
                        durability: store.profile().best,
                    };
                    let done = store.commit(batch).await.unwrap();
                    assert_eq!((done.appended[0], done.durability), (Seq(n), store.profile().best));
                    writeln!(std::io::stdout().lock(), "\nacknowledged {writer} {n}").unwrap();
                }
            });
        }
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
    });
}

#[test]
fn what_redb_has_acknowledged_survives_a_kill() {
    survive("crash::what_redb_has_acknowledged_survives_a_kill", "redb");
}

#[test]
fn what_sled_has_acknowledged_survives_a_kill() {
    survive("crash::what_sled_has_acknowledged_survives_a_kill", "sled");
}

fn survive(test: &str, scheme: &str) {
    if let Ok(uri) = env::var(STORE) {
        return commit_until_killed(&uri);
    }
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("{scheme}:{}", folder.path().join("agents").display());
    let mut chance = Chance::new(11);
    let mut acknowledged = [0; WRITERS as usize];
    for round in 0..rounds() {
        let killed = acknowledged_until_killed(test, &uri, 20 + chance.below(300));
        for (writer, n) in killed {
            acknowledged[writer as usize] = acknowledged[writer as usize].max(n);
        }
        block_on(check(&uri, &acknowledged, round));
    }
    assert!(acknowledged.iter().all(|n| *n > 0), "a writer never got to write: {acknowledged:?}");
    println!("{scheme}: {} acknowledged in {} rounds, none lost", acknowledged.iter().sum::<u64>(), rounds());
}

/// How often the process is killed: `ROUNDS`, by hand.
fn rounds() -> u32 {
    env::var("ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

/// Runs this test in a process that commits until it has acknowledged that much, kills it, and answers all
/// that it had said.
fn acknowledged_until_killed(test: &str, uri: &str, enough: u64) -> Vec<(u64, u64)> {
    let mut child = start(test, uri);
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    for line in stdout.lines() {
        let line = line.unwrap();
        let Some(numbers) = line.strip_prefix("acknowledged ") else { continue };
        // The last line may be cut off.
        let Some((writer, n)) = numbers.split_once(' ') else { continue };
        said.push((writer.parse().unwrap(), n.parse().unwrap()));
        if said.len() as u64 == enough {
            // SIGKILL, between two instructions that nobody chose. What it says until then still comes.
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "it ended by itself: {status}");
    said
}

fn start(test: &str, uri: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(STORE, uri)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn check(uri: &str, acknowledged: &[u64], round: u32) {
    let store = open(uri).await.unwrap();
    for (writer, acknowledged) in (0..).zip(acknowledged) {
        let tail = store.read(&log(writer), Seq(1), u32::MAX).await.unwrap();
        let last = tail.next.0 - 1;
        assert!(last >= *acknowledged, "round {round}: {acknowledged} acknowledged, {last} there");
        assert_eq!((tail.first, tail.entries.len() as u64), (Seq(1), last), "round {round}: a gap");
        for (found, n) in tail.entries.iter().zip(1..) {
            assert_eq!(found[..], entry(writer, n), "round {round}: entry {n}");
        }
        let cell = &store.get(&[count(writer)]).await.unwrap()[0];
        let count = cell.as_ref().map_or(0, |cell| String::from_utf8_lossy(&cell.value).parse().unwrap());
        assert_eq!(count, last, "round {round}: half a batch");
    }
}
