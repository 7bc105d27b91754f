//! When a group is synced although nobody asks for it, and how the log is kept short.

use super::layout;

/// The most bytes that may go into the log between two syncs.
///
/// sled writes over a part of its log, 512 KiB, when all in it was written anew elsewhere and one more such part is full.
/// It does not know what was synced. So a sync has to come before.
const MOST_UNSYNCED: u64 = 256 * 1024;

/// A log shorter than this is left alone.
const SHORT: u64 = 16 * 1024 * 1024;

/// How many times longer than what is in it the log may be without old rows being written again.
const LONG: u64 = 2;

/// How many times as much as a group writes itself it writes again at most.
const MOST_AGAIN: u64 = 4;

/// The committer's count of what it hands to sled.
#[derive(Debug, Default)]
pub(super) struct Pace {
    unsynced: u64,
    /// The key behind the row that was written again last.
    pub(super) cursor: Option<Vec<u8>>,
}

impl Pace {
    /// Whether a group that puts this much into the log has to be synced.
    pub(super) fn must_sync(&self, cost: u64) -> bool {
        self.unsynced + cost > MOST_UNSYNCED
    }

    pub(super) fn unsynced(&mut self, cost: u64) {
        self.unsynced += cost;
    }

    pub(super) fn synced(&mut self) {
        self.unsynced = 0;
    }

    /// The key at which rows are to be written again.
    pub(super) fn from(&self) -> Vec<u8> {
        self.cursor.clone().unwrap_or_else(|| layout::everything().start)
    }
}

/// What a row costs in the log: it is written once by itself, and once in ten times with the up to 19 rows of its page.
pub(super) fn cost(key: &[u8], row: Option<&[u8]>) -> u64 {
    4_096 + 4 * (key.len() + row.map_or(0, <[u8]>::len)) as u64
}

/// How many bytes of old rows a group of `written` bytes has to write again: the more, the longer the log is.
///
/// sled frees a part of its log when all in it was written anew elsewhere. Rows that nobody changes keep such parts from
/// being free for ever.
pub(super) fn again(log: u64, live: u64, written: u64) -> u64 {
    let times = log / live.max(1);
    if log < SHORT || times < LONG { 0 } else { written * (times - LONG).min(MOST_AGAIN) + 64 * 1024 }
}
