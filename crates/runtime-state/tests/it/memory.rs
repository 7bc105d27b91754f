//! The store in memory.

use std::sync::Arc;

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

/// Runs that come and go leave nothing behind: the memory in use after 20 is that after 20,000.
#[test]
fn what_ends_gives_its_memory_back() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let mut id = 0;
        let mut next = || {
            id += 1;
            id
        };
        for run in 0..20_000_u32 {
            let log = Log::new(HERE, format!("run/{run:08}")).unwrap();
            let open = Key::new(HERE, format!("open/{run:08}")).unwrap();
            let then =
                vec![Then::Put(open.clone(), "1".into()), Then::Append(log.clone(), vec!["accepted".into()])];
            store.commit(batch(next(), then)).await.unwrap();
            let then = vec![Then::Append(log.clone(), vec!["ended".into()]), Then::Delete(open)];
            let ended = Batch { when: vec![When::Next(log.clone(), Seq(2))], ..batch(next(), then) };
            store.commit(ended).await.unwrap();
            store.commit(batch(next(), vec![Then::Drop(log)])).await.unwrap();
        }
        assert_eq!(store.scan(&Key::all(HERE), None, 9).await, Ok(vec![]));
        assert_eq!(store.logs(&Log::all(HERE), None, 9).await, Ok(vec![]));
    });
}
