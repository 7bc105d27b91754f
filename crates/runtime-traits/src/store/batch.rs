//! What is written, on which conditions, and what the store answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::partition::Partition;
use crate::store::key::{Key, Log};

/// The number of an entry in a log: 1, 2, 3, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The number of a commit in its partition; never reused, so that an unchanged revision means an unchanged cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// The name of a batch, kept when the batch is submitted again: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u128);

/// The proof of ownership: the first 16 bytes of the owner's cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

/// What a cell holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its value.
    pub value: Bytes,
    /// The commit that wrote it.
    pub revision: Revision,
}

/// A page of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The number of the first entry here. Greater than the number asked for: the log is trimmed up to it.
    pub first: Seq,
    /// The number that the log's next entry will get.
    pub next: Seq,
    /// The entries from `first` on, at most as many as asked for.
    pub entries: Vec<Bytes>,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing: it is visible.
    Memory,
    /// The end of this process, however it comes.
    Process,
    /// The loss of power.
    Disk,
}

/// Writes to one partition: all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its name; a repetition of an unknown commit keeps it.
    pub id: BatchId,
    /// The only partition that it touches.
    pub partition: Partition,
    /// The proof that the writer still owns the partition. `None` only for inbox appends, claims, grants, leases, names.
    pub fence: Option<Fence>,
    /// What has to hold where it is written.
    pub when: Vec<When>,
    /// The writes, at most 256 (each appended entry is one) and 1 MiB. None at all asks "am I still the owner?".
    pub then: Vec<Then>,
    /// At least this.
    pub durability: Durability,
}

/// The proof that the writer still owns the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The cell whose value begins with the owner's token.
    pub owner: Key,
    /// The token that it has to begin with.
    pub token: Token,
}

/// A condition of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// There is no such cell.
    Absent(Key),
    /// The cell is there and was written by this commit.
    Revision(Key, Revision),
    /// The log's next entry will get this number.
    Next(Log, Seq),
    /// Fewer entries than this are in the log and not trimmed.
    BacklogBelow(Log, u32),
}

/// The largest number that a cell holds to which [`Then::Add`] adds, and its negative the smallest: 2^53. Every store holds it exactly, and
/// so does every reader of JSON. A batch that would go beyond it is refused whole.
pub const LARGEST_SUM: i64 = 1 << 53;

/// A write of a batch. Writes apply in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Sets a cell.
    Put(Key, Bytes),
    /// Adds to a cell that holds a decimal number within ± [`LARGEST_SUM`]; an absent cell counts as 0.
    Add(Key, i64),
    /// Removes a cell, if it is there.
    Delete(Key),
    /// Appends entries to a log.
    Append(Log, Vec<Bytes>),
    /// Removes the log's entries with lower numbers than this.
    Trim(Log, Seq),
    /// Removes a log for ever: its path is never used again.
    Drop(Log),
}

/// The answer to a batch that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The commit's number in its partition. A batch without writes answers the last one's.
    pub revision: Revision,
    /// The number of the last entry of each `Append`, in their order.
    pub appended: Vec<Seq>,
    /// What the commit survives: never less than was asked for.
    pub durability: Durability,
}

impl Seq {
    /// The number of the first entry of every log.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Then {
    /// How many writes this counts as.
    pub fn count(&self) -> usize {
        match self {
            Self::Append(_, entries) => entries.len(),
            _ => 1,
        }
    }

    /// How many bytes this brings: path and values.
    pub fn size(&self) -> usize {
        match self {
            Self::Put(key, value) => key.path.as_bytes().len() + value.len(),
            Self::Add(key, _) | Self::Delete(key) => key.path.as_bytes().len() + 8,
            Self::Append(log, entries) => {
                log.path.as_bytes().len() + entries.iter().map(Bytes::len).sum::<usize>()
            }
            Self::Trim(log, _) | Self::Drop(log) => log.path.as_bytes().len() + 8,
        }
    }

    /// The partition that it writes to.
    pub fn partition(&self) -> Partition {
        match self {
            Self::Put(key, _) | Self::Add(key, _) | Self::Delete(key) => key.partition,
            Self::Append(log, _) | Self::Trim(log, _) | Self::Drop(log) => log.partition,
        }
    }
}

impl When {
    /// The partition that it looks at.
    pub fn partition(&self) -> Partition {
        match self {
            Self::Absent(key) | Self::Revision(key, _) => key.partition,
            Self::Next(log, _) | Self::BacklogBelow(log, _) => log.partition,
        }
    }
}
