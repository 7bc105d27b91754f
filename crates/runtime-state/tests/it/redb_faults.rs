//! What the store on disk does when its disk is full, broken, or healthy again.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

use runtime_state::{RedbOptions, RedbStore};
use runtime_testkit::block_on;
use runtime_testkit::fakes::Chance;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Committed, Durability, Key, Revision, StateError, StateStore, Then,
};

use crate::disk::{Disk, Switch};
use crate::fixtures::{on_disk, on_disk_with, options};

pub(crate) const HERE: Partition = Partition { pool: Pool::MAIN, index: 9 };

static IDS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn put(path: &str, value: u32) -> Batch {
    let then = vec![Then::Put(Key::new(HERE, path.to_owned()).unwrap(), value.to_string().into())];
    let id = BatchId(u128::from(IDS.fetch_add(1, Ordering::Relaxed)));
    Batch { id, partition: HERE, fence: None, when: vec![], then, durability: Durability::Process }
}

pub(crate) async fn value(store: &dyn StateStore, path: &str) -> Option<String> {
    let cells = store.get(&[Key::new(HERE, path.to_owned()).unwrap()]).await.unwrap();
    cells[0].as_ref().map(|cell| String::from_utf8_lossy(&cell.value).into_owned())
}

fn memory(batch: Batch) -> Batch {
    Batch { durability: Durability::Memory, ..batch }
}

/// The disk is full at every single write of a commit in turn. Each time nothing is written, the caller knows, and
/// the store goes on by itself when there is room.
#[test]
fn a_full_disk_writes_nothing_and_the_store_goes_on_when_there_is_room() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        let mut failures = 0;
        let mut last = Revision(0);
        for room in 0..30 {
            let batch = put(&format!("try/{room}"), room);
            switch.fail_writes_after(room, ErrorKind::StorageFull);
            let answer = store.commit(batch.clone()).await;
            switch.heal();
            let done = match answer {
                Ok(done) => done,
                Err(error) => {
                    failures += 1;
                    if let StateError::Unknown { batch: unknown } = error {
                        assert_eq!(unknown, batch.id.0);
                    } else {
                        assert_eq!(error, StateError::NoSpace, "with room for {room} writes");
                        assert_eq!(value(&store, &format!("try/{room}")).await, None);
                    }
                    store.commit(batch.clone()).await.unwrap()
                }
            };
            assert_eq!(done.revision, Revision(last.0 + 1), "applied twice, or a number used twice");
            assert_eq!(store.commit(batch).await, Ok(done.clone()));
            last = done.revision;
            assert_eq!(value(&store, &format!("try/{room}")).await, Some(room.to_string()));
        }
        assert!(failures > 2, "the disk was never full: {failures}");
        drop(store);
        let store = on_disk(&disk.cut_power(&mut Chance::new(1)), &Switch::default());
        assert_eq!(store.scan(&Key::all(HERE), None, 99).await.unwrap().len(), 30);
    });
}

/// The file cannot even be opened again: its callers are told, and nothing is lost when it can.
#[test]
fn a_disk_that_stays_full_refuses_and_forgets_nothing() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        store.commit(put("before", 1)).await.unwrap();
        switch.fail_writes_after(0, ErrorKind::StorageFull);
        let batch = put("during", 1);
        for _ in 0..3 {
            let error = store.commit(batch.clone()).await.unwrap_err();
            assert!(matches!(error, StateError::NoSpace | StateError::Unknown { .. }), "{error:?}");
            assert!(error.is_transient(), "{error:?}");
        }
        switch.heal();
        let done = store.commit(batch).await.unwrap();
        assert_eq!((done.revision, done.durability), (Revision(2), Durability::Disk));
        assert_eq!(value(&store, "before").await.as_deref(), Some("1"));
    });
}

#[test]
fn commits_in_memory_that_a_fault_took_are_never_passed_over() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        store.commit(put("synced", 1)).await.unwrap();
        assert_eq!(store.commit(memory(put("unsynced", 1))).await.unwrap().durability, Durability::Memory);
        switch.fail_writes_after(0, ErrorKind::StorageFull);
        let error = store.commit(put("full", 1)).await.unwrap_err();
        assert!(matches!(&error, StateError::Poisoned { .. }), "{error:?}");
        assert!(error.to_string().contains("commits at `memory` since the last sync are lost"), "{error}");
        switch.heal();
        assert!(matches!(store.commit(put("after", 1)).await, Err(StateError::Poisoned { .. })));
        drop(store);
        let store = on_disk(&disk, &switch);
        assert_eq!(value(&store, "synced").await.as_deref(), Some("1"));
        assert_eq!(value(&store, "unsynced").await, None);
    });
}

/// Every way in which a write can fail within a commit, with a loss of power right after: what was answered holds.
#[test]
fn a_broken_disk_never_makes_an_answer_untrue() {
    block_on(async {
        let mut chance = Chance::new(3);
        for good in 0..25 {
            let (disk, switch) = (Disk::default(), Switch::default());
            let store = on_disk(&disk, &switch);
            store.commit(put("before", 1)).await.unwrap();
            switch.fail_writes_after(good, ErrorKind::Other);
            let answer = store.commit(put("during", 1)).await;
            let left = on_disk(&disk.cut_power(&mut chance), &Switch::default());
            assert_eq!(value(&left, "before").await.as_deref(), Some("1"));
            let there = value(&left, "during").await.is_some();
            match answer {
                Ok(Committed { durability, .. }) => {
                    assert!(there, "`Ok` at {durability:?} after {good} writes")
                }
                Err(StateError::Unavailable { .. }) => assert!(!there, "refused after {good} writes"),
                Err(StateError::Unknown { .. }) => {}
                Err(error) => panic!("after {good} writes: {error:?}"),
            }
        }
    });
}

#[test]
fn a_read_that_fails_is_in_doubt_and_the_store_mends_itself() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        for n in 0..60 {
            let then = vec![Then::Put(Key::new(HERE, format!("{n:02}")).unwrap(), vec![7; 4_000].into())];
            store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
        }
        switch.fail_reads(true);
        let mut doubts = 0;
        for n in 0..60 {
            match store.get(&[Key::new(HERE, format!("{n:02}")).unwrap()]).await {
                Ok(cells) => assert!(cells[0].is_some()),
                Err(StateError::Unavailable { .. }) => doubts += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(doubts > 0, "every page was in the cache");
        switch.heal();
        // A read that is refused has the file opened again; soon one will not be.
        let mended = async {
            while store.scan(&Key::all(HERE), None, 99).await.map_or(0, |cells| cells.len()) < 60 {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, mended).await.expect("the store does not mend itself");
    });
}

#[test]
fn a_commit_that_survives_a_loss_of_power_costs_two_syncs() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store: RedbStore = on_disk(&disk, &switch);
        // The first ones make the tables, and let the file grow.
        for n in 0..8 {
            store.commit(put("a", n)).await.unwrap();
        }
        let before = disk.syncs();
        assert_eq!(store.commit(put("a", 8)).await.unwrap().durability, Durability::Disk);
        assert_eq!(disk.syncs() - before, 2);
    });
}

#[test]
fn a_group_that_asks_for_nothing_is_not_synced_and_one_that_asks_is() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store: RedbStore = on_disk(&disk, &switch);
        let before = disk.syncs();
        assert_eq!(store.commit(memory(put("a", 1))).await.unwrap().durability, Durability::Memory);
        let nothing = |durability| Batch { then: vec![], durability, ..put("x", 0) };
        let look = store.commit(nothing(Durability::Memory)).await.unwrap();
        assert_eq!((look.revision, look.durability), (Revision(1), Durability::Memory));
        assert_eq!(disk.syncs(), before);
        // Who asks for `Disk` and writes nothing gets what it saw onto the disk.
        let look = store.commit(nothing(Durability::Disk)).await.unwrap();
        assert_eq!((look.revision, look.durability), (Revision(1), Durability::Disk));
        let synced = disk.syncs();
        assert!(synced > before);
        assert_eq!(store.commit(nothing(Durability::Disk)).await.unwrap().durability, Durability::Disk);
        assert_eq!(disk.syncs(), synced, "there was nothing left to sync");
        let process = Batch { durability: Durability::Process, ..put("b", 1) };
        assert_eq!(store.commit(process).await.unwrap().durability, Durability::Disk);
        assert_eq!(disk.syncs(), synced + 2, "quick-repair takes two");
    });
}

/// redb remembers every transaction that was not synced, so there must not be ever more of them.
#[test]
fn after_ten_thousand_commits_in_memory_one_is_synced() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        let before = disk.syncs();
        let mut given = Vec::new();
        for n in 0..10_001 {
            given.push(store.commit(memory(put("a", n))).await.unwrap().durability);
        }
        assert!(given[..10_000].iter().all(|given| *given == Durability::Memory));
        assert_eq!(given[10_000], Durability::Disk);
        assert!(disk.syncs() > before);
    });
}

/// The commit is on the disk, but redb trips over what it does afterwards, and the file cannot be opened again.
#[test]
fn a_batch_of_unknown_fate_is_told_its_first_answer_once_the_file_can_be_read() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        // Without a cache redb has to read after its last sync.
        let store = on_disk_with(&disk, &switch, RedbOptions { cache: 0, ..options() });
        let mut unknown = 0;
        for n in 0..10 {
            let batch = put(&format!("{n}"), n);
            switch.fail_reads_after_syncs(2);
            let answer = store.commit(batch.clone()).await;
            switch.heal();
            let done = match answer {
                Ok(done) => done,
                Err(error) => {
                    unknown += u32::from(error == StateError::Unknown { batch: batch.id.0 });
                    store.commit(batch).await.unwrap()
                }
            };
            let cell = store.get(&[Key::new(HERE, n.to_string()).unwrap()]).await.unwrap();
            assert_eq!(cell[0].as_ref().map(|cell| cell.revision), Some(done.revision));
            assert_eq!(done.revision, Revision(u64::from(n) + 1), "applied twice");
        }
        assert!(unknown > 0, "redb had nothing to read after its last sync");
    });
}

#[test]
fn a_panic_within_redb_poisons_the_store_and_nothing_else() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        store.commit(put("before", 1)).await.unwrap();
        switch.panic_at_writes();
        let error = store.commit(put("during", 1)).await.unwrap_err();
        assert!(matches!(error, StateError::Poisoned { .. }), "{error:?}");
        switch.heal();
        assert!(matches!(store.commit(put("after", 1)).await, Err(StateError::Poisoned { .. })));
        assert!(matches!(store.partitions().await, Err(StateError::Poisoned { .. })));
        drop(store);
        let store = on_disk(&disk, &switch);
        assert_eq!(value(&store, "before").await.as_deref(), Some("1"));
    });
}
