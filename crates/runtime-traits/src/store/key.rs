//! Where things are: a partition and a path within it.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::partition::Partition;

/// 1 to 512 bytes, ordered bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Bytes);

/// A path that is empty or too long.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a path of {len} bytes: use 1 to {}", Path::LIMIT)]
pub struct PathError {
    len: usize,
}

/// The place of a cell. As the argument of a scan it is a prefix, and then its path may be [`Path::root`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The domain of ownership and atomicity.
    pub partition: Partition,
    /// Where in it.
    pub path: Path,
}

/// The place of a log: a namespace of its own beside the cells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Log {
    /// The domain of ownership and atomicity.
    pub partition: Partition,
    /// Where in it.
    pub path: Path,
}

impl Path {
    /// The most bytes of a path.
    pub const LIMIT: usize = 512;

    /// Checks and takes a path.
    ///
    /// # Errors
    /// [`PathError`] when it is empty or longer than [`Path::LIMIT`].
    pub fn new(path: impl Into<Bytes>) -> Result<Self, PathError> {
        let path = path.into();
        if (1..=Self::LIMIT).contains(&path.len()) {
            Ok(Self(path))
        } else {
            Err(PathError { len: path.len() })
        }
    }

    /// The empty prefix under which everything of a partition lies; no cell and no log has it.
    pub const fn root() -> Self {
        Self(Bytes::new())
    }

    /// Whether this is [`Path::root`].
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Key {
    /// The cell at `path`.
    ///
    /// # Errors
    /// [`PathError`] when `path` is empty or longer than [`Path::LIMIT`].
    pub fn new(partition: Partition, path: impl Into<Bytes>) -> Result<Self, PathError> {
        Ok(Self { partition, path: Path::new(path)? })
    }

    /// The prefix of every cell of `partition`.
    pub const fn all(partition: Partition) -> Self {
        Self { partition, path: Path::root() }
    }
}

impl Log {
    /// The log at `path`.
    ///
    /// # Errors
    /// [`PathError`] when `path` is empty or longer than [`Path::LIMIT`].
    pub fn new(partition: Partition, path: impl Into<Bytes>) -> Result<Self, PathError> {
        Ok(Self { partition, path: Path::new(path)? })
    }

    /// The prefix of every log of `partition`.
    pub const fn all(partition: Partition) -> Self {
        Self { partition, path: Path::root() }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.path)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.path)
    }
}
