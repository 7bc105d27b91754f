//! A batch as the store below gets it.

use std::collections::HashMap;

use bytes::Bytes;
use runtime_traits::store::{Batch, Key, Log, Seq, Then, When};

use super::envelope::{self, Place, Sort};
use super::fence::{FenceKey, is_number};
use super::keys::KeyRing;
use crate::chance;

/// Encrypts what the batch brings, and hides its owner's token.
pub(super) fn below(batch: Batch, ring: &KeyRing, fences: &FenceKey) -> Batch {
    let mut numbers = Numbers::of(&batch.when);
    let then = batch.then.into_iter().map(|write| match write {
        Then::Put(key, value) => {
            let sealed = cell(&key, value, ring, fences);
            Then::Put(key, sealed)
        }
        Then::Append(log, entries) => {
            let first = numbers.take(&log, entries.len() as u64);
            let sealed = entries.iter().zip(0..).map(|(value, n)| {
                let seq = first.map(|first| Seq(first.0 + n));
                entry(&log, seq, value, ring)
            });
            let sealed = sealed.collect();
            Then::Append(log, sealed)
        }
        Then::Drop(log) => {
            numbers.known.remove(&log);
            Then::Drop(log)
        }
        Then::Add(..) | Then::Delete(_) | Then::Trim(..) => write,
    });
    let then = then.collect();
    Batch { then, fence: batch.fence.map(|fence| fences.below(fence)), ..batch }
}

/// The numbers that entries will have for certain: those of logs whose next number is a condition of the batch.
struct Numbers {
    known: HashMap<Log, Seq>,
}

impl Numbers {
    fn of(when: &[When]) -> Self {
        let known = when.iter().filter_map(|when| match when {
            When::Next(log, seq) => Some((log.clone(), *seq)),
            When::Absent(_) | When::Revision(..) | When::BacklogBelow(..) => None,
        });
        Self { known: known.collect() }
    }

    fn take(&mut self, log: &Log, count: u64) -> Option<Seq> {
        let next = self.known.get_mut(log)?;
        let first = *next;
        *next = Seq(first.0.saturating_add(count));
        Some(first)
    }
}

fn cell(key: &Key, value: Bytes, ring: &KeyRing, fences: &FenceKey) -> Bytes {
    if is_number(&value) {
        return value;
    }
    let place = Place { sort: Sort::Cell, partition: key.partition, path: &key.path, seq: None };
    envelope::seal(ring, place, &fences.prefix(key, &value), &value, chance::bytes()).into()
}

fn entry(log: &Log, seq: Option<Seq>, value: &[u8], ring: &KeyRing) -> Bytes {
    let place = Place { sort: Sort::Entry, partition: log.partition, path: &log.path, seq };
    envelope::seal(ring, place, &[], value, chance::bytes()).into()
}
