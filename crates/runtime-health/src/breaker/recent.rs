//! The calls of late.

use std::time::Duration;

use runtime_traits::UnixMillis;

use super::CallOutcome;

const SLOTS: usize = 10;

/// Counts calls over a window that moves in tenths of itself.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    slot_ms: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which tenth since 1970 it counts.
    number: u64,
    failed: u64,
    all: u64,
}

impl Recent {
    pub(super) fn new(window: Duration) -> Self {
        let tenth = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).div_ceil(SLOTS as u64);
        Self { slot_ms: tenth.max(1), slots: [Slot::default(); SLOTS] }
    }

    pub(super) fn count(&mut self, outcome: CallOutcome, now: UnixMillis) {
        if outcome == CallOutcome::Neutral {
            return;
        }
        let number = now.0 / self.slot_ms;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.failed += u64::from(outcome == CallOutcome::Failed);
        slot.all += 1;
    }

    /// How many calls failed, of how many.
    pub(super) fn counts(&self, now: UnixMillis) -> (u64, u64) {
        let number = now.0 / self.slot_ms;
        let is_recent = |slot: &&Slot| slot.number <= number && number - slot.number < SLOTS as u64;
        let add = |sum: (u64, u64), slot: &Slot| (sum.0 + slot.failed, sum.1 + slot.all);
        self.slots.iter().filter(is_recent).fold((0, 0), add)
    }
}
