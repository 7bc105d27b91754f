//! The shared store: a Redis server, and one connection to it.

mod address;
mod answers;
mod driver;
mod flight;
mod job;
mod keys;
mod link;
mod options;
mod request;
mod rewrite;
mod server;
mod standing;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, Sharing, StateError, StateStore, StoreProfile, Tail,
};
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};
use tokio::sync::oneshot;

use crate::OpenError;
use crate::admission;
use address::Address;
use driver::Driver;
use job::{Answer, Job, What};
use link::Link;
use request::Scripts;
use standing::Standing;

pub use options::RedisOptions;

/// How many partitions are asked after at once.
const AT_ONCE: usize = 128;

/// A [`StateStore`] in a Redis server, 7.0 or later, that any number of processes share.
///
/// One thread has one connection to the server and sends what is asked in its order; many requests are on their way at
/// once. It connects again by itself. A commit is one Lua script, so that fence, conditions and writes are one step.
///
/// Dropping the store waits for the answers to what was sent.
pub struct RedisStore {
    address: Address,
    standing: Arc<Standing>,
    scripts: Scripts,
    /// `None` once the store is being dropped.
    queue: Option<Sender<Job>>,
    driver: Option<JoinHandle<()>>,
}

/// What the driver tells about its first connection.
type Opened = Result<(Arc<Standing>, Scripts), OpenError>;

/// A store whose thread is connecting.
struct Begun {
    address: Address,
    queue: Sender<Job>,
    driver: JoinHandle<()>,
}

impl Begun {
    fn end(self, opened: Option<Opened>) -> Result<RedisStore, OpenError> {
        let Self { address, queue, driver } = self;
        let (standing, scripts) = opened.unwrap_or_else(|| {
            let source = std::io::Error::other("the thread that connects has ended");
            Err(OpenError::Failed { path: address.shown().into(), source })
        })?;
        Ok(RedisStore { address, standing, scripts, queue: Some(queue), driver: Some(driver) })
    }
}

impl RedisStore {
    /// The script that commits, for those who measure what it costs without this store.
    #[doc(hidden)]
    pub const COMMIT_SCRIPT: &'static str = Scripts::COMMIT;

    /// Opens the store at `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or at `redis+unix:///PATH`, whose query may
    /// say `db`, `user` and `pass`.
    ///
    /// Blocks the calling thread until the server was looked at: [`RedisOptions::connect`] at most, and
    /// [`RedisOptions::rewrite`] more while the server rewrites its file. [`RedisStore::connect`] blocks nobody.
    ///
    /// # Errors
    /// [`OpenError`] with the address, without its password, and the remedy.
    pub fn open(uri: &str) -> Result<Self, OpenError> {
        Self::open_with(uri, RedisOptions::default())
    }

    /// Opens the store at `uri` with other options.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub fn open_with(uri: &str, options: RedisOptions) -> Result<Self, OpenError> {
        let (tell, told) = sync_channel::<Opened>(1);
        let begun = Self::begin(uri, options, move |opened| tell.send(opened).is_ok())?;
        // The thread that connects tells in any case, unless it panics.
        let opened = told.recv().ok();
        begun.end(opened)
    }

    /// Opens the store at `uri`, and waits for the server without blocking a thread.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub async fn connect(uri: &str) -> Result<Self, OpenError> {
        let (tell, told) = oneshot::channel::<Opened>();
        let begun = Self::begin(uri, RedisOptions::default(), move |opened| tell.send(opened).is_ok())?;
        let opened = told.await.ok();
        begun.end(opened)
    }

    /// Starts the thread that connects. `tell` answers whether anybody still wants the store.
    fn begin(
        uri: &str,
        options: RedisOptions,
        tell: impl FnOnce(Opened) -> bool + Send + 'static,
    ) -> Result<Begun, OpenError> {
        let address = Address::parse(uri)?;
        let (queue, jobs) = channel(options.queue.max(1));
        let failed = |source| OpenError::Failed { path: address.shown().into(), source };
        // A runtime of its own: the caller may have none, or one that ends before the store does.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let from = address.clone();
        let drive = async move {
            let link = match Link::make(&from, options.connect, options.rewrite).await {
                Ok(link) => link,
                Err(error) => {
                    tell(Err(error));
                    return;
                }
            };
            let standing = Arc::new(Standing::of(&link.server));
            let driver = Driver::new(from, options, jobs, Arc::clone(&standing), &link.server);
            if tell(Ok((standing, link.scripts.clone()))) {
                driver.run(link).await;
            }
        };
        let driver = Builder::new()
            .name("redis-driver".to_owned())
            .spawn(move || runtime.block_on(drive))
            .map_err(failed)?;
        Ok(Begun { address, queue, driver })
    }

    /// Puts a command into the queue, before anything is awaited.
    fn send(&self, cmd: Cmd, what: What) -> Result<oneshot::Receiver<Answer>, StateError> {
        let (job, caller) = Job::new(cmd, what);
        let Some(queue) = &self.queue else { return Err(ended()) };
        match queue.try_send(job) {
            Ok(()) => Ok(caller),
            Err(TrySendError::Closed(_)) => Err(ended()),
            Err(TrySendError::Full(_)) => Err(StateError::Unavailable {
                retry_after: Some(Duration::from_millis(50)),
                cause: Cause::says("too many requests are waiting for Redis"),
            }),
        }
    }

    async fn page(&self, cmd: Cmd) -> Result<Value, StateError> {
        let caller = self.send(cmd, What::Page)?;
        caller.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The driver answers everything that it takes, so this is the end of a panic.
fn ended() -> StateError {
    StateError::Poisoned { cause: Cause::says("the thread that talks to Redis has ended") }
}

#[async_trait]
impl StateStore for RedisStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        let Some(partition) = admission::home_of(keys)? else { return Ok(Vec::new()) };
        let answer = self.page(self.scripts.get(partition, keys)).await?;
        answers::cells(answer, keys)
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        admission::same_home(under, after)?;
        let answer = self.page(self.scripts.scan(under, after, limit)).await?;
        answers::scanned(answer, under)
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        admission::known(log.partition)?;
        let answer = self.page(self.scripts.read(log, from, limit)).await?;
        answers::tail(answer, log, from)
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        admission::same_log_home(under, after)?;
        let answer = self.page(self.scripts.logs(under, after, limit)).await?;
        answers::logs(answer, under)
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        let registered = answers::partitions(self.page(self.scripts.partitions()).await?)?;
        let mut written = Vec::new();
        for some in registered.chunks(AT_ONCE) {
            let asked: Vec<_> =
                some.iter().map(|partition| self.page(self.scripts.is_written(*partition))).collect();
            let answers = futures_util::future::join_all(asked).await;
            for (partition, answer) in some.iter().zip(answers) {
                if answers::is_written(answer?, *partition)? {
                    written.push(*partition);
                }
            }
        }
        written.sort_unstable();
        Ok(written)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        admission::admit(&batch, admission::LIMITS, self.standing.best())?;
        let level = self.standing.level(batch.durability)?;
        let cmd = self.scripts.commit(&batch, level);
        // From here on the batch is the driver's: a caller that goes away changes nothing.
        let caller = self.send(cmd, What::Commit(batch.id, batch.partition, level))?;
        // The driver may have died with the batch on its way.
        let answer = caller.await.unwrap_or(Err(StateError::Unknown { batch: batch.id.0 }))?;
        answers::committed(answer, &batch)
    }

    fn profile(&self) -> StoreProfile {
        StoreProfile {
            name: "redis".to_owned(),
            best: self.standing.best(),
            sharing: Sharing::Shared,
            limits: admission::LIMITS,
        }
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(driver) = self.driver.take() {
            // A panic of the driver was told to everybody who waited for it.
            let _ = driver.join();
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("address", &self.address).finish_non_exhaustive()
    }
}
