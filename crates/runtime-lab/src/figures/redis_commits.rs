//! Commits to a Redis server, against `redis-benchmark` with the same script over the same keys.

use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use runtime_state::RedisStore;
use runtime_testkit::peers::RedisServer;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Fence, Key, Log, StateStore, Then, Token, When};
use tokio::process::Command;

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::load::{Caller, per_second};
use super::plan::Plan;

/// What names the server's program.
pub(crate) const SERVER: &str = "AGENT_RUNTIME_REDIS_SERVER";

const HERE: Partition = Partition { pool: Pool::MAIN, index: 0 };
const TOKEN: Token = Token(*b"sixteen bytes ok");
const WRITERS: usize = 64;
/// Commits of one turn of `redis-benchmark`.
const COMMITS: u64 = 50_000;
const ENTRY: [u8; 200] = [b'x'; 200];

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let mut figures = Vec::new();
    for (name, fsync) in [("redis-commits-everysec", "everysec"), ("redis-commits-always", "always")] {
        let server = RedisServer::start_with(&["appendfsync", fsync]);
        let store = Arc::new(RedisStore::open(&server.uri(0))?);
        let own = batch(0, vec![Then::Put(Key::new(HERE, "own")?, Bytes::from_static(&TOKEN.0))])?;
        store.commit(Batch { fence: None, ..own }).await?;
        let mut turns = 0;
        let ours = async || {
            turns += 1;
            per_second((0..WRITERS).map(|nth| writer(&store, turns, nth)), plan.turn).await
        };
        let benchmark = async || benchmark(&server, plan.sized(COMMITS)).await;
        let (value, baseline) = take_turns(plan.rounds, ours, benchmark).await?;
        figures.push(Figure {
            name,
            value,
            unit: "commits/s",
            baseline: Some(baseline),
            against: "`redis-benchmark -c 1 -P 64` with the same script over the same keys: one connection, as the store has",
            bar: Bar::RatioAtLeast(0.7),
            n: plan.rounds,
        });
    }
    Ok(figures)
}

/// Commits an entry and a cell, again and again.
struct Writer {
    store: Arc<RedisStore>,
    batches: u128,
}

fn writer(store: &Arc<RedisStore>, turn: u128, nth: usize) -> Writer {
    Writer { store: Arc::clone(store), batches: turn << 96 | (nth as u128) << 64 }
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), FiguresError> {
        self.batches += 1;
        let entry = Bytes::from_static(&ENTRY);
        let log = Log::new(HERE, "run/1")?;
        let cell = Key::new(HERE, "s/agent/session/head")?;
        let then = vec![Then::Append(log, vec![entry.clone()]), Then::Put(cell, entry)];
        self.store.commit(batch(self.batches, then)?).await?;
        Ok(())
    }
}

fn batch(id: u128, then: Vec<Then>) -> Result<Batch, FiguresError> {
    Ok(Batch {
        id: BatchId(id),
        partition: HERE,
        fence: Some(Fence { owner: Key::new(HERE, "own")?, token: TOKEN }),
        when: vec![When::Absent(Key::new(HERE, "nothing")?)],
        then,
        durability: Durability::Memory,
    })
}

/// Commits per second of `redis-benchmark`, of the same batch under ids of its own.
async fn benchmark(server: &RedisServer, commits: u64) -> Result<f64, FiguresError> {
    let sha = server.say(&["SCRIPT", "LOAD", RedisStore::COMMIT_SCRIPT]);
    let keys = ["revision", "cells", "paths", "logs", "log-paths", "ids", "order", "log:run/1"];
    let keys: Vec<String> = keys.iter().map(|name| format!("ar:{{{HERE}}}:{name}")).collect();
    let entry = String::from_utf8_lossy(&ENTRY).into_owned();
    let token = String::from_utf8_lossy(&TOKEN.0).into_owned();
    let output = Command::new("redis-benchmark")
        .arg("-s")
        .arg(server.socket())
        .args(["-c", "1", "-P", "64", "-n", &commits.to_string()])
        .args(["-r", "2000000000", "--csv", "EVALSHA", &sha, &keys.len().to_string()])
        .args(&keys)
        .args(["__rand_int__bnch", "0", "1", "own", &token, "1", "absent", "nothing", "0", "2"])
        .args(["append", "run/1", "8", "1", &entry, "put", "s/agent/session/head", &entry])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| FiguresError::io("`redis-benchmark` (of Debian's redis-tools)", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = text.lines().last().unwrap_or_default();
    let field = row.rsplit("\",\"").nth(6).unwrap_or_default();
    let strange = |_| FiguresError::Unexpected(format!("`redis-benchmark` says `{row}`"));
    field.trim_matches('"').parse().map_err(strange)
}
