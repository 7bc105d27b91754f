//! Why a store cannot be used with these keys.

use runtime_traits::store::StateError;
use thiserror::Error;

use super::envelope::{FORMAT, Unreadable};
use super::keys::KeyId;

/// Why a store cannot be used with these keys. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncryptionError {
    /// The store has values, and they are not encrypted.
    #[error(
        "it holds values that are not encrypted: open it without keys, or copy it into a new store that has them \
         (`agent-runtime state copy`)"
    )]
    NotEncrypted,
    /// A key is missing.
    #[error("it needs key {id}, which is not among those given: add its line to the keys")]
    MissingKey {
        /// The key's number.
        id: KeyId,
    },
    /// A key of this number is there, and it is another one; or somebody changed the mark.
    #[error("key {id} is not the one that the store was written with: give it the key that it had")]
    WrongKey {
        /// The key's number.
        id: KeyId,
    },
    /// A later version of this program encrypted the store.
    #[error(
        "its encryption has format {found}, and this program knows up to {known}: open it with the newer version \
         that wrote it"
    )]
    Newer {
        /// Its format.
        found: u8,
        /// The newest format of this build.
        known: u8,
    },
    /// A later version of this program encrypted the store by another algorithm.
    #[error(
        "it is encrypted by algorithm {found}, which this program does not know: open it with the newer version that \
         wrote it"
    )]
    Algorithm {
        /// Its algorithm.
        found: u8,
    },
    /// What says how the store is encrypted is not what was written.
    #[error("its mark of encryption is damaged: restore the store from a copy")]
    Damaged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StateError),
}

impl EncryptionError {
    /// What it means to who opens the store that its mark cannot be read.
    pub(super) fn of(why: Unreadable) -> Self {
        match why {
            Unreadable::Clear => Self::Damaged,
            Unreadable::Newer(found) => Self::Newer { found, known: FORMAT },
            Unreadable::Algorithm(found) => Self::Algorithm { found },
            Unreadable::Missing(id) => Self::MissingKey { id },
            Unreadable::Forged(id) => Self::WrongKey { id },
        }
    }
}
