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
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache: 64 * 1024 * 1024, group: 64, queue: 16_384, integrity: Integrity::AsNeeded }
    }
}
