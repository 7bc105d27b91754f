//! A store whose values are encrypted.

mod envelope;
mod error;
mod fence;
mod keys;
mod known;
mod mark;
mod needed;
mod writes;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Limits, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

use crate::{admission, marks};
use envelope::{OVERHEAD, Place, Sort, Unreadable};
use fence::{FenceKey, is_number};

pub use error::EncryptionError;
pub use keys::{KeyError, KeyId, KeyRing};
pub use needed::Needed;

/// By how many bytes the value of a cell grows; an entry grows by 16 less.
const GROWTH: usize = fence::LENGTH + OVERHEAD;

/// A [`StateStore`] over another one, which sees each value only encrypted, by XChaCha20-Poly1305 under a nonce of 24
/// random bytes.
///
/// What whoever reads the store below without the keys sees: partitions, paths (with the names of tenants and sessions in
/// them, and idempotency keys), the numbers of entries and revisions, the lengths of values, every cell that holds nothing
/// but a decimal number within ± 2^53 (the store below adds to it), and whether a cell's value begins with the same 16
/// bytes as another one did that it held.
///
/// What whoever changes it cannot do unnoticed: alter a value, put it into another cell, log or store of other keys, or
/// take an entry for a cell. Entries of batches that said their log's next number ([`When::Next`]) cannot be reordered or
/// repeated within their log; entries that anyone may append (an inbox's) can. Not noticed either: a cell, or the whole
/// store, put back to what it was before; a cell, an entry at a log's beginning, or a log that is taken away; a number
/// in place of any value of a cell.
///
/// Values of older keys are read as long as the ring holds these; [`EncryptedStore::keys_needed`] says which are. Under
/// one random nonce of 192 bits per value there is no number of values after which a key has to be changed.
///
/// [`When::Next`]: runtime_traits::store::When::Next
///
/// # Examples
/// ```
/// use runtime_state::{EncryptedStore, KeyRing, MemoryStore};
///
/// # runtime_testkit::block_on(async {
/// let ring = KeyRing::parse(&format!("1 {}", "7f".repeat(32)))?; // in earnest: KeyRing::read("file:store.keys")
/// let store = EncryptedStore::open(MemoryStore::new(), ring).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).expect("an empty store takes any key");
/// ```
pub struct EncryptedStore<S> {
    inner: S,
    ring: KeyRing,
    fences: FenceKey,
}

impl<S: StateStore> EncryptedStore<S> {
    /// Encrypts what goes into `inner`, in which nothing was written yet or everything by an `EncryptedStore`.
    ///
    /// # Errors
    /// [`EncryptionError`]: what is wrong with store or keys. Nothing is written then.
    pub async fn open(inner: S, ring: KeyRing) -> Result<Self, EncryptionError> {
        let fences = mark::find_or_make(&inner, &ring).await?;
        Ok(Self { inner, ring, fences })
    }

    /// As [`EncryptedStore::open`], for who only reads what is there: the store is not told which key would write.
    #[cfg(feature = "redb")]
    pub(crate) async fn open_to_read(inner: S, ring: KeyRing) -> Result<Self, EncryptionError> {
        let fences = mark::find_or_make_to_read(&inner, &ring).await?;
        Ok(Self { inner, ring, fences })
    }

    /// The keys.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn cell(&self, key: &Key, cell: Cell) -> Result<Cell, Hidden> {
        if is_number(&cell.value) {
            return Ok(cell);
        }
        let place = Place { sort: Sort::Cell, partition: key.partition, path: &key.path, seq: None };
        let value = envelope::open(&self.ring, place, fence::LENGTH, &cell.value)
            .map_err(|why| Hidden { what: format!("the cell `{key}`"), why })?;
        Ok(Cell { value: value.into(), ..cell })
    }

    fn entry(&self, log: &Log, seq: Seq, entry: &[u8]) -> Result<Bytes, Hidden> {
        let place = Place { sort: Sort::Entry, partition: log.partition, path: &log.path, seq: Some(seq) };
        let value = envelope::open(&self.ring, place, 0, entry)
            .map_err(|why| Hidden { what: format!("entry {} of the log `{log}`", seq.0), why })?;
        Ok(value.into())
    }

    /// Tells what cannot be read, and whether that is damage: what somebody else wrote with a newer key is not.
    async fn told<T>(&self, read: Result<T, Hidden>) -> Result<T, StateError> {
        let hidden = match read {
            Ok(read) => return Ok(read),
            Err(hidden) => hidden,
        };
        if known::may_be_whole(&self.inner, &self.ring, hidden.why).await? {
            return Err(StateError::Unavailable {
                retry_after: None,
                cause: Cause::says(hidden.to_string()),
            });
        }
        Err(StateError::Damaged { what: hidden.to_string() })
    }
}

#[async_trait]
impl<S: StateStore> StateStore for EncryptedStore<S> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        if admission::home_of(keys)?.is_some_and(is_hidden) {
            return Ok(vec![None; keys.len()]);
        }
        let cells = self.inner.get(keys).await?;
        let cells = keys.iter().zip(cells);
        let read = cells.map(|(key, cell)| cell.map(|cell| self.cell(key, cell)).transpose()).collect();
        self.told(read).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        if is_hidden(under.partition) {
            return Ok(Vec::new());
        }
        let page = self.inner.scan(under, after, limit).await?.into_iter();
        let read = page.map(|(key, cell)| self.cell(&key, cell).map(|cell| (key, cell))).collect();
        self.told(read).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let Tail { first, next, entries } = self.inner.read(log, from, limit).await?;
        let entries = entries.iter().zip(first.0..).map(|(entry, seq)| self.entry(log, Seq(seq), entry));
        let read = entries.collect();
        Ok(Tail { first, next, entries: self.told(read).await? })
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        let mut partitions = self.inner.partitions().await?;
        partitions.retain(|partition| !is_hidden(*partition));
        Ok(partitions)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        if is_hidden(batch.partition) {
            return Err(StateError::WrongPartition);
        }
        let below = self.inner.profile();
        admission::admit(&batch, within(below.limits), below.best)?;
        // Encrypted before the first wait: batches reach the store below in the order of their first polls.
        self.inner.commit(writes::below(batch, &self.ring, &self.fences)).await
    }

    fn profile(&self) -> StoreProfile {
        let inner = self.inner.profile();
        StoreProfile { name: format!("encrypted {}", inner.name), limits: within(inner.limits), ..inner }
    }
}

impl<S: fmt::Debug> fmt::Debug for EncryptedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStore")
            .field("inner", &self.inner)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

/// What may come in, so that what goes on fits into the limits of the store below.
fn within(Limits { writes, batch, value }: Limits) -> Limits {
    let batch = batch.saturating_sub(writes * GROWTH);
    Limits { writes, batch, value: value.saturating_sub(GROWTH) }
}

/// The partition of the mark is not there for who has the keys.
fn is_hidden(partition: Partition) -> bool {
    partition == marks::encryption().partition
}

/// A value that cannot be read here.
struct Hidden {
    what: String,
    why: Unreadable,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why } = self;
        match why {
            Unreadable::Clear => write!(f, "{what} holds a value that is not encrypted"),
            Unreadable::Newer(format) => {
                write!(f, "{what} is encrypted in format {format}, which is newer than this program")
            }
            Unreadable::Algorithm(algorithm) => {
                write!(f, "{what} is encrypted by algorithm {algorithm}, which this program does not know")
            }
            Unreadable::Missing(id) => {
                write!(f, "{what} needs key {id}, which is not among those given: add its line to the keys")
            }
            Unreadable::Forged(id) => write!(f, "{what} is not what was written there under key {id}"),
        }
    }
}
