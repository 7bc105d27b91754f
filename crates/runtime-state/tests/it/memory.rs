//! The store in memory.

use runtime_state::MemoryStore;
use runtime_testkit::block_on;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Key, Log, Seq, StateError, StateStore, Then, When};

use crate::fixtures::Memory;

runtime_testkit::state_store_conformance!(Memory);

const HERE: Partition = Partition { pool: Pool::MAIN, index: 3 };

fn batch(id: u128, then: Vec<Then>) -> Batch {
    Batch {
        id: BatchId(id),
        partition: HERE,
        fence: None,
        when: vec![],
        then,
        durability: Durability::Memory,
    }
}

#[test]
fn a_commit_is_done_at_its_first_poll() {
    block_on(async {
        let store = MemoryStore::new();
        let mut commit = store.commit(batch(1, vec![Then::Put(Key::new(HERE, "a").unwrap(), "1".into())]));
        assert!(futures_util::poll!(&mut commit).is_ready());
    });
}

#[test]
fn more_durability_than_there_is_is_refused() {
    block_on(async {
        let store = MemoryStore::new();
        let asked = Batch { durability: Durability::Process, ..batch(1, vec![]) };
        let error = store.commit(asked).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the durability asked for (0 memory, 1 process, 2 disk) is larger than the store's limit of 0"
        );
        let nowhere = Partition { index: 257, ..HERE };
        let asked = Batch { partition: nowhere, ..batch(1, vec![]) };
        assert_eq!(store.commit(asked).await, Err(StateError::WrongPartition));
        assert_eq!(store.scan(&Key::all(nowhere), None, 1).await, Err(StateError::WrongPartition));
    });
}

/// Runs that come and go leave nothing behind: the memory in use stays what it was.
#[test]
fn what_ends_gives_its_memory_back() {
    block_on(async {
        let store = MemoryStore::new();
        come_and_go(&store, 0..20_000).await;
        let before = resident();
        come_and_go(&store, 20_000..100_000).await;
        let grown = resident().saturating_sub(before);
        // A path and an entry that stayed for each of them would be 10 MB and more.
        assert!(grown < 5 * 1024 * 1024, "80,000 runs left {grown} bytes");
        assert_eq!(store.scan(&Key::all(HERE), None, 9).await, Ok(vec![]));
        assert_eq!(store.logs(&Log::all(HERE), None, 9).await, Ok(vec![]));
    });
}

async fn come_and_go(store: &MemoryStore, runs: std::ops::Range<u32>) {
    for run in runs {
        let id = u128::from(run) * 4;
        let log = Log::new(HERE, format!("run/{run:060}")).unwrap();
        let open = Key::new(HERE, format!("open/{run:060}")).unwrap();
        let then =
            vec![Then::Put(open.clone(), "1".into()), Then::Append(log.clone(), vec!["accepted".into()])];
        store.commit(batch(id, then)).await.unwrap();
        let then = vec![Then::Append(log.clone(), vec!["ended".into()]), Then::Delete(open)];
        let ended = Batch { when: vec![When::Next(log.clone(), Seq(2))], ..batch(id + 1, then) };
        store.commit(ended).await.unwrap();
        store.commit(batch(id + 2, vec![Then::Drop(log)])).await.unwrap();
    }
}

/// Bytes of memory that this process has in use.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}
