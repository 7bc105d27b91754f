//! The batches of which stores of every format are made. They are never changed: what they once left is kept.

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Durability, Fence, Key, Log, Revision, Seq, StateStore, Then, Token, When,
};

pub(super) const HERE: Partition = Partition { pool: Pool::MAIN, index: 9 };
const TOKEN: Token = Token([0x5e; 16]);

fn key(path: impl Into<Bytes>) -> Key {
    Key::new(HERE, path).unwrap()
}

fn log(path: impl Into<Bytes>) -> Log {
    Log::new(HERE, path).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Every sort of write, on values of one row and of several, on paths of all bytes, in three partitions of two pools.
pub(super) fn batches() -> Vec<Batch> {
    let long = |byte: u8, len: usize| Bytes::from(vec![byte; len]);
    let own = [&TOKEN.0[..], b"an owner"].concat();
    let first = vec![
        Then::Put(key("own"), own.into()),
        Then::Put(key("a"), bytes("first")),
        Then::Put(key("long"), long(b'L', 9_000)),
        Then::Put(key("gone"), bytes("for a while")),
        Then::Add(key("counter"), 5),
        Then::Append(log("run/1"), vec![bytes("one"), bytes("two"), bytes("three")]),
        Then::Append(log("said"), vec![bytes("a word")]),
        Then::Append(log("dropped"), vec![bytes("x"), bytes("y")]),
    ];
    let second = vec![
        Then::Put(key("a"), bytes("second")),
        Then::Put(key(&b"\x00odd\xff \n\\path"[..]), Bytes::new()),
        Then::Delete(key("gone")),
        Then::Add(key("counter"), -8),
        Then::Append(log("run/1"), vec![long(b'E', 5_000), Bytes::new()]),
    ];
    let third = vec![
        Then::Trim(log("run/1"), Seq(3)),
        Then::Trim(log("said"), Seq(2)),
        Then::Drop(log("dropped")),
        Then::Put(key("long"), long(b'M', 4_097)),
    ];
    let of_all = Partition { pool: Pool::MAIN, index: Partition::OWNERLESS };
    let beside = Partition { pool: Pool::new("side").unwrap(), index: 0 };
    let elsewhere = |partition, path: &'static str| {
        vec![
            Then::Put(Key::new(partition, path).unwrap(), bytes("elsewhere")),
            Then::Append(Log::new(partition, path).unwrap(), vec![bytes("an entry")]),
        ]
    };
    let batch = |id, partition, then| Batch {
        id: BatchId(id),
        partition,
        fence: None,
        when: Vec::new(),
        then,
        durability: Durability::Process,
    };
    let fence = Some(Fence { owner: key("own"), token: TOKEN });
    let when = vec![
        When::Revision(key("a"), Revision(1)),
        When::Absent(key("b")),
        When::Next(log("run/1"), Seq(4)),
        When::BacklogBelow(log("run/1"), 9),
    ];
    vec![
        batch(1, HERE, first),
        Batch { fence, when, durability: Durability::Disk, ..batch(2, HERE, second) },
        batch(3, HERE, third),
        batch(4, of_all, elsewhere(of_all, "n/1")),
        Batch { durability: Durability::Disk, ..batch(u128::MAX, beside, elsewhere(beside, "b")) },
    ]
}

pub(super) async fn write(store: &dyn StateStore) {
    for batch in batches() {
        commit(store, batch).await;
    }
}

/// Commits as durably as the batch says, or as the store can.
pub(super) async fn commit(store: &dyn StateStore, batch: Batch) -> (Revision, Vec<Seq>) {
    let durability = batch.durability.min(store.profile().best);
    let done = store.commit(Batch { durability, ..batch }).await.unwrap();
    (done.revision, done.appended)
}

/// A store that was written long ago has what the same batches leave in `memory`, and goes on as that does.
pub(super) async fn is_as(store: &dyn StateStore, memory: &dyn StateStore) {
    assert_eq!(shown(store).await, shown(memory).await);
    let then = vec![
        Then::Append(log("run/1"), vec![bytes("more")]),
        Then::Append(log("said"), vec![bytes("another word")]),
        Then::Append(log("new"), vec![bytes("an entry")]),
        Then::Trim(log("run/1"), Seq(5)),
        Then::Put(key("long"), bytes("short now")),
        Then::Add(key("counter"), 10),
        Then::Delete(key("a")),
    ];
    let batch = Batch { then, id: BatchId(77), ..batches().remove(2) };
    assert_eq!(commit(store, batch.clone()).await, commit(memory, batch).await);
    assert_eq!(shown(store).await, shown(memory).await);
}

/// Everything that a store shows: cells with their revisions, logs with their extents and entries.
pub(super) async fn shown(store: &dyn StateStore) -> String {
    let mut shown = String::new();
    let mut partitions = store.partitions().await.unwrap();
    partitions.sort();
    for partition in partitions {
        for (key, cell) in store.scan(&Key::all(partition), None, 1_000).await.unwrap() {
            writeln!(shown, "{key} {} {}", cell.revision.0, escaped(&cell.value)).unwrap();
        }
        for extent in store.logs(&Log::all(partition), None, 1_000).await.unwrap() {
            // A log of which nothing is left may be listed or not.
            let tail = store.read(&extent.log, Seq::FIRST, 1_000).await.unwrap();
            writeln!(shown, "{} {} {}", extent.log, tail.first.0, tail.next.0).unwrap();
            tail.entries.iter().for_each(|entry| writeln!(shown, "  {}", escaped(entry)).unwrap());
        }
    }
    shown
}

/// Bytes as a word: `=`, then what is printed as itself, and `\xNN` for the rest.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = "=".to_owned();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\x5c"),
            b'!'..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text
}

/// Compares what today's code makes with what is kept for ever. For a new format, `GOLDEN=FOLDER` writes it there.
pub(super) fn is_as_kept(name: &str, today: &str, kept: &str) {
    offer(name, today.as_bytes());
    for (nth, (today, kept)) in today.lines().zip(kept.lines()).enumerate() {
        assert_eq!(today, kept, "line {} of {name}", nth + 1);
    }
    assert_eq!(today.lines().count(), kept.lines().count(), "lines of {name}");
}

pub(super) fn offer(name: &str, today: &[u8]) {
    if let Some(folder) = std::env::var_os("GOLDEN") {
        std::fs::write(PathBuf::from(folder).join(name), today).unwrap();
    }
}
