//! Why bytes are no snapshot file.

use thiserror::Error;

use crate::error::CodecError;

/// Why bytes are no snapshot file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// They are something else.
    #[error("it is no snapshot file")]
    Foreign,
    /// A newer version of the runtime wrote it.
    #[error("its format {version} was written by a newer runtime")]
    Newer {
        /// The format.
        version: u16,
    },
    /// It ends too early.
    #[error("it is cut off after {at} bytes")]
    Cut {
        /// How many bytes there are.
        at: u64,
    },
    /// A part is not what was written.
    #[error("it is damaged at byte {at}")]
    Damaged {
        /// Where the part begins.
        at: u64,
    },
    /// Something follows its end.
    #[error("something follows its end at byte {at}")]
    Trailing {
        /// Where.
        at: u64,
    },
    /// A part is whole and cannot be read.
    #[error(transparent)]
    Record(#[from] CodecError),
}
