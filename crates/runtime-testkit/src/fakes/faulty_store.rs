//! A store whose answers get lost, come late, or never come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::task::noop_waker_ref;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};
use tokio::sync::{Semaphore, oneshot, watch};

type Answer = Result<Committed, StateError>;
type Decide = Box<dyn FnMut(&Batch) -> Fault + Send>;
type DecideRead = Box<dyn FnMut(&Log) -> ReadFault + Send>;

/// What happens to a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Pass,
    /// Nothing is written, and the caller is told [`StateError::Unknown`].
    UnknownBefore,
    /// It is applied or refused, and the caller is told [`StateError::Unknown`].
    UnknownAfter,
    /// Nothing is written, and the caller is told [`StateError::Unavailable`].
    Unavailable,
    /// Nothing is written, and the caller is told [`StateError::TooLarge`]: for good.
    TooLarge,
    /// It waits for [`FaultyStore::release`], and all later ones of its partition wait behind it.
    Hold,
    /// It is applied or refused, and the answer waits for [`FaultyStore::release`].
    HoldAnswer,
}

/// What happens to a read of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFault {
    /// Nothing.
    #[default]
    Pass,
    /// The caller is told [`StateError::Unavailable`].
    Unavailable,
    /// It is read, and the answer waits for [`FaultyStore::release_read`].
    HoldAnswer,
}

/// A [`StateStore`] around another one, for which a test decides commit by commit what goes wrong.
///
/// It keeps the contract: a held batch stays held when its future is dropped, and order is kept.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use runtime_testkit::fakes::{Fault, FaultyStore, MapStore};
/// use runtime_traits::partition::{Partition, Pool};
/// use runtime_traits::store::{Batch, BatchId, Durability, Key, StateError, StateStore, Then};
///
/// # runtime_testkit::block_on(async {
/// let store = FaultyStore::scripted(Arc::new(MapStore::new()), [Fault::UnknownAfter]);
/// let partition = Partition { pool: Pool::MAIN, index: 0 };
/// let then = vec![Then::Add(Key::new(partition, "count")?, 1)];
/// let (fence, when, durability) = (None, vec![], Durability::Memory);
/// let batch = Batch { id: BatchId(1), partition, fence, when, then, durability };
///
/// assert_eq!(store.commit(batch.clone()).await, Err(StateError::Unknown { batch: 1 }));
/// assert!(store.commit(batch).await.is_ok(), "the same batch again gets the first answer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).expect("good paths");
/// ```
pub struct FaultyStore {
    inner: Arc<dyn StateStore>,
    decide: Mutex<Decide>,
    held: Mutex<VecDeque<Held>>,
    /// How many are held, for tests that wait for it.
    count: watch::Sender<usize>,
    commits: AtomicUsize,
    fail_reads: AtomicBool,
    decide_reads: Mutex<DecideRead>,
    held_reads: Semaphore,
    released_reads: Semaphore,
}

struct Held {
    what: What,
    sender: oneshot::Sender<Answer>,
}

enum What {
    Batch(Batch, Fault),
    Answer(Answer),
}

impl FaultyStore {
    /// Asks `decide` about each commit, at its first poll.
    pub fn new(inner: Arc<dyn StateStore>, decide: impl FnMut(&Batch) -> Fault + Send + 'static) -> Self {
        Self {
            inner,
            decide: Mutex::new(Box::new(decide)),
            held: Mutex::default(),
            count: watch::Sender::new(0),
            commits: AtomicUsize::new(0),
            fail_reads: AtomicBool::new(false),
            decide_reads: Mutex::new(Box::new(|_| ReadFault::Pass)),
            held_reads: Semaphore::new(0),
            released_reads: Semaphore::new(0),
        }
    }

    /// Does to the first commits what `faults` says, one each, and nothing to those after them.
    pub fn scripted(inner: Arc<dyn StateStore>, faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut faults: VecDeque<_> = faults.into_iter().collect();
        Self::new(inner, move |_| faults.pop_front().unwrap_or_default())
    }

    /// Asks `decide` from now on.
    pub fn decide_by(&self, decide: impl FnMut(&Batch) -> Fault + Send + 'static) {
        *lock(&self.decide) = Box::new(decide);
    }

    /// Whether all reads fail with [`StateError::Unavailable`].
    pub fn fail_reads(&self, fail: bool) {
        self.fail_reads.store(fail, Ordering::SeqCst);
    }

    /// Asks `decide` about each read of a log from now on.
    pub fn decide_reads_by(&self, decide: impl FnMut(&Log) -> ReadFault + Send + 'static) {
        *lock(&self.decide_reads) = Box::new(decide);
    }

    /// Waits until the answer of a read is held; each that is ends one such wait.
    pub async fn until_read_held(&self) {
        take(&self.held_reads).await;
    }

    /// Lets the answer of a read go: one that is held, or the next.
    pub fn release_read(&self) {
        self.released_reads.add_permits(1);
    }

    /// Commits that were asked for so far.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// Waits until at least `count` commits are held.
    pub async fn until_held(&self, count: usize) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Lets go what is held, in its order; answers how many that were.
    pub async fn release(&self) -> usize {
        let released = self.let_go();
        let count = released.len();
        for (answer, sender) in released {
            // A caller that went away wants no answer.
            let _ = sender.send(answer.await);
        }
        count
    }

    /// Begins every held commit before any later one can come between.
    fn let_go(&self) -> Vec<(BoxFuture<'static, Answer>, oneshot::Sender<Answer>)> {
        let mut held = lock(&self.held);
        let released = held.drain(..).map(|Held { what, sender }| {
            let mut answer: BoxFuture<'static, Answer> = match what {
                What::Answer(answer) => Box::pin(std::future::ready(answer)),
                What::Batch(batch, fault) => Box::pin(apply(Arc::clone(&self.inner), batch, fault)),
            };
            match answer.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
                Poll::Ready(answer) => {
                    (Box::pin(std::future::ready(answer)) as BoxFuture<'static, Answer>, sender)
                }
                Poll::Pending => (answer, sender),
            }
        });
        let released = released.collect();
        self.count.send_replace(0);
        released
    }

    /// Takes the batch in if it has to wait.
    fn hold(&self, batch: &Batch, fault: Fault) -> Option<oneshot::Receiver<Answer>> {
        let mut held = lock(&self.held);
        if fault != Fault::Hold && !is_behind(&held, batch.partition) {
            return None;
        }
        let after = if fault == Fault::Hold { Fault::Pass } else { fault };
        Some(self.push(&mut held, What::Batch(batch.clone(), after)))
    }

    fn push(&self, held: &mut VecDeque<Held>, what: What) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        held.push_back(Held { what, sender });
        self.count.send_replace(held.len());
        receiver
    }

    fn readable(&self) -> Result<(), StateError> {
        if self.fail_reads.load(Ordering::SeqCst) { Err(unavailable()) } else { Ok(()) }
    }
}

#[async_trait]
impl StateStore for FaultyStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.readable()?;
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.readable()?;
        self.inner.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.readable()?;
        let fault = (lock(&self.decide_reads))(log);
        if fault == ReadFault::Unavailable {
            return Err(unavailable());
        }
        let answer = self.inner.read(log, from, limit).await;
        if fault == ReadFault::HoldAnswer {
            self.held_reads.add_permits(1);
            take(&self.released_reads).await;
        }
        answer
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.readable()?;
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.readable()?;
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Answer {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let fault = (lock(&self.decide))(&batch);
        if let Some(receiver) = self.hold(&batch, fault) {
            return receiver.await.unwrap_or_else(|_| Err(unavailable()));
        }
        let answer = apply(Arc::clone(&self.inner), batch, fault).await;
        if fault != Fault::HoldAnswer {
            return answer;
        }
        let receiver = self.push(&mut lock(&self.held), What::Answer(answer));
        receiver.await.unwrap_or_else(|_| Err(unavailable()))
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

async fn apply(inner: Arc<dyn StateStore>, batch: Batch, fault: Fault) -> Answer {
    let id = batch.id.0;
    match fault {
        Fault::Pass | Fault::Hold | Fault::HoldAnswer => inner.commit(batch).await,
        Fault::Unavailable => Err(unavailable()),
        Fault::TooLarge => Err(StateError::TooLarge { what: "the batch".to_owned(), limit: 0 }),
        Fault::UnknownBefore => Err(StateError::Unknown { batch: id }),
        Fault::UnknownAfter => {
            // Whatever came of it, nobody will know.
            let _ = inner.commit(batch).await;
            Err(StateError::Unknown { batch: id })
        }
    }
}

async fn take(semaphore: &Semaphore) {
    semaphore.acquire().await.expect("nobody closes it").forget();
}

fn is_behind(held: &VecDeque<Held>, partition: Partition) -> bool {
    held.iter().any(|held| matches!(&held.what, What::Batch(batch, _) if batch.partition == partition))
}

fn unavailable() -> StateError {
    StateError::Unavailable { retry_after: None, cause: Cause::says("the test says so") }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
