//! What of some sources is loaded and not done: which event may be worked on now. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use runtime_codec::CursorRecord;
use runtime_traits::bus::{Delivery, Gap, Kept, Position, Retry};
use runtime_traits::clock::UnixMillis;

use super::places::Places;

/// What of some sources is loaded and not done.
///
/// Of each source only the earliest event may be worked on; sources do not wait for each other. What is loaded and of
/// other sources counts as done.
#[derive(Debug)]
pub(super) struct Window {
    /// The last place up to which all is done.
    done: u64,
    /// What is done of that which is not loaded yet.
    skip: Places,
    undone: BTreeMap<u64, Undone>,
    /// The loaded events of each source, earliest first.
    sources: HashMap<Arc<str>, VecDeque<u64>>,
    ready: BTreeSet<u64>,
    pausing: BTreeSet<(UnixMillis, u64)>,
    failed: BTreeMap<u64, u32>,
    /// The place that is loaded next.
    next: u64,
    /// Counts the changes that have to be saved.
    version: u64,
}

#[derive(Debug)]
struct Undone {
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
        let mut skip = Places::default();
        record.ahead.iter().for_each(|(first, last)| skip.insert(*first, *last));
        Self {
            done: record.done,
            skip,
            undone: BTreeMap::new(),
            sources: HashMap::new(),
            ready: BTreeSet::new(),
            pausing: BTreeSet::new(),
            failed: record.failed.iter().copied().collect(),
            next: record.done + 1,
            version: 0,
        }
    }

    /// What is to be saved. Its `ahead` is what lies between that which is loaded and not done.
    pub(super) fn record(&self, group: bool, retry: &Retry) -> CursorRecord {
        let (mut ahead, mut place) = (Vec::new(), self.done + 1);
        for &undone in self.undone.keys().chain([&self.next]) {
            if undone > place {
                ahead.push((place, undone - 1));
            }
            place = undone + 1;
        }
        ahead.extend(self.skip.ranges());
        CursorRecord {
            done: self.done,
            ahead,
            failed: self.failed.iter().map(|(place, times)| (*place, *times)).collect(),
            ..blank(group, retry)
        }
    }

    /// The number of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The last place up to which all is done.
    pub(super) fn done_up_to(&self) -> Position {
        Position(self.done)
    }

    /// The place that is loaded next.
    pub(super) fn next(&self) -> Position {
        Position(self.next)
    }

    /// How many events are loaded and not done.
    pub(super) fn loaded(&self) -> usize {
        self.undone.len()
    }

    /// Takes events in that begin at [`next`](Self::next) or before: those of its `slot`. Places before `first` are no
    /// longer there: what of them was not done is lost.
    pub(super) fn load(&mut self, first: Position, events: &[(Option<u8>, Kept)], slot: u8) -> Option<Gap> {
        let mut lost = None;
        if first.0 > self.next {
            lost = Some(Gap { from: Position(self.next), to: Position(first.0 - 1) });
            self.next = first.0;
            self.version += 1;
        }
        for (of, kept) in events {
            let place = kept.position.0;
            if place < self.next {
                continue;
            }
            self.next = place + 1;
            if *of != Some(slot) || self.skip.contains(place) {
                continue;
            }
            let source = self.sources.entry(Arc::clone(&kept.event.source)).or_default();
            source.push_back(place);
            if source.len() == 1 {
                self.ready.insert(place);
            }
            self.undone.insert(place, Undone { kept: kept.clone(), taken_by: None });
        }
        self.skip.forget_before(self.next);
        self.advance();
        lost
    }

    /// Gives `member` what may be worked on.
    pub(super) fn take(&mut self, member: u64, now: UnixMillis) -> Take {
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
        let undone = self.undone.get_mut(&place).expect("what is ready is loaded");
        undone.taken_by = Some(member);
        let event = Arc::clone(&undone.kept.event);
        Take::Delivery(Delivery::Event { position: Position(place), attempt, event })
    }

    /// How often an event has failed.
    pub(super) fn failures(&self, position: Position) -> u32 {
        self.failed.get(&position.0).copied().unwrap_or(0)
    }

    /// The event that `member` works on there.
    pub(super) fn taken(&self, position: Position, member: u64) -> Option<&Kept> {
        self.undone
            .get(&position.0)
            .filter(|undone| undone.taken_by == Some(member))
            .map(|undone| &undone.kept)
    }

    /// All that is worked on: by whom, and where.
    pub(super) fn all_taken(&self) -> impl Iterator<Item = (u64, u64)> {
        self.undone.iter().filter_map(|(place, undone)| Some((undone.taken_by?, *place)))
    }

    /// The event that `member` works on is done. Whether it works on one there.
    pub(super) fn settle(&mut self, position: Position, member: u64) -> bool {
        if self.taken(position, member).is_none() {
            return false;
        }
        let undone = self.undone.remove(&position.0).expect("it was taken");
        let source = &undone.kept.event.source;
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
        self.advance();
        self.version += 1;
        true
    }

    /// The event that `member` works on failed, and pauses.
    pub(super) fn pause(&mut self, position: Position, member: u64, until: UnixMillis) {
        let undone = self.undone.get_mut(&position.0).filter(|undone| undone.taken_by == Some(member));
        if let Some(undone) = undone {
            undone.taken_by = None;
            *self.failed.entry(position.0).or_default() += 1;
            self.pausing.insert((until, position.0));
            self.version += 1;
        }
    }

    /// A member has gone: what it has not settled may be worked on again.
    pub(super) fn leave(&mut self, member: u64) {
        for (place, undone) in &mut self.undone {
            if undone.taken_by == Some(member) {
                undone.taken_by = None;
                self.ready.insert(*place);
            }
        }
    }

    /// What is behind `to` is no longer there; whatever comes there is something else. What of that had come.
    pub(super) fn go_back(&mut self, to: u64) -> Option<Gap> {
        if self.next <= to + 1 {
            return None;
        }
        let gap = Gap { from: Position(to + 1), to: Position(self.next - 1) };
        self.undone.retain(|place, _| *place <= to);
        self.ready.retain(|place| *place <= to);
        self.pausing.retain(|(_, place)| *place <= to);
        self.failed.retain(|place, _| *place <= to);
        self.sources.retain(|_, places| {
            places.retain(|place| *place <= to);
            !places.is_empty()
        });
        self.skip = Places::default();
        (self.next, self.done) = (to + 1, self.done.min(to));
        self.version += 1;
        Some(gap)
    }

    fn advance(&mut self) {
        let undone = self.undone.first_key_value().map_or(self.next, |(place, _)| *place);
        self.done = self.done.max(undone - 1);
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
