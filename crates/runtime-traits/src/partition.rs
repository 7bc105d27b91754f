//! Pools and partitions: the domain of ownership and atomicity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::NameError;

/// The nodes that host the same kinds: 1 to 15 of `a-z`, `0-9` and `-`, beginning with a letter.
///
/// Sixteen bytes and `Copy`, because every id carries one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool {
    bytes: [u8; 15],
    len: u8,
}

/// One of the 256 slices of a pool, or its ownerless one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The pool that the partition belongs to.
    pub pool: Pool,
    /// 0 to 255; 256 is [`Partition::OWNERLESS`].
    pub index: u16,
}

impl Pool {
    /// The pool of a single machine.
    pub const MAIN: Self = Self { bytes: *b"main\0\0\0\0\0\0\0\0\0\0\0", len: 4 };

    /// Reads a pool's name.
    ///
    /// # Errors
    /// [`NameError`] when it is not 1 to 15 of `a-z`, `0-9` and `-`, beginning with a letter.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let raw = name.as_bytes();
        let good = (1..=15).contains(&raw.len())
            && raw[0].is_ascii_lowercase()
            && raw.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if !good {
            return Err(NameError::new("pool", name, "1 to 15 of a-z, 0-9 and -, beginning with a letter"));
        }
        let mut bytes = [0; 15];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(Self { bytes, len: raw.len() as u8 })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("a pool's name is ASCII")
    }
}

impl Partition {
    /// How many partitions a pool has that somebody owns.
    pub const COUNT: u16 = 256;
    /// The index of the partition that nobody owns: leases of nodes.
    pub const OWNERLESS: u16 = 256;

    /// The partition of `pool` that `hash` falls into.
    pub fn of_hash(pool: Pool, hash: u64) -> Self {
        Self { pool, index: (hash % u64::from(Self::COUNT)) as u16 }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.as_str())
    }
}

impl FromStr for Pool {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, NameError> {
        Self::new(s)
    }
}

impl Serialize for Pool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&name).map_err(de::Error::custom)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.pool, self.index)
    }
}

impl FromStr for Partition {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, NameError> {
        let wrong = || NameError::new("partition", s, "POOL.INDEX with an index from 0 to 256");
        let (pool, index) = s.split_once('.').ok_or_else(wrong)?;
        let index = index.parse().ok().filter(|i| *i <= Self::OWNERLESS).ok_or_else(wrong)?;
        Ok(Self { pool: Pool::new(pool)?, index })
    }
}
