//! Cells about the store itself, in a pool of their own: whether it is encrypted, and whether a copy into it is done.

use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Key, StateError, StateStore};

/// The pool of the marks. No agent lives in it, and nothing of it is copied.
const POOL: &str = "runtime-state";

/// What the marks of a store say, read in the clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Its values are encrypted.
    pub(crate) encrypted: bool,
    /// Somebody began to copy another store into it, and has not ended.
    pub(crate) half_copied: bool,
}

impl Marks {
    /// Reads the marks of a store as it is, without keys.
    pub(crate) async fn of(store: &dyn StateStore) -> Result<Self, StateError> {
        Ok(Self {
            encrypted: is_there(store, encryption()).await?,
            half_copied: is_there(store, copying()).await?,
        })
    }
}

/// The mark of an encrypted store, in the partition that nobody sees who has its keys.
pub(crate) fn encryption() -> Key {
    key(0, "encryption")
}

/// The list of the keys that wrote to an encrypted store, beside its mark.
pub(crate) fn known_keys() -> Key {
    key(0, "keys")
}

/// The mark of a store that another one is being copied into.
pub(crate) fn copying() -> Key {
    key(1, "copying")
}

/// Whether the partition holds marks, and nothing of any agent.
pub(crate) fn is_marks(partition: Partition) -> bool {
    partition.pool.as_str() == POOL
}

fn key(index: u16, path: &'static str) -> Key {
    let pool = Pool::new(POOL).expect("a good name");
    Key::new(Partition { pool, index }, path).expect("a good path")
}

async fn is_there(store: &dyn StateStore, mark: Key) -> Result<bool, StateError> {
    Ok(store.get(&[mark]).await?.pop().flatten().is_some())
}
