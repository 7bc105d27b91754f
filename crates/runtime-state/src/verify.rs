//! Everything in a store read once, and all of it named that is not as it should be.

pub(crate) mod blobs;
pub(crate) mod cells;
pub(crate) mod chain;
pub(crate) mod contents;
pub(crate) mod damage;
pub(crate) mod entries;
mod left;
pub(crate) mod listing;
pub(crate) mod logs;
mod round;
pub(crate) mod snapshots;
pub(crate) mod walk;

use runtime_traits::store::{StateError, StateStore};
use serde::Serialize;

use crate::copy::inhabited;
use crate::steady::Steady;
use round::Round;

pub use damage::{Damage, DamageSort, DamagedPlace};
pub use left::{AgentLeft, RunLeft, SessionLeft};

/// Damages that are named; of more of them there is only the number.
const NAMED: usize = 10_000;

/// What there is in a store, and what is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Partitions with anything in them.
    pub partitions: u64,
    /// Cells that can be read.
    pub cells: u64,
    /// Logs that can be found.
    pub logs: u64,
    /// Entries that can be read.
    pub entries: u64,
    /// Contents beside the logs that are whole.
    pub contents: u64,
    /// Bytes of paths and values that can be read.
    pub bytes: u64,
    /// Contents whose writer did not come to its end, and which nobody names: no damage.
    pub unfinished: u64,
    /// Cells and logs whose paths mean nothing to this version: no damage.
    pub unknown: u64,
    /// What is damaged: the first 10,000.
    pub damages: Vec<Damage>,
    /// How many damages there are.
    pub damaged: u64,
    /// How many of them are values of a newer version: no damage, but nothing that this one can read.
    pub newer: u64,
    /// What is left of the agents of which something is damaged.
    pub left: Vec<AgentLeft>,
}

/// Reads everything in `store`, checks that all of it means something, and says what is damaged: by partition and path,
/// and by tenant, agent, session and run. Never stops at the first damage. Changes nothing.
///
/// Every cell, entry, message and manifest is decoded. Every content beside the logs is compared with its hash and its
/// length, and so is every reference to one. A run without a log, a log of which nothing says whose it is, a head without
/// its message, a gap in a conversation, a name without its agent are damage too. Beside what the store itself finds:
/// checksums of redb, what an [`EncryptedStore`](crate::EncryptedStore) authenticates. [`check_pages`](crate::check_pages)
/// looks at the structure of a redb file, in which damage can hide a row from every reader.
///
/// It holds a page of values at a time. Others may write meanwhile: what they change is looked at again before it counts.
///
/// `progress` hears after each page what was read so far.
///
/// # Errors
/// What kept the store from reading and is no damage: nothing is known of it then. Damage only where the store cannot even
/// list its partitions.
///
/// # Examples
/// ```
/// use runtime_state::{MemoryStore, verify_store};
///
/// # runtime_testkit::block_on(async {
/// let verified = verify_store(&MemoryStore::new(), |_| {}).await?;
/// assert_eq!(verified.damaged, 0);
/// # Ok::<(), runtime_traits::store::StateError>(())
/// # }).expect("a store in memory");
/// ```
pub async fn verify_store(
    store: &dyn StateStore,
    progress: impl FnMut(&Verified) + Send,
) -> Result<Verified, StateError> {
    let store = Steady::over(store);
    let mut verified = go_round(&store, true, progress).await?;
    verified.left = left::left(&store, &verified.damages).await;
    store.still()?;
    Ok(verified)
}

/// As [`verify_store`], but knows nothing of what values mean: what it finds is what the store finds. For stores that are
/// used for something else than a runtime.
///
/// # Errors
/// What kept the store from reading and is no damage: nothing is known of it then. Damage only where the store cannot even
/// list its partitions.
pub async fn read_store(
    store: &dyn StateStore,
    progress: impl FnMut(&Verified) + Send,
) -> Result<Verified, StateError> {
    go_round(&Steady::over(store), false, progress).await
}

async fn go_round(
    store: &Steady<'_>,
    is_deep: bool,
    mut progress: impl FnMut(&Verified) + Send,
) -> Result<Verified, StateError> {
    let mut verified = Verified::default();
    // Once the store is away, what seems to be missing is not told.
    let mut progress = |so_far: &Verified| {
        if store.still().is_ok() {
            progress(so_far);
        }
    };
    for partition in inhabited(store).await? {
        let before = (verified.cells, verified.logs, verified.damaged);
        Round::new(store, partition, is_deep, &mut verified, &mut progress).read().await;
        store.still()?;
        verified.partitions += u64::from((verified.cells, verified.logs, verified.damaged) != before);
    }
    Ok(verified)
}
