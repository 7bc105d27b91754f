//! What a test may do to a store, and that the store keeps its contract meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::poll;
use runtime_testkit::block_on;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore};
use runtime_testkit::suites::state_store::{CASES, StoreFixture};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Key, Log, Seq, StateError, StateStore, Then};

const HERE: Partition = Partition { pool: Pool::MAIN, index: 0 };

fn log() -> Log {
    Log::new(HERE, "log").unwrap()
}

fn batch(id: u128) -> Batch {
    let then = vec![Then::Append(log(), vec![id.to_string().into()])];
    Batch {
        id: BatchId(id),
        partition: HERE,
        fence: None,
        when: vec![],
        then,
        durability: Durability::Memory,
    }
}

async fn entries(store: &dyn StateStore) -> Vec<String> {
    let tail = store.read(&log(), Seq(1), 99).await.unwrap();
    tail.entries.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

#[test]
fn each_fault_does_what_it_says() {
    block_on(async {
        let faults = [Fault::UnknownBefore, Fault::UnknownAfter, Fault::Unavailable, Fault::Pass];
        let store = FaultyStore::scripted(Arc::new(MapStore::new()), faults);
        assert_eq!(store.commit(batch(1)).await, Err(StateError::Unknown { batch: 1 }));
        assert_eq!(store.commit(batch(2)).await, Err(StateError::Unknown { batch: 2 }));
        assert!(matches!(store.commit(batch(3)).await, Err(StateError::Unavailable { .. })));
        assert!(store.commit(batch(4)).await.is_ok());
        assert!(store.commit(batch(5)).await.is_ok());
        assert_eq!(entries(&store).await, ["2", "4", "5"]);
        assert_eq!(store.commits(), 5);
        store.fail_reads(true);
        assert!(matches!(
            store.get(&[Key::new(HERE, "a").unwrap()]).await,
            Err(StateError::Unavailable { .. })
        ));
        assert!(matches!(store.partitions().await, Err(StateError::Unavailable { .. })));
    });
}

#[test]
fn a_held_commit_waits_and_later_ones_wait_behind_it() {
    block_on(async {
        let store = FaultyStore::scripted(Arc::new(MapStore::new()), [Fault::Hold]);
        let (mut first, mut second) = (store.commit(batch(1)), store.commit(batch(2)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        // Dropping a polled future changes nothing, for a held batch too.
        drop(first);
        store.until_held(2).await;
        assert_eq!(entries(&store).await, Vec::<String>::new());
        assert_eq!(store.release().await, 2);
        assert_eq!(second.await.unwrap().appended, [Seq(2)]);
        assert_eq!(entries(&store).await, ["1", "2"]);
    });
}

#[test]
fn a_held_answer_is_of_a_batch_that_is_applied() {
    block_on(async {
        let store = Arc::new(FaultyStore::new(Arc::new(MapStore::new()), |batch| match batch.id {
            BatchId(1) => Fault::HoldAnswer,
            _ => Fault::Pass,
        }));
        let mut tasks = tokio::task::JoinSet::new();
        let committing = Arc::clone(&store);
        tasks.spawn(async move { committing.commit(batch(1)).await });
        store.until_held(1).await;
        assert_eq!(entries(&*store).await, ["1"]);
        assert!(store.commit(batch(2)).await.is_ok(), "only the answer is held");
        store.release().await;
        assert_eq!(tasks.join_next().await.unwrap().unwrap().unwrap().appended, [Seq(1)]);
        store.decide_by(|_| Fault::Unavailable);
        assert!(store.commit(batch(3)).await.is_err());
    });
}

struct Faultless;

#[async_trait]
impl StoreFixture for Faultless {
    async fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(FaultyStore::scripted(Arc::new(MapStore::new()), []))
    }

    async fn crash(&self, _: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        self.open().await
    }

    fn survivor(&self) -> Option<Durability> {
        None
    }
}

#[test]
fn without_faults_it_is_the_store_within() {
    let disk = ["poisoned", "absent-is-known"];
    for case in CASES.iter().filter(|case| !disk.contains(&case.clause)) {
        block_on((case.run)(&Faultless));
    }
}
