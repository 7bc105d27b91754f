//! Commits that share a transaction, and the queue before it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, poll};
use runtime_state::{RedbOptions, RedbStore};
use runtime_testkit::block_on;
use runtime_traits::store::{Batch, Committed, Key, StateError, StateStore, Then};
use tokio::task::JoinSet;

use crate::disk::{Disk, Switch};
use crate::fixtures::{on_disk, on_disk_with, options};
use crate::redb_faults::{HERE, put, value};

#[test]
fn writers_that_wait_share_their_syncs() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        let before = disk.syncs();
        switch.pause_syncs(true);
        let mut commits: Vec<_> = (0..129).map(|n| store.commit(put(&n.to_string(), n))).collect();
        for commit in &mut commits {
            assert!(poll!(commit).is_pending());
        }
        switch.pause_syncs(false);
        for commit in commits {
            commit.await.unwrap();
        }
        let groups = (disk.syncs() - before) / 2;
        // The first group took what had come by then; two full ones and a rest are the others at most.
        assert!((3..=4).contains(&groups), "129 commits in {groups} groups of at most 64");
    });
}

/// One of a group wakes the others. Here it has something else to do, which needs one of the others.
#[test]
fn a_caller_that_does_not_look_at_its_answer_keeps_nobody_waiting() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = Arc::new(on_disk(&disk, &switch));
        for round in 0..20 {
            switch.pause_syncs(true);
            // The first is at work alone; all others become one group behind it, the unwatched ones last.
            let first = begin(&store, "first", round).await;
            let mut watched = Vec::new();
            for n in 0..4 {
                watched.push(begin(&store, &format!("watched/{n}"), round).await);
            }
            let mut unwatched = Vec::new();
            for n in 0..4 {
                unwatched.push(begin(&store, &format!("unwatched/{n}"), round).await);
            }
            let mut tasks = JoinSet::new();
            watched.into_iter().for_each(|commit| drop(tasks.spawn(commit)));
            switch.pause_syncs(false);
            while let Some(answer) = tasks.join_next().await {
                answer.unwrap().unwrap();
            }
            for commit in unwatched.into_iter().chain([first]) {
                commit.await.unwrap();
            }
        }
    });
}

/// A commit that was polled once.
async fn begin(
    store: &Arc<RedbStore>,
    path: &str,
    n: u32,
) -> BoxFuture<'static, Result<Committed, StateError>> {
    let (store, batch) = (Arc::clone(store), put(path, n));
    let mut commit = async move { store.commit(batch).await }.boxed();
    assert!(poll!(&mut commit).is_pending());
    commit
}

#[test]
fn a_full_queue_refuses_at_once_and_takes_again_when_there_is_room() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk_with(&disk, &switch, RedbOptions { queue: 3, group: 1, ..options() });
        switch.pause_syncs(true);
        let mut waiting = Vec::new();
        let refusal = loop {
            let mut commit = store.commit(put("x", 1));
            match (&mut commit).now_or_never() {
                None => waiting.push(commit),
                Some(answer) => break answer.unwrap_err(),
            }
            assert!(waiting.len() <= 4, "three wait, and one is at work");
        };
        assert!(
            matches!(refusal, StateError::Unavailable { retry_after: Some(after), .. } if after > Duration::ZERO),
            "{refusal:?}"
        );
        switch.pause_syncs(false);
        for commit in waiting {
            commit.await.unwrap();
        }
        store.commit(put("y", 1)).await.unwrap();
        assert_eq!(value(&store, "y").await.as_deref(), Some("1"));
    });
}

#[test]
fn reads_do_not_wait_for_a_commit_and_its_sync() {
    block_on(async {
        let (disk, switch) = (Disk::default(), Switch::default());
        let store = on_disk(&disk, &switch);
        // Room for what follows: while the file grows, redb makes readers wait.
        for then in [vec![7; 900_000], Vec::new()] {
            let then = vec![Then::Put(Key::new(HERE, "room").unwrap(), then.into())];
            store.commit(Batch { then, ..put("x", 0) }).await.unwrap();
        }
        store.commit(put("a", 1)).await.unwrap();
        switch.pause_syncs(true);
        let mut commit = store.commit(put("a", 2));
        assert!(poll!(&mut commit).is_pending());
        assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
        switch.pause_syncs(false);
        commit.await.unwrap();
        assert_eq!(value(&store, "a").await.as_deref(), Some("2"));
    });
}

/// Without a tokio runtime the caller's own thread reads.
#[test]
fn any_executor_will_do() {
    let store = on_disk(&Disk::default(), &Switch::default());
    assert!(wait_for(store.commit(put("a", 1))).is_ok());
    assert_eq!(wait_for(value(&store, "a")).as_deref(), Some("1"));
}

/// An executor as small as can be.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
