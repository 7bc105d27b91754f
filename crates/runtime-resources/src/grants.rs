//! What a wider scope lends to partitions, so that they admit calls without asking it for each.

mod borrower;
mod lender;

use runtime_traits::{Partition, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;

pub use borrower::{Admission, Borrower};
pub use lender::{Ask, Lender, Lent};

/// What was lent to a partition: it may send calls that take so much together, until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What it is asked for, lent and given back by. Never used again for another one.
    pub id: u128,
    /// To whom it was lent: to whoever owns that partition.
    pub borrower: Partition,
    /// How much.
    pub lent: Claim,
    /// From this moment on, by the clock of whoever owns the partition, nothing more is sent under it.
    pub expiry: UnixMillis,
}

#[cfg(test)]
mod tests;
