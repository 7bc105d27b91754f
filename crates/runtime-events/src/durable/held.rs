//! What a process has of a durable subscription: all sources, or some slots of them. Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use runtime_codec::CursorRecord;
use runtime_traits::bus::{Delivery, Gap, Kept, Position, Retry};
use runtime_traits::clock::UnixMillis;

use super::places::Places;
use super::window::{Take, Window};

/// How many events are loaded at most and not done.
const LOADED: usize = 1_024;
/// The slot of all sources where they are not dealt into several.
pub(super) const ALL: u8 = 0;

/// What a process has of a durable subscription.
#[derive(Debug, Default)]
pub(super) struct Held {
    slots: BTreeMap<u8, Slot>,
    gaps: VecDeque<Gap>,
    /// What members have in their hands and somebody else has taken: by whom, and where.
    astray: HashSet<(u64, u64)>,
    /// What members have in their hands and is no longer there: by whom, and where.
    vanished: HashSet<(u64, u64)>,
    /// The slot that is looked at first.
    turn: u8,
    /// Whether all that there was is loaded.
    caught_up: bool,
}

/// A slot while a process has it.
#[derive(Debug)]
struct Slot {
    window: Window,
    hold: Arc<Hold>,
    /// What is settled and not saved: the change, by whom, and where.
    unsaved: VecDeque<(u64, u64, u64)>,
    /// Nothing of it is given out any more.
    leaving: bool,
}

/// What became of a slot's changes, to whom waits for it.
#[derive(Debug, Default)]
pub(super) struct Hold {
    saved: AtomicU64,
    lost: AtomicBool,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Saved,
    /// Somebody else has what it is about.
    Lost,
}

/// A change that is to be saved.
#[derive(Clone, Debug)]
pub(super) struct Change {
    hold: Arc<Hold>,
    version: u64,
}

/// What comes of settling.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is settled once all these are saved.
    When(Vec<Change>),
    /// Somebody else has it now.
    Lost,
}

/// A slot as it is to be saved.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) slot: u8,
    pub(super) record: CursorRecord,
    pub(super) version: u64,
    /// Whether it has changes that are not saved.
    pub(super) changed: bool,
    /// Whether it may be given back now.
    pub(super) may_go: bool,
}

impl Change {
    pub(super) fn fate(&self) -> Fate {
        if self.hold.saved.load(Ordering::Acquire) >= self.version {
            Fate::Saved
        } else if self.hold.lost.load(Ordering::Acquire) {
            Fate::Lost
        } else {
            Fate::Open
        }
    }
}

impl Slot {
    fn has_changed(&self) -> bool {
        self.window.version() > self.hold.saved.load(Ordering::Acquire)
    }

    fn is_in_hand(&self) -> bool {
        self.window.all_taken().next().is_some()
    }

    /// Whether it is to be given back, all of it is saved, and nobody has anything of it in the hand.
    fn may_go(&self) -> bool {
        self.leaving && !self.has_changed() && !self.is_in_hand()
    }
}

impl Held {
    /// Has a slot from now on, which goes on where the record says.
    pub(super) fn begin(&mut self, slot: u8, record: &CursorRecord) {
        let (window, hold) = (Window::of(record), Arc::default());
        self.slots.insert(slot, Slot { window, hold, unsaved: VecDeque::new(), leaving: false });
        self.caught_up = false;
    }

    pub(super) fn has(&self, slot: u8) -> bool {
        self.slots.contains_key(&slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The last place up to which all is done of what is here.
    pub(super) fn done_up_to(&self) -> Option<Position> {
        self.slots.values().map(|slot| slot.window.done_up_to()).min()
    }

    /// Which events are to be loaded: from where, and how many. `None`: none.
    pub(super) fn wanted(&self) -> Option<(Position, usize)> {
        let from = self.slots.values().filter(|slot| !slot.leaving).map(|slot| slot.window.next()).min()?;
        let loaded: usize = self.slots.values().map(|slot| slot.window.loaded()).sum();
        Some((from, LOADED.saturating_sub(loaded)))
    }

    /// Takes in what was read from `from` on, each event with its slot; `None`: it is nobody's here.
    pub(super) fn load(&mut self, from: Position, first: Position, events: &[(Option<u8>, Kept)]) {
        self.caught_up = false;
        let mut lost = Places::default();
        for (number, slot) in &mut self.slots {
            // One that came meanwhile and is farther back is loaded next.
            if slot.leaving || slot.window.next() < from {
                continue;
            }
            if let Some(gap) = slot.window.load(first, events, *number) {
                lost.insert(gap.from.0, gap.to.0);
            }
        }
        self.tell(&lost);
    }

    /// What is behind `to` is no longer there; whatever comes there is something else. Whether anything of it had come.
    pub(super) fn go_back(&mut self, to: u64) -> bool {
        let mut lost = Places::default();
        for slot in self.slots.values_mut() {
            self.vanished.extend(slot.window.all_taken().filter(|(_, place)| *place > to));
            if let Some(gap) = slot.window.go_back(to) {
                lost.insert(gap.from.0, gap.to.0);
            }
        }
        self.tell(&lost)
    }

    /// Tells once what several slots have lost. Whether that is anything.
    fn tell(&mut self, lost: &Places) -> bool {
        let ranges = lost.ranges();
        let any = !ranges.is_empty();
        self.gaps.extend(ranges.into_iter().map(|(from, to)| Gap { from: Position(from), to: Position(to) }));
        any
    }

    /// There was nothing from `from` on.
    pub(super) fn nothing_from(&mut self, from: Position) {
        self.caught_up = self.slots.values().all(|slot| slot.leaving || slot.window.next() >= from);
    }

    /// Whether all that there was is done.
    pub(super) fn is_idle(&self) -> bool {
        self.caught_up && self.gaps.is_empty() && self.slots.values().all(|slot| slot.window.loaded() == 0)
    }

    /// Gives `member` what may be worked on. Slots take turns.
    pub(super) fn take(&mut self, member: u64, now: UnixMillis) -> Take {
        if let Some(gap) = self.gaps.pop_front() {
            return Take::Delivery(Delivery::Gap(gap));
        }
        let mut earliest = None;
        for part in [self.turn..=u8::MAX, 0..=self.turn] {
            for (number, slot) in self.slots.range_mut(part).filter(|(_, slot)| !slot.leaving) {
                match slot.window.take(member, now) {
                    Take::Nothing(until) => earliest = earliest.into_iter().chain(until).min(),
                    delivery @ Take::Delivery(_) => {
                        self.turn = number.wrapping_add(1);
                        return delivery;
                    }
                }
            }
        }
        Take::Nothing(earliest)
    }

    /// The event that `member` works on there, and how often it has failed.
    pub(super) fn taken(&self, position: Position, member: u64) -> Option<(&Kept, u32)> {
        if self.vanished.contains(&(member, position.0)) {
            return None;
        }
        self.slots.values().find_map(|slot| {
            let kept = slot.window.taken(position, member)?;
            Some((kept, slot.window.failures(position)))
        })
    }

    /// Whether `member` has anything in the hand.
    pub(super) fn has_taken(&self, member: u64) -> bool {
        self.slots.values().any(|slot| slot.window.all_taken().any(|(by, _)| by == member))
    }

    /// The event that `member` works on is done. If it works on none there, it may have been done before.
    pub(super) fn settle(&mut self, position: Position, member: u64) -> Settled {
        if self.vanished.remove(&(member, position.0)) {
            return Settled::When(Vec::new());
        }
        for slot in self.slots.values_mut() {
            if slot.window.settle(position, member) {
                let version = slot.window.version();
                slot.unsaved.push_back((version, member, position.0));
                return Settled::When(vec![Change { hold: Arc::clone(&slot.hold), version }]);
            }
        }
        if self.astray.remove(&(member, position.0)) {
            return Settled::Lost;
        }
        Settled::When(self.changes())
    }

    /// The event that `member` works on failed, and pauses.
    pub(super) fn pause(&mut self, position: Position, member: u64, until: UnixMillis) {
        self.astray.remove(&(member, position.0));
        if self.vanished.remove(&(member, position.0)) {
            return;
        }
        self.slots.values_mut().for_each(|slot| slot.window.pause(position, member, until));
    }

    /// A member has gone: what it has not settled may be worked on again.
    pub(super) fn leave(&mut self, member: u64) {
        self.slots.values_mut().for_each(|slot| slot.window.leave(member));
        self.astray.retain(|(by, _)| *by != member);
        self.vanished.retain(|(by, _)| *by != member);
    }

    /// All that is not saved.
    fn changes(&self) -> Vec<Change> {
        let change = |slot: &Slot| Change { hold: Arc::clone(&slot.hold), version: slot.window.version() };
        self.slots.values().map(change).collect()
    }

    /// All slots as they are now.
    pub(super) fn snapshots(&self, group: bool, retry: &Retry) -> Vec<Snapshot> {
        let snapshot = |(number, slot): (&u8, &Slot)| Snapshot {
            slot: *number,
            record: slot.window.record(group, retry),
            version: slot.window.version(),
            changed: slot.has_changed(),
            may_go: slot.may_go(),
        };
        self.slots.iter().map(snapshot).collect()
    }

    /// Whether something is to be saved or to be given back.
    pub(super) fn is_due(&self) -> bool {
        self.slots.values().any(|slot| slot.has_changed() || slot.may_go())
    }

    /// What of a slot was saved.
    pub(super) fn saved(&mut self, slot: u8, version: u64) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.hold.saved.store(version, Ordering::Release);
            while slot.unsaved.front().is_some_and(|(of, ..)| *of <= version) {
                slot.unsaved.pop_front();
            }
        }
    }

    /// A slot was given back.
    pub(super) fn gone(&mut self, slot: u8) {
        self.slots.remove(&slot);
    }

    /// Somebody else has a slot now.
    pub(super) fn lose(&mut self, slot: u8) {
        let Some(slot) = self.slots.remove(&slot) else { return };
        slot.hold.lost.store(true, Ordering::Release);
        self.astray.extend(slot.window.all_taken());
        self.astray.extend(slot.unsaved.into_iter().map(|(_, member, place)| (member, place)));
    }

    /// Gives out nothing more of as many slots as are beyond `part`, those first that nobody works on. Which they are may
    /// be decided otherwise the next time: nobody elsewhere waits for a slot that is in a hand while others are not.
    /// Whether one is given out again.
    pub(super) fn keep_only(&mut self, part: usize) -> bool {
        let mut again = false;
        let excess = self.slots.len().saturating_sub(part);
        let mut busy: Vec<(bool, bool, u8)> =
            self.slots.iter().map(|(number, slot)| (slot.is_in_hand(), !slot.leaving, *number)).collect();
        busy.sort_unstable();
        for (nth, (.., number)) in busy.into_iter().enumerate() {
            if let Some(slot) = self.slots.get_mut(&number) {
                again |= slot.leaving && nth >= excess;
                slot.leaving = nth < excess;
            }
        }
        if again {
            self.caught_up = false;
        }
        again
    }

    /// Gives out nothing more.
    pub(super) fn keep_none(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.leaving = true);
    }
}

#[cfg(test)]
mod tests {
    use runtime_traits::bus::Event;

    use super::*;
    use crate::durable::window::blank;

    fn kept(place: u64, source: &str) -> Kept {
        let event = Event::new("a", &place).expect("a number is JSON").from(source);
        Kept { position: Position(place), at: UnixMillis(0), event: Arc::new(event) }
    }

    /// Slots 0 and 1, which have done so much.
    fn two(done: [u64; 2]) -> Held {
        let mut held = Held::default();
        for (slot, done) in (0..).zip(done) {
            held.begin(slot, &CursorRecord { done, ..blank(true, &Retry::default()) });
        }
        held
    }

    fn snapshot(held: &Held, slot: usize) -> Snapshot {
        held.snapshots(true, &Retry::default()).remove(slot)
    }

    #[test]
    fn a_slot_is_given_back_when_nothing_of_it_is_in_a_hand_and_all_is_saved() {
        let mut held = two([0, 0]);
        held.load(
            Position(1),
            Position(1),
            &[(Some(0), kept(1, "a")), (Some(1), kept(2, "b")), (Some(0), kept(3, "a"))],
        );
        for _ in 0..2 {
            assert!(matches!(held.take(7, UnixMillis(0)), Take::Delivery(_)));
        }
        held.keep_only(1);
        assert!(!snapshot(&held, 0).may_go, "it is in the hand");
        assert!(matches!(held.settle(Position(1), 7), Settled::When(_)));
        assert!(!snapshot(&held, 0).may_go, "it is not saved");
        let version = snapshot(&held, 0).version;
        held.saved(0, version);
        assert!(snapshot(&held, 0).may_go);
        assert_eq!(held.take(7, UnixMillis(0)), Take::Nothing(None), "nothing more of it is given out");
        let record = snapshot(&held, 0).record;
        assert_eq!((record.done, record.ahead), (2, vec![]), "what is another slot's counts as done");
        held.gone(0);
        assert!(!held.has(0) && held.has(1));
    }

    #[test]
    fn a_slot_that_is_free_is_given_back_before_one_that_is_in_a_hand_whenever_that_is_seen() {
        let mut held = two([0, 0]);
        held.load(Position(1), Position(1), &[(Some(0), kept(1, "a")), (Some(1), kept(2, "b"))]);
        for _ in 0..2 {
            assert!(matches!(held.take(7, UnixMillis(0)), Take::Delivery(_)));
        }
        assert!(!held.keep_only(1));
        assert!(matches!(held.settle(Position(2), 7), Settled::When(_)));
        let version = snapshot(&held, 1).version;
        held.saved(1, version);
        assert!(
            !snapshot(&held, 0).may_go && !snapshot(&held, 1).may_go,
            "the one that was chosen is in the hand"
        );
        assert!(held.keep_only(1), "the one in the hand stays");
        assert!(snapshot(&held, 1).may_go);
        assert!(!held.keep_only(1));
    }

    #[test]
    fn what_is_no_longer_there_is_told_and_its_places_are_loaded_again() {
        let mut held = two([0, 4]);
        held.load(
            Position(1),
            Position(1),
            &[(Some(0), kept(1, "a")), (Some(0), kept(4, "c")), (Some(1), kept(5, "b"))],
        );
        for _ in 0..3 {
            assert!(matches!(held.take(7, UnixMillis(0)), Take::Delivery(Delivery::Event { .. })));
        }
        assert!(held.go_back(2));
        assert!(!held.go_back(2), "once");
        let gap = Gap { from: Position(3), to: Position(5) };
        assert_eq!(held.take(7, UnixMillis(0)), Take::Delivery(Delivery::Gap(gap)));
        held.load(Position(3), Position(3), &[(Some(0), kept(3, "d")), (Some(1), kept(4, "b"))]);
        let Take::Delivery(_) = held.take(7, UnixMillis(0)) else { unreachable!("two are new") };
        let Take::Delivery(_) = held.take(7, UnixMillis(0)) else { unreachable!("two are new") };
        assert!(matches!(held.settle(Position(4), 7), Settled::When(changes) if changes.is_empty()));
        assert_eq!(snapshot(&held, 1).record.done, 3, "it was the one that is no longer there");
        assert!(matches!(held.settle(Position(4), 7), Settled::When(_)));
        assert_eq!(snapshot(&held, 1).record.done, 4);
    }

    #[test]
    fn what_was_not_saved_when_a_slot_was_lost_is_not_done() {
        let mut held = two([0, 0]);
        held.load(
            Position(1),
            Position(1),
            &[(Some(0), kept(1, "a")), (Some(0), kept(2, "b")), (Some(1), kept(3, "c"))],
        );
        for _ in 0..3 {
            held.take(7, UnixMillis(0));
        }
        let Settled::When(changes) = held.settle(Position(1), 7) else { unreachable!("it was there") };
        held.lose(0);
        assert_eq!(changes[0].fate(), Fate::Lost);
        for place in [1, 2] {
            assert!(matches!(held.settle(Position(place), 7), Settled::Lost), "{place}");
        }
        let Settled::When(changes) = held.settle(Position(3), 7) else { unreachable!("it is there") };
        let version = snapshot(&held, 0).version;
        held.saved(1, version);
        assert_eq!(changes[0].fate(), Fate::Saved);
    }

    #[test]
    fn what_several_slots_have_lost_is_told_once() {
        let mut held = two([0, 4]);
        held.load(Position(1), Position(11), &[(Some(0), kept(11, "a"))]);
        let gap = Gap { from: Position(1), to: Position(10) };
        assert_eq!(held.take(7, UnixMillis(0)), Take::Delivery(Delivery::Gap(gap)));
        assert!(matches!(held.take(7, UnixMillis(0)), Take::Delivery(Delivery::Event { .. })));
        assert_eq!(held.take(7, UnixMillis(0)), Take::Nothing(None));
    }
}
