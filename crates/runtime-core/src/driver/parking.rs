//! Parked runs: when each is looked at next, and whether one that waits for room under a limit would find some.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{Entry, EntryKind, RunView, Usage, WaitOn};
use runtime_traits::resource::{Admission, Call, CallId, OnLimit, Refused};

use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::claim::{Next, after_park, is_for_a_person, pause_of};
use crate::engine::machine::admit::{Asking, Awaits};

/// How often it is looked whether a parked run would find room by now.
pub(super) const LOOK_FOR_ROOM: Duration = Duration::from_secs(600);
/// How long a run stays parked at most that found no room again and again.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is known of a parked run beside its log.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// When it is looked at next, in milliseconds. A timer that goes off before that was set when it was parked earlier.
    next: AtomicU64,
    /// Somebody wanted it to be looked at while it was in somebody's hands.
    wanted: AtomicBool,
    /// The calls for which its last attempt found no room. None are known after a restart, nor where something comes before them.
    asks: Mutex<Vec<Call>>,
}

/// What became of looking for room.
pub(super) enum Look {
    /// There may be some: its next attempt asks.
    Room,
    /// There is none. When there may be, as far as is known.
    None(Option<UnixMillis>),
}

impl Parking {
    /// Whether a timer that goes off now is the one that was set last.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.next.load(Ordering::SeqCst) <= now.0
    }

    /// It was taken to be looked at: whoever wanted that before is served.
    pub(super) fn is_looked_at(&self) {
        self.wanted.store(false, Ordering::SeqCst);
    }

    /// Its attempt begins: it asks by the limits that there are now.
    pub(super) fn is_over(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        self.next.store(0, Ordering::SeqCst);
        lock(&self.asks).clear();
    }
}

impl Inner {
    /// Parks a run. It is looked at again at `next`, and whenever somebody wants that.
    pub(super) fn park(&self, slot: &RunSlot, reason: String, next: Option<UnixMillis>) {
        let parking = &slot.parking;
        // Whoever wants it to be looked at finds it parked, or says so.
        parking.next.store(next.map_or(0, |next| next.0), Ordering::SeqCst);
        slot.set_stage(Stage::Parked(reason));
        if parking.wanted.swap(false, Ordering::SeqCst) {
            self.look_now(slot);
        } else if let Some(next) = next {
            self.timers.add(next, slot.place.run);
        }
    }

    /// Parks a run as before that was taken and could not be moved.
    pub(super) fn park_again(&self, slot: &RunSlot, reason: String) {
        slot.park_again(reason);
        if slot.parking.wanted.swap(false, Ordering::SeqCst) {
            self.look_now(slot);
        }
    }

    /// Lets a run be looked at now, as soon as nobody has it in hand.
    pub(super) fn look_now(&self, slot: &RunSlot) {
        slot.parking.wanted.store(true, Ordering::SeqCst);
        if slot.stage().is_still() {
            slot.parking.next.store(0, Ordering::SeqCst);
            self.timers.add(self.clock.now(), slot.place.run);
        }
    }

    /// Keeps for which calls a run finds no room that is about to be parked.
    pub(super) fn keep_asks(&self, slot: &RunSlot, asks: Vec<Asking>, counted: RunId, priority: u8) {
        let place = &slot.place;
        let call = |asking: Asking| {
            let Asking { id, model, most, .. } = asking;
            let (tenant, agent, on_limit) = (place.tenant.clone(), place.agent, OnLimit::Wait);
            // Nobody else's: what is asked for by looking is given back.
            let id = CallId(!id.0);
            Call { id, tenant, agent, run: counted, model, most, on_limit, priority }
        };
        *lock(&slot.parking.asks) = asks.into_iter().map(call).collect();
    }

    /// When a run is to be looked at that is parked now.
    pub(super) fn looks_at(&self, slot: &RunSlot, view: &RunView, log: &[Entry]) -> Option<UnixMillis> {
        let now = self.clock.now();
        let next = match after_park(view, log) {
            Next::Wait { until } if waits_for_room(view) => {
                // There may be room before: another limit, or a tenant's that was raised.
                let pause = pause(in_vain(log));
                let is_all = view.waits.iter().all(|wait| matches!(wait.on, WaitOn::Budget(_)));
                // Others find room at the same moment, and it may come too late once more.
                let until = until.filter(|_| !is_all || pause == LOOK_FOR_ROOM);
                until.into_iter().chain([now.after(pause)]).min()
            }
            Next::Wait { until } => until,
            Next::Start => Some(now),
            Next::Queue | Next::Over => None,
        };
        next.into_iter().chain(self.deadline_of(&slot.place, log)).min()
    }

    /// Whether a parked run would find room, or has something else to do. Nothing of that is written: who looks often for long does not
    /// fill its log.
    pub(super) async fn look_for_room(&self, slot: &RunSlot, view: &RunView) -> Look {
        let now = self.clock.now();
        let others = || view.waits.iter().filter(|wait| !matches!(wait.on, WaitOn::Budget(_)));
        let asks = lock(&slot.parking.asks).clone();
        if asks.is_empty() || others().any(|wait| wait.wake_at.is_some_and(|at| at <= now)) {
            return Look::Room;
        }
        let (Some(governing), Ok(limits)) = (&self.governing, self.see_to_book(&slot.place).await) else {
            return Look::Room;
        };
        let governor = governing.governor();
        let mut next = others().filter_map(|wait| wait.wake_at).min();
        for call in asks {
            let id = call.id;
            // Who does not wait any more is refused, by its next attempt.
            match governor.admit(Call { on_limit: limits.on_limit, ..call }, now) {
                Admission::Held { .. } => {
                    governor.settle(id, Usage::default(), now);
                    return Look::Room;
                }
                Admission::Refused(Refused::Crowded { .. }) => {}
                Admission::Refused(_) => return Look::Room,
                Admission::Waits(turn) => {
                    let waits = Awaits::of(turn.as_ref());
                    if !waits.is_long(now) {
                        return Look::Room;
                    }
                    next = next.into_iter().chain(waits.until).min();
                }
            }
        }
        Look::None(next)
    }

    /// Parks a run again that would not find room.
    pub(super) fn park_without_room(
        &self,
        slot: &RunSlot,
        taken: Stage,
        log: &[Entry],
        next: Option<UnixMillis>,
    ) {
        let Stage::Parked(reason) = taken else { return };
        let look = self.clock.now().after(LOOK_FOR_ROOM);
        let next = next.into_iter().chain([look]).chain(self.deadline_of(&slot.place, log)).min();
        self.park(slot, reason, next);
    }
}

/// Whether a run waits for room under a limit, and not for a person before that: no room lets it go on then.
pub(super) fn waits_for_room(view: &RunView) -> bool {
    view.waits.iter().any(|wait| matches!(wait.on, WaitOn::Budget(_)))
        && !view.waits.iter().any(|wait| is_for_a_person(&wait.on))
        && pause_of(view).is_none()
}

/// How many attempts in a row, the last ones, came to nothing but a wait: each leaves entries.
fn in_vain(log: &[Entry]) -> u32 {
    let is_of_a_step = |entry: &&Entry| match &entry.kind {
        EntryKind::StepOpened(opened) => opened.dispatched,
        EntryKind::StepDispatched(_) | EntryKind::StepSettled(_) => true,
        _ => false,
    };
    let worked = log.iter().rev().find(is_of_a_step).map_or(0, |entry| entry.attempt);
    log.last().map_or(0, |last| last.attempt.saturating_sub(worked))
}

/// When a run looks for room whose last attempts were in vain.
fn pause(in_vain: u32) -> Duration {
    let doubled = 1_u32.checked_shl(in_vain.saturating_sub(1)).unwrap_or(u32::MAX);
    LOOK_FOR_ROOM.saturating_mul(doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use runtime_traits::log::{AttemptEnded, AttemptEnding, StepDispatched, StepKey};
    use runtime_traits::store::Seq;

    use super::*;

    fn entry(attempt: u32, kind: EntryKind) -> Entry {
        Entry { seq: Seq(1), at: UnixMillis(1), attempt, epoch: 1, kind }
    }

    fn parks(attempt: u32) -> Entry {
        entry(attempt, EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Parked, counted: false }))
    }

    fn sends(attempt: u32) -> Entry {
        let key = StepKey { scope: Vec::new(), name: "ask".parse().expect("a name"), nth: 1 };
        entry(attempt, EntryKind::StepDispatched(StepDispatched::of(key, 1)))
    }

    #[test]
    fn who_finds_no_room_again_and_again_looks_less_often() {
        let minutes = |log: &[Entry]| pause(in_vain(log)).as_secs() / 60;

        assert_eq!(minutes(&[parks(1)]), 10);
        assert_eq!(minutes(&[sends(1), parks(1)]), 10);
        let log: Vec<_> = [sends(1), parks(1), parks(2), parks(3), parks(4), parks(5), parks(6)].into();
        assert_eq!([2, 3, 4, 5, 6, 7].map(|upto| minutes(&log[..upto])), [10, 10, 20, 40, 60, 60]);
        let went_on = [parks(1), parks(2), parks(3), sends(4), parks(4)];
        assert_eq!(minutes(&went_on), 10, "it found room in between");
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
