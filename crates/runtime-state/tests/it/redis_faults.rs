//! A server that goes away, freezes, changes or is full.

use std::sync::Arc;
use std::time::Duration;

use runtime_state::{RedisOptions, RedisStore};
use runtime_testkit::block_on;
use runtime_testkit::peers::{CutProxy, RedisServer};
use runtime_traits::store::{Batch, BatchId, Durability, Key, Log, Seq, StateError, StateStore, Then, When};
use rustix::process::{Pid, Signal, kill_process};

use crate::redb_faults::{HERE, put, value};

fn key(path: &str) -> Key {
    Key::new(HERE, path.to_owned()).unwrap()
}

fn log(path: &str) -> Log {
    Log::new(HERE, path.to_owned()).unwrap()
}

fn batch(id: u128, then: Vec<Then>) -> Batch {
    Batch { id: BatchId(id << 64), then, ..put("x", 1) }
}

/// Says something at once when it may have said it, so that no test waits long.
fn hasty() -> RedisOptions {
    RedisOptions {
        connect: Duration::from_millis(400),
        reply: Duration::from_millis(400),
        check: Duration::from_millis(20),
        ..RedisOptions::default()
    }
}

fn through(way: &CutProxy, options: RedisOptions) -> RedisStore {
    RedisStore::open_with(&format!("redis+unix://{}", way.socket().display()), options).unwrap()
}

/// Sends the batch again, as a caller does, until it is known what became of it.
async fn insist(store: &RedisStore, batch: &Batch) -> Result<u64, StateError> {
    loop {
        match store.commit(batch.clone()).await {
            Ok(done) => return Ok(done.revision.0),
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn a_lost_reply_is_unknown_and_the_same_batch_gets_the_first_answer() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let (store, other) =
            (through(&way, RedisOptions::default()), RedisStore::open(&server.uri(0)).unwrap());
        way.lose_replies(true);
        let once = batch(7, vec![Then::Add(key("count"), 1)]);
        let mut commit = store.commit(once.clone());
        assert!(futures_util::poll!(&mut commit).is_pending());
        while value(&other, "count").await.is_none() {
            tokio::task::yield_now().await;
        }
        way.cut();
        assert_eq!(commit.await, Err(StateError::Unknown { batch: once.id.0 }));
        way.lose_replies(false);

        let revision = insist(&store, &once).await.unwrap();
        assert_eq!(other.commit(once).await.unwrap().revision.0, revision);
        assert_eq!(value(&store, "count").await, Some("1".into()));
    });
}

#[test]
fn a_server_that_is_away_is_unavailable_and_nothing_was_written() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        assert!(store.commit(put("before", 1)).await.is_ok());
        server.kill();
        // The first may find out by itself that the server has gone.
        let _ = store.get(&[key("before")]).await;
        for n in 0..20 {
            match store.commit(put(&format!("away/{n}"), 100 + n)).await {
                Err(StateError::Unavailable { retry_after: Some(after), cause }) => {
                    assert!(after <= Duration::from_secs(2), "{after:?}");
                    assert!(cause.to_string().contains("no Redis server answers at"), "{cause}");
                }
                other => unreachable!("{other:?}"),
            }
            assert!(matches!(store.get(&[key("before")]).await, Err(StateError::Unavailable { .. })));
        }
        server.revive();
        insist(&store, &put("after", 300)).await.unwrap();
        assert_eq!(store.scan(&Key::all(HERE), None, 99).await.unwrap().len(), 2, "before and after");
    });
}

/// Eight writers that send again what they must, one server that is killed again and again: each batch is there once.
#[test]
fn reads_and_commits_survive_restarts_of_the_server() {
    block_on(async {
        let server = Arc::new(RedisServer::start());
        let store = Arc::new(RedisStore::open(&server.uri(0)).unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8_u64 {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                for n in 1..=60 {
                    let mut batch = batch(
                        u128::from(writer * 1_000 + n),
                        vec![Then::Append(log(&format!("log/{writer}")), vec![n.to_string().into()])],
                    );
                    batch.when = vec![When::Next(log(&format!("log/{writer}")), Seq(n))];
                    insist(&store, &batch).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
        }
        let killer = Arc::clone(&server);
        let watched = Arc::clone(&store);
        writers.spawn(async move {
            for round in 1..=4 {
                // After some of the work, so that it meets commits on their way.
                while !matches!(watched.read(&log("log/0"), Seq(round * 10), 1).await, Ok(tail) if tail.entries.len() == 1)
                {
                    tokio::task::yield_now().await;
                }
                killer.kill();
                killer.revive();
            }
        });
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        for writer in 0..8 {
            let tail = store.read(&log(&format!("log/{writer}")), Seq(1), 999).await.unwrap();
            let expected: Vec<bytes::Bytes> = (1..=60).map(|n| n.to_string().into()).collect();
            assert_eq!(tail.entries, expected, "log/{writer}");
        }
    });
}

#[test]
fn a_frozen_server_is_given_up_and_used_again_when_it_thaws() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open_with(&server.uri(0), hasty()).unwrap();
        assert!(store.commit(put("before", 1)).await.is_ok());
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let once = batch(9, vec![Then::Add(key("count"), 1)]);
        assert_eq!(store.commit(once.clone()).await, Err(StateError::Unknown { batch: once.id.0 }));
        assert!(matches!(store.get(&[key("before")]).await, Err(StateError::Unavailable { .. })));
        kill_process(pid, Signal::CONT).unwrap();
        insist(&store, &once).await.unwrap();
        assert_eq!(value(&store, "count").await, Some("1".into()));
    });
}

#[test]
fn a_cut_connection_is_made_again_and_nothing_waits_for_an_operator() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        let store = through(&way, RedisOptions::default());
        for n in 1..=20_u64 {
            way.cut();
            insist(&store, &batch(n.into(), vec![Then::Add(key("count"), 1)])).await.unwrap();
        }
        assert_eq!(value(&store, "count").await, Some("20".into()));
    });
}

#[test]
fn settings_that_promise_less_are_noticed_and_disk_is_refused_until_they_are_set_back() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open_with(&server.uri(0), hasty()).unwrap();
        let disk = |n: u128| Batch { durability: Durability::Disk, ..batch(n, vec![Then::Add(key("n"), 1)]) };
        assert_eq!(store.commit(disk(1)).await.unwrap().durability, Durability::Disk);
        server.say(&["CONFIG", "SET", "appendfsync", "everysec"]);
        let mut n = 1;
        let why = loop {
            n += 1;
            match store.commit(disk(n)).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(StateError::Unavailable { cause, .. }) => break cause.to_string(),
                Err(error) => unreachable!("{error:?}"),
            }
        };
        assert!(why.contains("`appendfsync` is `everysec`"), "{why}");
        assert_eq!(store.profile().best, Durability::Disk, "what was promised when it was opened");
        let process = Batch { durability: Durability::Process, ..disk(n + 1) };
        assert_eq!(store.commit(process).await.unwrap().durability, Durability::Process);
        server.say(&["CONFIG", "SET", "appendfsync", "always"]);
        insist(&store, &disk(n + 2)).await.unwrap();

        server.say(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        let why = loop {
            match store.get(&[key("n")]).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => {
                    if error.to_string().contains("evicts") {
                        break error.to_string();
                    }
                }
            }
        };
        assert!(why.contains("noeviction"), "{why}");
        server.say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        insist(&store, &disk(n + 3)).await.unwrap();
    });
}

/// The level that a commit answers is in what is sent, and that may wait for the server to come back.
#[test]
fn what_waited_for_a_server_that_gives_less_by_now_is_not_called_disk() {
    block_on(async {
        let server = RedisServer::start();
        let way = CutProxy::before(&server.socket());
        // Nothing but a new connection makes it look again.
        let long = Duration::from_secs(60);
        let store = through(&way, RedisOptions { connect: long, reply: long, check: long, ..hasty() });
        let other = RedisStore::open(&server.uri(0)).unwrap();
        let disk = |n: u128| Batch { durability: Durability::Disk, ..batch(n, vec![Then::Add(key("n"), 1)]) };
        way.lose_replies(true);
        let mut lost = store.commit(disk(1));
        assert!(futures_util::poll!(&mut lost).is_pending());
        while value(&other, "n").await.is_none() {
            tokio::task::yield_now().await;
        }
        server.say(&["CONFIG", "SET", "appendfsync", "everysec"]);
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        way.cut();
        // Once it is told, nothing more is sent on the old connection; the new one waits for the server.
        assert!(matches!(lost.await, Err(StateError::Unknown { .. })));
        way.lose_replies(false);
        let mut waiting: Vec<_> = (2..200).map(|n| store.commit(disk(n))).collect();
        for commit in &mut waiting {
            assert!(futures_util::poll!(commit).is_pending());
        }
        kill_process(pid, Signal::CONT).unwrap();
        for commit in waiting {
            match commit.await {
                Err(StateError::Unavailable { cause, .. }) => {
                    assert!(cause.to_string().contains("`appendfsync` is `everysec`"), "{cause}");
                }
                other => unreachable!("{other:?}"),
            }
        }
        assert_eq!(value(&store, "n").await, Some("1".into()), "what is refused is not written");
    });
}

#[test]
fn a_server_that_is_full_writes_nothing_reads_and_deletes() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        let large =
            |n| batch(n, vec![Then::Put(key("large"), vec![7; 500_000].into()), Then::Add(key("n"), 1)]);
        store.commit(large(1)).await.unwrap();
        server.say(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(store.commit(large(2)).await, Err(StateError::NoSpace));
        assert_eq!(value(&store, "n").await, Some("1".into()), "reads go on, and nothing was written");
        let make_room = batch(3, vec![Then::Delete(key("large"))]);
        store.commit(make_room).await.unwrap();
        server.say(&["CONFIG", "SET", "maxmemory", "0"]);
        store.commit(large(2)).await.unwrap();
        assert_eq!(value(&store, "n").await, Some("2".into()));
    });
}

#[test]
fn a_server_that_has_forgotten_the_scripts_gets_them_again() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        server.say(&["SCRIPT", "FLUSH"]);
        let first = store.commit(put("a", 1)).await;
        assert!(matches!(first, Err(StateError::Unavailable { .. })), "{first:?}");
        insist(&store, &put("a", 1)).await.unwrap();
    });
}

#[test]
fn keys_that_somebody_else_has_written_are_damage_and_nothing_is_half_written() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        let all = |n| {
            let append = Then::Append(log("log"), vec!["1".into()]);
            batch(
                n,
                vec![
                    Then::Put(key("first"), n.to_string().into()),
                    append,
                    Then::Put(key("last"), "1".into()),
                ],
            )
        };
        store.commit(all(1)).await.unwrap();
        let tag = |name: &str| format!("ar:{{{HERE}}}:{name}");
        assert_eq!(server.say(&["GET", &tag("revision")]), "1");
        let wrongs = [
            ["ZADD", "paths", "0", "stray"].as_slice(),
            &["HSET", "logs", "log", "none"],
            &["XADD", "log:log", "9-0", "e", "1"],
            &["RPUSH", "order", "stray"],
            &["SET", "log-paths", "no set"],
        ];
        for (wrong, n) in wrongs.into_iter().zip(2..) {
            let key = tag(wrong[1]);
            server.say(&["COPY", &key, "saved", "REPLACE"]);
            server.say(&[&[wrong[0], &key], &wrong[2..]].concat());
            let answer = store.commit(all(n)).await;
            assert!(matches!(answer, Err(StateError::Damaged { .. })), "{wrong:?}: {answer:?}");
            assert_eq!(value(&store, "first").await, Some("1".into()), "{wrong:?}: a part was written");
            server.say(&["COPY", "saved", &key, "REPLACE"]);
        }
        store.commit(all(99)).await.unwrap();
        server.say(&["HSET", &tag("cells"), "first", "no revision"]);
        let answer = store.get(&[key("first")]).await;
        assert!(matches!(answer, Err(StateError::Damaged { .. })), "{answer:?}");
    });
}

#[test]
fn what_is_missing_from_a_stream_or_from_the_paths_is_told_to_readers() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        let entries: Vec<bytes::Bytes> = (1..=5).map(|n| n.to_string().into()).collect();
        let cells = ["a", "b", "c"].map(|path| Then::Put(key(path), "1".into()));
        let logs = ["log", "other"].map(|path| Then::Append(log(path), entries.clone()));
        store.commit(batch(1, [&cells[..], &logs].concat())).await.unwrap();
        store.commit(batch(2, vec![Then::Trim(log("log"), Seq(2))])).await.unwrap();
        let tag = |name: &str| format!("ar:{{{HERE}}}:{name}");
        for (from, limit, found) in [(1, 9, 4), (2, 2, 2), (4, 9, 2), (6, 9, 0), (99, 9, 0), (1, 0, 0)] {
            let tail = store.read(&log("log"), Seq(from), limit).await.unwrap();
            assert_eq!(tail.entries.len(), found, "{found} from {from}");
        }

        server.say(&["XDEL", &tag("log:log"), "3-0"]);
        for (from, limit) in [(1, 9), (2, 2), (3, 1)] {
            let read = store.read(&log("log"), Seq(from), limit).await;
            assert!(matches!(read, Err(StateError::Damaged { .. })), "{read:?}");
            assert!(read.unwrap_err().to_string().contains("log `main.9/log`"));
        }
        assert_eq!(store.read(&log("log"), Seq(4), 9).await.unwrap().entries, ["4", "5"]);
        server.say(&["XDEL", &tag("log:other"), "5-0"]);
        assert!(store.read(&log("other"), Seq(5), 9).await.is_err(), "the last one is missed too");
        server.say(&["HDEL", &tag("logs"), "other"]);
        assert!(store.read(&log("other"), Seq(1), 9).await.is_err(), "its entries are there");

        server.say(&["ZREM", &tag("paths"), "b"]);
        let page = store.scan(&Key::all(HERE), None, 2).await.unwrap();
        assert_eq!(page.len(), 2, "what is there is shown");
        let rest = store.scan(&Key::all(HERE), Some(&key("c")), 2).await;
        assert_eq!(rest, Err(StateError::Damaged { what: "the cells of partition `main.9`".to_owned() }));
        let verified = runtime_state::read_store(&store, |_| {}).await.unwrap();
        assert_eq!(verified.cells, 2);
        let told = verified.damages.iter().filter(|damage| damage.place.to_string() == "cells after c");
        assert_eq!(told.count(), 1, "{:?}", verified.damages);
    });
}

/// Cuts the file off in the middle of the last transaction, as a loss of power may.
fn cut_the_last_transaction(server: &RedisServer) {
    let files = std::fs::read_dir(server.folder().join("appendonlydir")).unwrap();
    let grows =
        files.map(|file| file.unwrap().path()).find(|path| path.to_string_lossy().ends_with(".incr.aof"));
    let path = grows.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let begin = bytes.windows(5).rposition(|word| word == b"MULTI").unwrap();
    let end = bytes.windows(4).rposition(|word| word == b"EXEC").unwrap();
    assert!(begin < end, "the last transaction is whole");
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end as u64 - 20).unwrap();
}

/// Redis cuts such a file at the last whole command, and leaves the beginning of the transaction in it.
#[test]
fn half_a_commit_that_the_file_ended_with_is_never_applied() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        store.commit(batch(1, vec![Then::Put(key("a"), "1".into())])).await.unwrap();
        let several = ["a", "b", "c"].map(|path| Then::Put(key(path), "2".into()));
        store.commit(batch(2, several.to_vec())).await.unwrap();
        server.kill();
        cut_the_last_transaction(&server);
        server.revive();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        assert_eq!(value(&store, "a").await, Some("1".into()));
        store.commit(batch(3, vec![Then::Put(key("d"), "3".into())])).await.unwrap();
        server.kill();
        server.revive();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        let there = store.get(&["a", "b", "c", "d"].map(key)).await.unwrap();
        let there: Vec<_> = there.into_iter().map(|cell| cell.map(|cell| cell.value)).collect();
        assert_eq!(there, [Some("1".into()), None, None, Some("3".into())]);
    });
}

#[test]
fn a_store_that_is_dropped_has_sent_what_was_queued() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open(&server.uri(0)).unwrap();
        for n in 0..500 {
            let mut commit = store.commit(put(&n.to_string(), n));
            assert!(futures_util::poll!(&mut commit).is_pending());
        }
        drop(store);
        let store = RedisStore::open(&server.uri(0)).unwrap();
        assert_eq!(store.scan(&Key::all(HERE), None, 999).await.unwrap().len(), 500);
    });
}

#[test]
fn more_requests_than_the_queue_takes_are_refused_at_once() {
    block_on(async {
        let server = RedisServer::start();
        let store = RedisStore::open_with(&server.uri(0), RedisOptions { queue: 4, ..hasty() }).unwrap();
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let mut refused = Vec::new();
        let mut waiting = Vec::new();
        // At most 16 groups of 128 are on their way, one is being made up, and four wait.
        for n in 0..3_000 {
            let mut commit = store.commit(put(&n.to_string(), n));
            match futures_util::poll!(&mut commit) {
                std::task::Poll::Ready(answer) => {
                    assert!(matches!(answer, Err(StateError::Unavailable { .. })), "{answer:?}");
                    refused.push(key(&n.to_string()));
                }
                std::task::Poll::Pending => waiting.push(commit),
            }
        }
        assert!(waiting.len() <= 17 * 128 + 4, "{} are waiting", waiting.len());
        kill_process(pid, Signal::CONT).unwrap();
        for commit in waiting {
            let answer = commit.await;
            let is_known = !matches!(answer, Err(StateError::Conflict { .. } | StateError::Damaged { .. }));
            assert!(is_known, "{answer:?}");
        }
        insist(&store, &put("after", 1)).await.unwrap();
        for keys in refused.chunks(100) {
            let there = store.get(keys).await.unwrap();
            assert!(there.iter().all(Option::is_none), "what was refused was written");
        }
    });
}
