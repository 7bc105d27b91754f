//! Cases about what reads may say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Cell, Durability, Key, Log, Seq, StateError, Tail, Then};

use super::StoreFixture;
use super::probe::{HERE, Probe, With, append, batch, fail, key, log, put};

/// `absent-is-known`: `None` only when absence is established; doubt is an error.
pub async fn absent_is_known(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let store = &probe.store;
    assert_eq!(store.get(&[]).await, Ok(vec![]));
    assert_eq!(store.get(&[key("a"), key("b")]).await, Ok(vec![None, None]));
    assert_eq!(store.scan(&Key::all(HERE), None, 9).await, Ok(vec![]));
    assert_eq!(store.logs(&Log::all(HERE), None, 9).await, Ok(vec![]));
    assert_eq!(store.partitions().await, Ok(vec![]));
    let nothing = Tail { first: Seq(1), next: Seq(1), entries: vec![] };
    assert_eq!(store.read(&log("a"), Seq(1), 9).await, Ok(nothing));

    let best = store.profile().best;
    for n in 0..40 {
        let page = "x".repeat(4_000);
        let then = vec![put(format!("cell/{n:02}"), &page), append(format!("log/{n:02}"), [&page])];
        probe.write(batch(then).at(best)).await;
    }
    let Some(faults) = fixture.faults() else {
        assert_eq!(best, Durability::Memory, "a store with a disk can be made to fail by its fixture");
        return;
    };
    // Opened again, because what was just written may be in a cache.
    let probe = Probe::new(fixture.crash(probe.store).await);
    faults.fail_reads(true);
    let mut refused = 0;
    for n in 0..40 {
        refused += what_a_blind_store_says(&probe, n).await;
    }
    assert!(refused > 0, "the disk refused to be read, and the store did not notice");
    faults.fail_reads(false);
}

async fn what_a_blind_store_says(probe: &Probe, n: u32) -> u32 {
    let mut refused = 0;
    match probe.store.get(&[key(format!("cell/{n:02}"))]).await {
        Ok(cells) => assert!(cells[0].is_some(), "`None` for a cell that could not be read"),
        Err(error) => refused += expect_doubt(&error),
    }
    match probe.store.scan(&key(format!("cell/{n:02}")), None, 9).await {
        Ok(cells) => assert_eq!(cells.len(), 1, "an empty page of cells that could not be read"),
        Err(error) => refused += expect_doubt(&error),
    }
    match probe.store.read(&log(format!("log/{n:02}")), Seq(1), 9).await {
        Ok(tail) => assert_eq!(tail.entries.len(), 1, "an empty log that could not be read"),
        Err(error) => refused += expect_doubt(&error),
    }
    match probe.store.logs(&log(format!("log/{n:02}")), None, 9).await {
        Ok(logs) => assert_eq!(logs.len(), 1, "an empty page of logs that could not be read"),
        Err(error) => refused += expect_doubt(&error),
    }
    match probe.store.partitions().await {
        Ok(partitions) => assert_eq!(partitions, [HERE], "partitions that could not be read"),
        Err(error) => refused += expect_doubt(&error),
    }
    refused
}

#[track_caller]
fn expect_doubt(error: &StateError) -> u32 {
    assert!(matches!(error, StateError::Unavailable { .. }), "of a read that failed: {error:?}");
    1
}

/// `ordered-pages`: `scan` and `logs` are bytewise ordered; a page is atomic, two pages are not.
pub async fn ordered_pages(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    // Partitions whose names begin alike, with one cell and one log of the same path.
    let pool = |name| Pool::new(name).expect("a good name");
    let others = [("main", 6), ("main", 8), ("main", 256), ("mai", 7), ("maina", 7), ("main-", 7)];
    for (name, index) in others {
        let partition = Partition { pool: pool(name), index };
        let then = vec![
            Then::Put(Key::new(partition, "a").expect("a good path"), "elsewhere".into()),
            Then::Append(Log::new(partition, "a").expect("a good path"), vec!["elsewhere".into()]),
        ];
        probe.write(runtime_traits::store::Batch { partition, ..batch(then) }).await;
    }
    let paths: [&[u8]; 14] = [
        b"b",
        b"\xff\xff",
        b"a/2",
        b"a",
        b"\0",
        b"a/10",
        b"\xff",
        b"a0",
        b"\0\0",
        b"a/",
        b"a/1",
        b"a/1\0",
        b"a\xff",
        b"a/\xff\xff",
    ];
    for path in paths {
        probe.write(batch(vec![put(path, path.escape_ascii()), append(path, ["x"])])).await;
    }
    let mut sorted = paths.to_vec();
    sorted.sort_unstable();
    pages_are(&probe, b"", None, &sorted).await;
    for prefix in [&b"a"[..], b"a/", b"a/1", b"\xff", b"\0", b"c"] {
        let under: Vec<_> = sorted.iter().copied().filter(|path| path.starts_with(prefix)).collect();
        pages_are(&probe, prefix, None, &under).await;
        for after in [&b"\0"[..], b"a/1", b"a/11", b"zzz", b"\xff"] {
            let rest: Vec<_> = under.iter().copied().filter(|path| *path > after).collect();
            pages_are(&probe, prefix, Some(after), &rest).await;
        }
    }
    let mut partitions: Vec<_> = others.map(|(name, index)| Partition { pool: pool(name), index }).to_vec();
    partitions.push(HERE);
    let mut found = probe.store.partitions().await.expect("a healthy store can be read");
    partitions.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, partitions);
    one_page_is_of_one_moment(&probe).await;
}

/// Compares cells and logs with `expected`, in one page and in pages of every small size.
async fn pages_are(probe: &Probe, under: &[u8], after: Option<&[u8]>, expected: &[&[u8]]) {
    let (cells_under, logs_under) = match under {
        [] => (Key::all(HERE), Log::all(HERE)),
        _ => (key(under.to_vec()), log(under.to_vec())),
    };
    for limit in [1, 2, 5, 100] {
        let (mut cells, mut last) = (Vec::new(), after.map(|after| key(after.to_vec())));
        loop {
            let page = probe
                .store
                .scan(&cells_under, last.as_ref(), limit)
                .await
                .expect("a healthy store can be read");
            let Some((key, _)) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            last = Some(key.clone());
            cells.extend(page.iter().map(|(key, _)| key.path.as_bytes().to_vec()));
            assert!(cells.len() <= 1_000, "pages of {limit} under {under:?} do not end");
        }
        assert_eq!(cells, expected, "cells under {under:?} after {after:?} in pages of {limit}");
        let (mut logs, mut last) = (Vec::new(), after.map(|after| log(after.to_vec())));
        loop {
            let page = probe
                .store
                .logs(&logs_under, last.as_ref(), limit)
                .await
                .expect("a healthy store can be read");
            let Some(found) = page.last() else { break };
            assert_eq!((found.first, found.next), (Seq(1), Seq(2)));
            last = Some(found.log.clone());
            logs.extend(page.iter().map(|found| found.log.path.as_bytes().to_vec()));
            assert!(logs.len() <= 1_000, "pages of {limit} under {under:?} do not end");
        }
        assert_eq!(logs, expected, "logs under {under:?} after {after:?} in pages of {limit}");
    }
    let none = probe.store.scan(&cells_under, None, 0).await.expect("a healthy store can be read");
    assert!(none.is_empty(), "a page of none");
}

async fn one_page_is_of_one_moment(probe: &Probe) {
    let pages = |store: Arc<dyn runtime_traits::store::StateStore>, done: Arc<AtomicBool>| async move {
        while !done.load(Ordering::SeqCst) {
            let page = store.scan(&key("page/"), None, 99).await.expect("a healthy store can be read");
            let values: Vec<_> = page.iter().map(|(_, cell)| &cell.value).collect();
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "one page, two moments: {values:?}");
            tokio::task::yield_now().await;
        }
    };
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(pages(Arc::clone(&probe.store), Arc::clone(&done)));
    for n in 0..100 {
        probe.write(batch((0..20).map(|cell| put(format!("page/{cell}"), n)).collect())).await;
    }
    done.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap_or_else(|error| fail(&format!("a reader: {error}")));
    }
}

/// `no-clock`: no time to live, no server time; expiry is a `due/` cell and its owner.
pub async fn no_clock(fixture: &dyn StoreFixture) {
    let store = fixture.open().await;
    let level = fixture.survivor();
    let probe = Probe::new(store);
    // 1970, 2001, and a day that nobody here will see; and one that says that it expires.
    let due = ["due/0000000000000/a", "due/1000000000000/b", "due/9999999999999/c", "ttl/1"];
    let mut expected: Vec<Option<Cell>> = Vec::new();
    for path in due {
        for write in [put(path, "expires=0"), append(path, ["expires=0"])] {
            probe.write(batch(vec![write]).at(level.unwrap_or(Durability::Memory))).await;
        }
        expected.push(probe.cell(path).await);
        assert!(expected.last().is_some_and(Option::is_some), "`{path}` was written a moment ago");
    }
    for n in 0..200 {
        probe.write(batch(vec![put("busy", n)])).await;
    }
    let probe = match level {
        None => probe,
        Some(_) => Probe::new(fixture.crash(probe.store).await),
    };
    for (path, expected) in due.iter().zip(expected) {
        assert_eq!(probe.cell(*path).await, expected, "`{path}` is nobody's to remove but its owner's");
        assert_eq!(probe.entries(*path).await, ["expires=0"]);
    }
    let page = probe.store.scan(&key("due/"), None, 9).await.expect("a healthy store can be read");
    assert_eq!(page.len(), 3);
}
