//! A store that tells what is asked of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail, Then,
};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span, debug_span, enabled};

/// A [`StateStore`] over another one, with a span of [`tracing`] around every call: target `runtime_state::traced`,
/// level `DEBUG`, and the name of the method (`store.get`, `store.commit`, …).
///
/// | field | of | is |
/// |---|---|---|
/// | `store` | all | the store's name |
/// | `partition` | all but `partitions` | the partition |
/// | `asked` | `get`, `scan`, `read`, `logs` | how many keys, or the limit of the page |
/// | `found` | the same and `partitions` | how many are there |
/// | `conditions`, `fenced`, `durability`, `given` | `commit` | of the batch; the level that was given |
/// | `writes`, `bytes` | `commit` | of the batch, paths included |
/// | `bytes` | `get`, `scan`, `read` | of the values that were read |
/// | `outcome` | all | `ok`, or in a word why not; missing when the caller dropped the call |
/// | `elapsed_us` | all | microseconds from the first poll to the answer |
///
/// No values and no paths: a path holds the names of tenants and sessions, and idempotency keys. For the same reason
/// `outcome` is a word and not the error's text.
///
/// # Examples
/// ```
/// use runtime_state::{MemoryStore, TracedStore};
/// use runtime_traits::store::StateStore;
///
/// assert_eq!(TracedStore::new(MemoryStore::new()).profile().name, "memory");
/// ```
#[derive(Clone, Debug)]
pub struct TracedStore<S> {
    inner: S,
    name: String,
}

impl<S: StateStore> TracedStore<S> {
    /// Tells what is asked of `inner`.
    pub fn new(inner: S) -> Self {
        let name = inner.profile().name;
        Self { inner, name }
    }
}

impl TracedStore<Arc<dyn StateStore>> {
    /// The store, wrapped if somebody listens to its spans now; as it is, and as fast, if nobody does.
    pub fn where_heard(store: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        if enabled!(Level::DEBUG) { Arc::new(Self::new(store)) } else { store }
    }
}

/// The span of a call, with fields that the call fills in.
macro_rules! span {
    ($name:literal, $store:expr, $($fields:tt)*) => {
        debug_span!($name, store = %$store.name, $($fields)*, outcome = Empty, elapsed_us = Empty)
    };
}

#[async_trait]
impl<S: StateStore> StateStore for TracedStore<S> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        let partition = keys.first().map(|key| tracing::field::display(key.partition));
        let span = span!("store.get", self, partition, asked = keys.len(), found = Empty, bytes = Empty);
        told(span, self.inner.get(keys), |span, cells| {
            let found = || cells.iter().flatten();
            span.record("found", found().count());
            span.record("bytes", found().map(|cell| cell.value.len()).sum::<usize>());
        })
        .await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        let partition = under.partition;
        let span = span!("store.scan", self, %partition, asked = limit, found = Empty, bytes = Empty);
        told(span, self.inner.scan(under, after, limit), |span, page| {
            span.record("found", page.len());
            span.record("bytes", page.iter().map(|(_, cell)| cell.value.len()).sum::<usize>());
        })
        .await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let partition = log.partition;
        let span = span!("store.read", self, %partition, asked = limit, found = Empty, bytes = Empty);
        told(span, self.inner.read(log, from, limit), |span, tail| {
            span.record("found", tail.entries.len());
            span.record("bytes", tail.entries.iter().map(bytes::Bytes::len).sum::<usize>());
        })
        .await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        let partition = under.partition;
        let span = span!("store.logs", self, %partition, asked = limit, found = Empty);
        told(span, self.inner.logs(under, after, limit), |span, page| {
            span.record("found", page.len());
        })
        .await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        let span = span!("store.partitions", self, found = Empty);
        told(span, self.inner.partitions(), |span, found| {
            span.record("found", found.len());
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        let span = span!(
            "store.commit",
            self,
            partition = %batch.partition,
            writes = batch.then.iter().map(Then::count).sum::<usize>(),
            bytes = batch.then.iter().map(Then::size).sum::<usize>(),
            conditions = batch.when.len(),
            fenced = batch.fence.is_some(),
            durability = ?batch.durability,
            given = Empty
        );
        told(span, self.inner.commit(batch), |span, done| {
            span.record("given", tracing::field::debug(done.durability));
        })
        .await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

/// Makes the call within its span, and tells how it ended. Polled at once, so that calls keep their order.
async fn told<T>(
    span: Span,
    call: impl Future<Output = Result<T, StateError>>,
    of_answer: impl FnOnce(&Span, &T),
) -> Result<T, StateError> {
    if span.is_disabled() {
        return call.await;
    }
    #[expect(clippy::disallowed_methods, reason = "it is told, and decides nothing")]
    let begun = Instant::now();
    let answer = call.instrument(span.clone()).await;
    span.record("elapsed_us", begun.elapsed().as_micros() as u64);
    match &answer {
        Ok(value) => {
            span.record("outcome", "ok");
            of_answer(&span, value);
        }
        Err(error) => {
            span.record("outcome", word(error));
        }
    }
    answer
}

fn word(error: &StateError) -> &'static str {
    match error {
        StateError::Conflict { .. } => "conflict",
        StateError::Fenced => "fenced",
        StateError::TooLarge { .. } => "too_large",
        StateError::WrongPartition => "wrong_partition",
        StateError::Unknown { .. } => "unknown",
        StateError::Unavailable { .. } => "unavailable",
        StateError::NoSpace => "no_space",
        StateError::Damaged { .. } => "damaged",
        StateError::Poisoned { .. } => "poisoned",
    }
}
