//! What a durable subscription has loaded and not done: which event may be worked on now. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use runtime_codec::CursorRecord;
use runtime_traits::bus::{Delivery, Gap, Kept, Position, Retry};
use runtime_traits::clock::UnixMillis;

use super::places::Places;

/// How many events are loaded at most and not done.
const LOADED: usize = 1_024;

/// What a durable subscription has loaded and not done.
///
/// Of each source only the earliest event may be worked on; sources do not wait for each other.
#[derive(Debug)]
pub(super) struct Window {
    done: u64,
    /// What is done beyond it.
    ahead: Places,
    slots: BTreeMap<u64, Slot>,
    /// The loaded events of each source, earliest first.
    sources: HashMap<Arc<str>, VecDeque<u64>>,
    ready: BTreeSet<u64>,
    pausing: BTreeSet<(UnixMillis, u64)>,
    failed: BTreeMap<u64, u32>,
    /// The place that is loaded next.
    next: u64,
    gaps: VecDeque<Gap>,
    /// Counts the changes that have to be saved.
    version: u64,
}

#[derive(Debug)]
struct Slot {
    kept: Kept,
    taken_by: Option<u64>,
}

/// What a member gets.
#[derive(Debug, PartialEq)]
pub(super) enum Take {
    Delivery(Delivery),
    /// Nothing, until this moment or until something changes.
    Nothing(Option<UnixMillis>),
}

impl Window {
    /// Goes on where the record says.
    pub(super) fn of(record: &CursorRecord) -> Self {
        let mut ahead = Places::default();
        record.ahead.iter().for_each(|(first, last)| ahead.insert(*first, *last));
        Self {
            done: record.done,
            ahead,
            slots: BTreeMap::new(),
            sources: HashMap::new(),
            ready: BTreeSet::new(),
            pausing: BTreeSet::new(),
            failed: record.failed.iter().copied().collect(),
            next: record.done + 1,
            gaps: VecDeque::new(),
            version: 0,
        }
    }

    /// What is to be saved, and the number of the last change in it.
    pub(super) fn record(&self, group: bool, retry: &Retry) -> (CursorRecord, u64) {
        let record = CursorRecord {
            done: self.done,
            ahead: self.ahead.ranges(),
            failed: self.failed.iter().map(|(place, times)| (*place, *times)).collect(),
            ..blank(group, retry)
        };
        (record, self.version)
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The last place up to which all is done.
    pub(super) fn done_up_to(&self) -> Position {
        Position(self.done)
    }

    /// Which events are to be loaded: from where, and how many.
    pub(super) fn wanted(&self) -> (Position, usize) {
        (Position(self.next), LOADED.saturating_sub(self.slots.len()))
    }

    /// Takes events in. Places before `first` are no longer there: what of them was not done is lost.
    pub(super) fn load(&mut self, first: Position, events: Vec<Kept>) {
        if first.0 > self.next {
            let gap = Gap { from: Position(self.next), to: Position(first.0 - 1) };
            self.gaps.push_back(gap);
            self.ahead.insert(gap.from.0, gap.to.0);
            self.next = first.0;
            self.advance();
            self.version += 1;
        }
        for kept in events {
            let place = kept.position.0;
            if place < self.next {
                continue;
            }
            self.next = place + 1;
            if self.ahead.contains(place) || place <= self.done {
                continue;
            }
            let source = self.sources.entry(Arc::clone(&kept.event.source)).or_default();
            source.push_back(place);
            if source.len() == 1 {
                self.ready.insert(place);
            }
            self.slots.insert(place, Slot { kept, taken_by: None });
        }
    }

    /// Gives `member` what may be worked on.
    pub(super) fn take(&mut self, member: u64, now: UnixMillis) -> Take {
        if let Some(gap) = self.gaps.pop_front() {
            return Take::Delivery(Delivery::Gap(gap));
        }
        while let Some(&(until, place)) = self.pausing.first() {
            if until > now {
                break;
            }
            self.pausing.pop_first();
            self.ready.insert(place);
        }
        let Some(place) = self.ready.pop_first() else {
            return Take::Nothing(self.pausing.first().map(|(until, _)| *until));
        };
        let attempt = self.failures(Position(place)) + 1;
        let slot = self.slots.get_mut(&place).expect("what is ready is loaded");
        slot.taken_by = Some(member);
        let event = Arc::clone(&slot.kept.event);
        Take::Delivery(Delivery::Event { position: Position(place), attempt, event })
    }

    /// How often an event has failed.
    pub(super) fn failures(&self, position: Position) -> u32 {
        self.failed.get(&position.0).copied().unwrap_or(0)
    }

    /// The event that `member` works on there.
    pub(super) fn taken(&self, position: Position, member: u64) -> Option<&Kept> {
        self.slots.get(&position.0).filter(|slot| slot.taken_by == Some(member)).map(|slot| &slot.kept)
    }

    /// The event that `member` works on is done. Nothing happens if it works on none there.
    pub(super) fn settle(&mut self, position: Position, member: u64) {
        if self.taken(position, member).is_none() {
            return;
        }
        let slot = self.slots.remove(&position.0).expect("it was taken");
        let source = &slot.kept.event.source;
        if let Some(queue) = self.sources.get_mut(source) {
            queue.pop_front();
            match queue.front() {
                Some(next) => {
                    self.ready.insert(*next);
                }
                None => {
                    self.sources.remove(source);
                }
            }
        }
        self.failed.remove(&position.0);
        self.ahead.insert(position.0, position.0);
        self.advance();
        self.version += 1;
    }

    /// The event that `member` works on failed, and pauses.
    pub(super) fn pause(&mut self, position: Position, member: u64, until: UnixMillis) {
        if let Some(slot) = self.slots.get_mut(&position.0).filter(|slot| slot.taken_by == Some(member)) {
            slot.taken_by = None;
            *self.failed.entry(position.0).or_default() += 1;
            self.pausing.insert((until, position.0));
            self.version += 1;
        }
    }

    /// A member has gone: what it has not settled may be worked on again.
    pub(super) fn leave(&mut self, member: u64) {
        for (place, slot) in &mut self.slots {
            if slot.taken_by == Some(member) {
                slot.taken_by = None;
                self.ready.insert(*place);
            }
        }
    }

    fn advance(&mut self) {
        while let Some(last) = self.ahead.take_from(self.done + 1) {
            self.done = last;
        }
        self.failed = self.failed.split_off(&(self.done + 1));
    }
}

/// The record of a subscription that has done nothing.
pub(super) fn blank(group: bool, retry: &Retry) -> CursorRecord {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    CursorRecord {
        writer: [0; 16],
        group,
        attempts: retry.attempts,
        first_pause: ms(retry.first),
        longest_pause: ms(retry.longest),
        done: 0,
        ahead: Vec::new(),
        failed: Vec::new(),
    }
}
