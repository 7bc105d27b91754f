//! A runtime looks its store over for damage, and tells what it finds.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::RuntimeManager;
use agent_runtime::partition::{Partition, Pool};
use agent_runtime::runtime::Runtime;
use agent_runtime::store::{Batch, BatchId, Durability, Key, StateStore, Then};
use runtime_testkit::fakes::{ManualClock, MapStore};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn damage_that_nobody_reads_is_told_by_the_status_within_two_hours() {
    let (store, clock) = (Arc::new(MapStore::new()) as Arc<dyn StateStore>, Arc::new(ManualClock::default()));
    let partition = Partition::of_hash(Pool::MAIN, 7);
    // The stub of a run that nobody asks for.
    let rotten = Key::new(partition, "swept/0193571c8a2f7c3e9d1a5b6c7d8e9f00").unwrap();
    let then = vec![Then::Put(rotten, "no record".into())];
    let batch =
        Batch { id: BatchId(1), partition, fence: None, when: vec![], then, durability: Durability::Memory };
    store.commit(batch).await.unwrap();
    let builder = RuntimeManager::builder(Arc::clone(&store)).clock(Arc::clone(&clock) as _);
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let scrub = async || runtime.status().await.unwrap().scrub.expect("it looks");
    assert!(scrub().await.on && scrub().await.findings.is_empty());

    // It has begun by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    clock.advance(2 * HOUR);
    tokio::time::sleep(Duration::from_secs(300)).await;

    let told = scrub().await;
    assert_eq!(told.last.map(|pass| pass.count.damaged), Some(1), "{told:?}");
    assert!(
        told.findings.len() == 1 && told.findings[0].place.contains("cell swept/"),
        "{:?}",
        told.findings
    );
    runtime.shutdown(Duration::ZERO).await.unwrap();
}
