//! Why bytes are no record.

use thiserror::Error;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// They are shorter than a record's head.
    #[error("{what}: {len} bytes are too few for a record")]
    Short {
        /// What was to be read.
        what: &'static str,
        /// How many bytes there are.
        len: usize,
    },
    /// They are a record of something else.
    #[error("{what}: the record has tag {tag}, not {wanted}")]
    OtherTag {
        /// What was to be read.
        what: &'static str,
        /// The tag that it has.
        tag: u16,
        /// The tag that it should have.
        wanted: u16,
    },
    /// A newer version of the runtime wrote them.
    #[error("{what}: version {version} was written by a newer runtime")]
    Newer {
        /// What was to be read.
        what: &'static str,
        /// The version that it has.
        version: u16,
    },
    /// The body is not what the version says.
    #[error("{what}: the body cannot be read: {cause}")]
    Body {
        /// What was to be read.
        what: &'static str,
        /// What bincode said.
        cause: String,
    },
    /// The body is followed by something.
    #[error("{what}: {left} bytes follow the body")]
    Trailing {
        /// What was to be read.
        what: &'static str,
        /// How many.
        left: usize,
    },
}
