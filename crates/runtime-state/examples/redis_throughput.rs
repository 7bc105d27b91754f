//! Commits of the Redis store beside `redis-benchmark` with the same script over the same keys.
//!
//! ```sh
//! AGENT_RUNTIME_REDIS_SERVER=redis-server cargo run --release -p runtime-state --example redis_throughput
//! ```
//!
//! The first ratio is the one that counts: one connection, as the store has. A server reads 16 KiB of each connection
//! before it syncs, so four of them share a sync among more commits.
//!
//! Takes the settings of the server as arguments, say `appendfsync everysec`. Needs `redis-benchmark` in the PATH.

#![expect(clippy::disallowed_methods, reason = "a figure is taken by the real clock")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use runtime_state::RedisStore;
use runtime_testkit::peers::RedisServer;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Fence, Key, Log, StateStore, Then, Token, When};
use tokio::task::JoinSet;

const HERE: Partition = Partition { pool: Pool::MAIN, index: 0 };
const TOKEN: Token = Token(*b"sixteen bytes ok");
const WRITERS: usize = 64;
const COMMITS: u64 = 100_000;
const ENTRY: [u8; 200] = [b'x'; 200];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Vec<String> = std::env::args().skip(1).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = RedisServer::start_with(&settings);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let store = Arc::new(RedisStore::open(&server.uri(0))?);
    let own = batch(0, vec![Then::Put(Key::new(HERE, "own")?, TOKEN.0.to_vec().into())]);
    runtime.block_on(store.commit(Batch { fence: None, ..own }))?;

    for round in 0..3 {
        let ours = runtime.block_on(writers(&store, round))?;
        let (one, four) = (benchmark(&server, 1, 64)?, benchmark(&server, 4, 16)?);
        println!(
            "{WRITERS} writers: {ours:.0} commits/s; redis-benchmark -c 1 -P 64: {one:.0}, ratio {:.2}; \
             -c 4 -P 16: {four:.0}, ratio {:.2}",
            ours / one,
            ours / four
        );
    }
    Ok(())
}

fn batch(id: u128, then: Vec<Then>) -> Batch {
    let owner = Key::new(HERE, "own").expect("a good path");
    let nothing = Key::new(HERE, "nothing").expect("a good path");
    Batch {
        id: BatchId(id),
        partition: HERE,
        fence: Some(Fence { owner, token: TOKEN }),
        when: vec![When::Absent(nothing)],
        then,
        durability: Durability::Memory,
    }
}

async fn writers(store: &Arc<RedisStore>, round: u128) -> Result<f64, Box<dyn std::error::Error>> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        writers.spawn(async move {
            let log = Log::new(HERE, "run/1").expect("a good path");
            let cell = Key::new(HERE, "s/agent/session/head").expect("a good path");
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= COMMITS {
                    return Ok(());
                }
                let entry = bytes::Bytes::from_static(&ENTRY);
                let then =
                    vec![Then::Append(log.clone(), vec![entry.clone()]), Then::Put(cell.clone(), entry)];
                store.commit(batch((round + 1) << 64 | u128::from(n), then)).await?;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        let ended: Result<(), runtime_traits::store::StateError> = ended?;
        ended?;
    }
    Ok(COMMITS as f64 / start.elapsed().as_secs_f64())
}

/// Requests per second of `redis-benchmark` that commits the same batch under ids of its own.
fn benchmark(server: &RedisServer, clients: u32, pipeline: u32) -> Result<f64, Box<dyn std::error::Error>> {
    let sha = server.say(&["SCRIPT", "LOAD", include_str!("../src/redis_store/commit.lua")]);
    let keys = ["revision", "cells", "paths", "logs", "log-paths", "ids", "order", "log:run/1"];
    let keys: Vec<String> = keys.iter().map(|name| format!("ar:{{{HERE}}}:{name}")).collect();
    let entry = String::from_utf8(ENTRY.to_vec())?;
    let token = String::from_utf8(TOKEN.0.to_vec())?;
    let output = Command::new("redis-benchmark")
        .arg("-s")
        .arg(server.socket())
        .args(["-c", &clients.to_string(), "-P", &pipeline.to_string(), "-n", &COMMITS.to_string()])
        .args(["-r", "2000000000", "--csv", "EVALSHA", &sha, &keys.len().to_string()])
        .args(&keys)
        .args(["__rand_int__bnch", "0", "1", "own", &token, "1", "absent", "nothing", "0", "2"])
        .args(["append", "run/1", "8", "1", &entry, "put", "s/agent/session/head", &entry])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let row = text.lines().last().unwrap_or_default();
    let field = row.rsplit("\",\"").nth(6).unwrap_or_default();
    Ok(field.trim_matches('"').parse()?)
}
