//! What the store by sled does when its disk is full, broken, or healthy again.

use std::io::ErrorKind;
use std::sync::Arc;

use futures_util::poll;
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Durability, Key, Log, Revision, Seq, StateError, StateStore, Then};

use crate::disk::Switch;
use crate::redb_faults::{HERE, put, value};
use crate::sled_suite::on_folder;

fn at(durability: Durability, batch: Batch) -> Batch {
    Batch { durability, ..batch }
}

#[test]
fn each_level_is_given_as_it_is_asked_for_and_a_neighbour_may_raise_it() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let store = on_folder(&home.path().join("s"), &Switch::default());
        for level in [Durability::Memory, Durability::Process] {
            let done = store.commit(at(level, put("a", 1))).await.unwrap();
            assert_eq!(done.durability, level);
        }
        let refused = store.commit(at(Durability::Disk, put("a", 2))).await;
        assert!(matches!(refused, Err(StateError::TooLarge { .. })), "{refused:?}");
        assert_eq!(value(&store, "a").await.as_deref(), Some("1"), "nothing was written");
        let nothing = |level| Batch { then: vec![], ..at(level, put("x", 0)) };
        let look = async |level| store.commit(nothing(level)).await.unwrap().durability;
        assert_eq!(look(Durability::Memory).await, Durability::Process, "all is written");
        store.commit(at(Durability::Memory, put("b", 1))).await.unwrap();
        assert_eq!(look(Durability::Memory).await, Durability::Memory);
        assert_eq!(look(Durability::Process).await, Durability::Process, "what it saw is written");
        assert_eq!(look(Durability::Memory).await, Durability::Process);
    });
}

/// Parts of the log are written over once what they held was written elsewhere. Elsewhere has to be on the disk by then.
#[test]
fn commits_that_ask_for_no_sync_get_one_before_the_log_comes_round() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let store = on_folder(&home.path().join("s"), &Switch::default());
        let mut in_a_row = 0;
        for n in 0..500 {
            match store.commit(at(Durability::Memory, put("a", n))).await.unwrap().durability {
                Durability::Memory => in_a_row += 1,
                level => {
                    // It was synced. More than this is not promised.
                    assert_eq!(level, Durability::Process);
                    in_a_row = 0;
                }
            }
            assert!(in_a_row < 64, "{in_a_row} commits without a sync");
        }
    });
}

#[test]
fn a_read_waits_for_the_group_in_flight() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let switch = Switch::default();
        let store = Arc::new(on_folder(&home.path().join("s"), &switch));
        store.commit(put("a", 1)).await.unwrap();
        switch.pause_syncs(true);
        // So much that it is synced.
        let large = Then::Put(Key::new(HERE, "large").unwrap(), vec![1; 300_000].into());
        let Batch { mut then, .. } = put("a", 2);
        then.push(large);
        let mut commit = store.commit(Batch { then, ..put("x", 0) });
        assert!(poll!(&mut commit).is_pending());
        switch.wait_for_sync();
        let mut read = Box::pin(value(&*store, "a"));
        for _ in 0..100 {
            assert!(poll!(&mut read).is_pending(), "it was shown what is not on the disk");
            tokio::task::yield_now().await;
        }
        switch.pause_syncs(false);
        assert_eq!(read.await.as_deref(), Some("2"));
        commit.await.unwrap();
    });
}

#[test]
fn a_full_disk_writes_nothing_and_the_store_goes_on_when_there_is_room() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s");
        let switch = Switch::default();
        let store = on_folder(&path, &switch);
        store.commit(at(Durability::Process, put("before", 1))).await.unwrap();
        for n in 0..5 {
            switch.fail_writes_after(0, ErrorKind::StorageFull);
            let batch = put("during", n);
            assert_eq!(store.commit(batch.clone()).await, Err(StateError::NoSpace));
            assert_eq!(value(&store, "before").await.as_deref(), Some("1"));
            switch.heal();
            let done = store.commit(batch).await.unwrap();
            assert_eq!(done.revision, Revision(u64::from(n) + 2), "applied twice, or a number used twice");
        }
        drop(store);
        assert_eq!(value(&on_folder(&path, &switch), "during").await.as_deref(), Some("4"));
    });
}

/// Opening syncs what it finds. When that fails, nobody knows what is on the disk, and a second try would not say.
#[test]
fn a_sync_that_fails_while_the_log_is_opened_again_poisons_the_store() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let switch = Switch::default();
        let store = on_folder(&home.path().join("s"), &switch);
        switch.fail_writes_after(0, ErrorKind::StorageFull);
        switch.fail_syncs(true);
        assert!(store.commit(put("during", 1)).await.is_err());
        switch.heal();
        assert!(matches!(store.commit(put("after", 1)).await, Err(StateError::Poisoned { .. })));
    });
}

#[test]
fn commits_in_memory_that_a_fault_took_are_never_passed_over() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s");
        let switch = Switch::default();
        let store = on_folder(&path, &switch);
        store.commit(put("synced", 1)).await.unwrap();
        store.commit(at(Durability::Memory, put("unsynced", 1))).await.unwrap();
        switch.fail_writes_after(0, ErrorKind::StorageFull);
        let error = store.commit(put("full", 1)).await.unwrap_err();
        assert!(error.to_string().contains("commits at `memory` since the last sync are lost"), "{error}");
        switch.heal();
        assert!(matches!(store.commit(put("after", 1)).await, Err(StateError::Poisoned { .. })));
        drop(store);
        assert_eq!(value(&on_folder(&path, &switch), "synced").await.as_deref(), Some("1"));
    });
}

/// sled writes and waits for its writes in one call, so another error than a full disk may be a sync's.
#[test]
fn a_write_that_fails_and_a_panic_poison_the_store_and_nothing_else() {
    for panic in [false, true] {
        block_on(async {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("s");
            let switch = Switch::default();
            let store = on_folder(&path, &switch);
            store.commit(put("before", 1)).await.unwrap();
            if panic {
                switch.panic_at_writes()
            } else {
                switch.fail_writes_after(0, ErrorKind::Other)
            }
            let error = store.commit(put("during", 1)).await.unwrap_err();
            assert!(matches!(error, StateError::Poisoned { .. }), "{error:?}");
            switch.heal();
            assert!(matches!(store.commit(put("after", 1)).await, Err(StateError::Poisoned { .. })));
            assert!(matches!(store.partitions().await, Err(StateError::Poisoned { .. })));
            drop(store);
            let store = on_folder(&path, &switch);
            assert_eq!(value(&store, "before").await.as_deref(), Some("1"));
            assert_eq!(value(&store, "after").await, None);
        });
    }
}

/// Values that need many rows, longer and shorter ones over each other, in the same group and in others.
#[test]
fn long_values_come_back_as_they_were_and_leave_no_rows() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s");
        let store = on_folder(&path, &Switch::default());
        let key = Key::new(HERE, "long").unwrap();
        let log = Log::new(HERE, "long").unwrap();
        let bytes = |len: usize| (0..len).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>();
        let lengths = [0, 1, 4_095, 4_096, 4_097, 8_192, 8_193, 300_000, 5_000, 0, 600_000, 7];
        for (n, len) in lengths.into_iter().enumerate() {
            let then = vec![
                Then::Put(key.clone(), bytes(70_000).into()),
                Then::Put(key.clone(), bytes(len).into()),
                Then::Append(log.clone(), vec![bytes(len / 2).into()]),
            ];
            store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
            let cells = store.get(std::slice::from_ref(&key)).await.unwrap();
            assert_eq!(cells[0].as_ref().unwrap().value, bytes(len), "{len} bytes");
            let tail = store.read(&log, Seq(n as u64 + 1), 9).await.unwrap();
            assert_eq!(tail.entries, [bytes(len / 2)]);
        }
        let then = vec![Then::Delete(key.clone()), Then::Drop(log.clone())];
        store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
        drop(store);
        assert_eq!(std::fs::read_dir(path.join("blobs")).unwrap().count(), 0, "a page that was too long");
        let db = sled::open(&path).unwrap();
        let left = db.range(vec![2]..).count();
        assert_eq!(left, 0, "rows that belong to nothing");
    });
}
