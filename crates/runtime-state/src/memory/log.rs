//! The entries of one log.

use std::collections::VecDeque;

use bytes::Bytes;
use runtime_traits::store::{Seq, Tail};

use crate::decide::Extent;

/// The entries of a log that are not trimmed, and the number of the first of them.
#[derive(Debug)]
pub(super) struct Entries {
    first: u64,
    held: VecDeque<Bytes>,
}

impl Default for Entries {
    fn default() -> Self {
        Self { first: Seq::FIRST.0, held: VecDeque::new() }
    }
}

impl Entries {
    pub(super) fn extent(&self) -> Extent {
        Extent { first: Seq(self.first), next: Seq(self.first + self.held.len() as u64) }
    }

    pub(super) fn append(&mut self, entries: Vec<Bytes>) -> Seq {
        if self.held.capacity() == 0 {
            // Most logs are short: `VecDeque` would begin with four places.
            self.held.reserve_exact(entries.len());
        }
        self.held.extend(entries);
        Seq(self.extent().next.0 - 1)
    }

    pub(super) fn trim(&mut self, until: Seq) {
        let gone = until.0.saturating_sub(self.first).min(self.held.len() as u64);
        self.held.drain(..gone as usize);
        self.first += gone;
        // An inbox that was long once gives its memory back; one that breathes keeps it.
        if self.held.capacity() > 32 && self.held.len() < self.held.capacity() / 4 {
            self.held.shrink_to(self.held.len() * 2);
        }
    }

    pub(super) fn tail(&self, from: Seq, limit: u32) -> Tail {
        let first = from.0.max(self.first);
        let skip = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let entries = self.held.iter().skip(skip).take(limit as usize).cloned().collect();
        Tail { first: Seq(first), next: self.extent().next, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trimmed_log_keeps_its_numbers_and_gives_its_memory_back() {
        let mut log = Entries::default();
        let last = log.append((0..1_000).map(|n| Bytes::from(n.to_string())).collect());
        assert_eq!(last, Seq(1_000));
        log.trim(Seq(5_000));
        assert_eq!(log.extent(), Extent { first: Seq(1_001), next: Seq(1_001) });
        assert!(log.held.capacity() <= 32, "still room for {}", log.held.capacity());
        log.trim(Seq(1));
        assert_eq!(log.append(vec![Bytes::from_static(b"next")]), Seq(1_001));
        assert_eq!(log.tail(Seq(1), 9).first, Seq(1_001));
        assert_eq!(log.tail(Seq(2_000), 9), Tail { first: Seq(2_000), next: Seq(1_002), entries: vec![] });
    }
}
