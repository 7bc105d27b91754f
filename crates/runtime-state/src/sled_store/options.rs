//! What a user may choose about the store.

use crate::Integrity;

/// What may be chosen about a [`SledStore`](crate::SledStore).
///
/// # Examples
/// ```
/// use runtime_state::{Integrity, SledOptions};
///
/// let options = SledOptions { integrity: Integrity::Everything, ..SledOptions::default() };
/// assert_eq!(options.group, 64);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// Bytes of memory for pages of the log. 64 MiB unless told otherwise.
    pub cache: u64,
    /// The most batches in one group, which share its syncs. 64 unless told otherwise.
    pub group: usize,
    /// The most batches that wait; one more is refused as unavailable. 16,384 unless told otherwise.
    pub queue: usize,
    /// How much of the store is checked when it is opened. A partition that was not checked then is checked when it is
    /// first read or written to.
    pub integrity: Integrity,
    /// Shows what is left of a partition of which sled has lost rows, for who saves what can be saved: rows that are
    /// whole, though they may be what they once were. That something is missing is said as damage where a list of all its
    /// cells or logs ends; what is asked for by its path and not found is answered as not there. Nothing is written to
    /// such a partition. Off unless told otherwise: then nothing of it is shown.
    pub salvage: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache: 64 * 1024 * 1024,
            group: 64,
            queue: 16_384,
            integrity: Integrity::AsNeeded,
            salvage: false,
        }
    }
}
