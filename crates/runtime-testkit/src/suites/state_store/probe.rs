//! Short words for what the cases do again and again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Durability, Fence, Key, Log, LogExtent, Seq, StateError, StateStore,
    Tail, Then, Token, When,
};

/// The partition of cases that need only one.
pub(super) const HERE: Partition = Partition { pool: Pool::MAIN, index: 7 };

pub(super) type Answer = Result<Committed, StateError>;

/// A commit on its way.
pub(super) type Commit<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A store under test.
pub(super) struct Probe {
    pub(super) store: Arc<dyn StateStore>,
}

/// Gives each batch of this process an id of its own.
static IDS: AtomicU64 = AtomicU64::new(1);

pub(super) fn key(path: impl Into<Bytes>) -> Key {
    Key::new(HERE, path).expect("the suite's paths are good")
}

pub(super) fn log(path: impl Into<Bytes>) -> Log {
    Log::new(HERE, path).expect("the suite's paths are good")
}

pub(super) fn put(path: impl Into<Bytes>, value: impl ToString) -> Then {
    Then::Put(key(path), text(value))
}

pub(super) fn append(path: impl Into<Bytes>, entries: impl IntoIterator<Item = impl ToString>) -> Then {
    Then::Append(log(path), entries.into_iter().map(text).collect())
}

pub(super) fn text(value: impl ToString) -> Bytes {
    Bytes::from(value.to_string())
}

/// A batch in [`HERE`] at the least durability.
pub(super) fn batch(then: Vec<Then>) -> Batch {
    // Not 1, 2, 3: ids are random where it counts, and a store may rely on that.
    let id = u128::from(IDS.fetch_add(1, Ordering::Relaxed))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_0C83_1A5B_2D11);
    Batch {
        id: BatchId(id),
        partition: HERE,
        fence: None,
        when: Vec::new(),
        then,
        durability: Durability::Memory,
    }
}

/// What a test adds to a batch.
pub(super) trait With: Sized {
    fn when(self, when: When) -> Self;
    fn at(self, durability: Durability) -> Self;
    fn fenced(self, owner: &Key, token: Token) -> Self;
}

impl With for Batch {
    fn when(mut self, when: When) -> Self {
        self.when.push(when);
        self
    }

    fn at(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    fn fenced(mut self, owner: &Key, token: Token) -> Self {
        self.fence = Some(Fence { owner: owner.clone(), token });
        self
    }
}

impl Probe {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store }
    }

    /// Commits, and expects it to work.
    pub(super) async fn write(&self, batch: Batch) -> Committed {
        let what = format!("{batch:?}");
        self.store.commit(batch).await.unwrap_or_else(|error| fail(&format!("{error} for {what}")))
    }

    /// Begins a commit: polls its future once.
    pub(super) async fn begin(&self, batch: Batch) -> Begun<'_> {
        let mut commit: Commit<'_> = self.store.commit(batch);
        let answer = poll_immediate(&mut commit).await;
        Begun { commit, answer }
    }

    /// Begins all, in order, and only then waits for their ends.
    pub(super) async fn at_once(&self, batches: impl IntoIterator<Item = Batch>) -> Vec<Answer> {
        let mut begun = Vec::new();
        for batch in batches {
            begun.push(self.begin(batch).await);
        }
        let mut answers = Vec::new();
        for commit in begun {
            answers.push(commit.end().await);
        }
        answers
    }

    pub(super) async fn cell(&self, path: impl Into<Bytes>) -> Option<Cell> {
        let cells = self.store.get(&[key(path)]).await.expect("a healthy store can be read");
        assert_eq!(cells.len(), 1, "one key, one answer");
        cells.into_iter().next().flatten()
    }

    /// The cell's value as text.
    pub(super) async fn value(&self, path: impl Into<Bytes>) -> Option<String> {
        self.cell(path).await.map(|cell| String::from_utf8_lossy(&cell.value).into_owned())
    }

    pub(super) async fn tail(&self, path: impl Into<Bytes>, from: u64) -> Tail {
        self.store.read(&log(path), Seq(from), u32::MAX).await.expect("a healthy store can be read")
    }

    /// The log's entries as text.
    pub(super) async fn entries(&self, path: impl Into<Bytes>) -> Vec<String> {
        let tail = self.tail(path, 1).await;
        tail.entries.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    }

    /// All logs, for comparing.
    pub(super) async fn logs(&self) -> Vec<LogExtent> {
        self.store.logs(&Log::all(HERE), None, u32::MAX).await.expect("a healthy store can be read")
    }

    /// All cells, for comparing.
    pub(super) async fn cells(&self) -> Vec<(Key, Cell)> {
        self.store.scan(&Key::all(HERE), None, u32::MAX).await.expect("a healthy store can be read")
    }
}

/// A commit that was polled once.
pub(super) struct Begun<'a> {
    commit: Commit<'a>,
    answer: Option<Answer>,
}

impl Begun<'_> {
    /// Waits for the answer.
    pub(super) async fn end(self) -> Answer {
        match self.answer {
            Some(answer) => answer,
            None => self.commit.await,
        }
    }
}

/// The levels from `least` to what the store offers at best.
pub(super) fn levels(store: &dyn StateStore) -> impl Iterator<Item = Durability> {
    let best = store.profile().best;
    [Durability::Memory, Durability::Process, Durability::Disk]
        .into_iter()
        .filter(move |level| *level <= best)
}

/// Ends the case.
#[track_caller]
#[expect(clippy::panic, reason = "a suite tells its verdict by panicking")]
pub(super) fn fail(why: &str) -> ! {
    panic!("{why}")
}
