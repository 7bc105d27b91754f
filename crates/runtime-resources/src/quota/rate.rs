//! One of the rates of a credential.

use std::time::Duration;

use runtime_traits::UnixMillis;

use super::pace::Pace;
use crate::window::{Slot, Window};

/// Over how long is counted what a minute holds. Calls reach the provider a little later or sooner one after the other than they were
/// sent: a second more covers that.
pub(super) const SPAN: Duration = Duration::from_secs(61);

/// How much of one thing is sent: counted over a minute, and paced within it.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    window: Window,
    pace: Pace,
}

/// What was charged, so that it can be corrected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charged {
    slot: Slot,
    amount: u64,
    /// What a minute held then.
    max: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { window: Window::new(SPAN), pace: Pace::default() }
    }
}

impl Rate {
    /// When there is room for so much. What is more than a minute holds goes alone.
    pub(super) fn ready(&mut self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let room = self.window.falls_to(now, limit.saturating_sub(amount));
        room.max(self.pace.ready(now, amount, limit))
    }

    /// About when there is room for so much that is more than a minute may hold.
    pub(super) fn expected(&mut self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let (minutes, rest) = (amount.saturating_sub(1) / limit, amount.saturating_sub(1) % limit + 1);
        let room =
            self.window.falls_to(now, limit - rest).after(SPAN * u32::try_from(minutes).unwrap_or(u32::MAX));
        room.max(self.pace.spent(now, amount, limit))
    }

    pub(super) fn charge(&mut self, now: UnixMillis, amount: u64, max: u64) -> Charged {
        self.pace.charge(now, amount, max);
        Charged { slot: self.window.charge(now, amount), amount, max }
    }

    /// It took so much instead.
    pub(super) fn correct(&mut self, charged: Charged, took: u64) {
        let Charged { slot, amount, max } = charged;
        self.window.correct(slot, amount, took);
        self.pace.refund(amount.saturating_sub(took), max);
    }

    /// Whether nothing is counted, and as much is saved up as can be.
    pub(super) fn is_at_rest(&mut self, now: UnixMillis) -> bool {
        self.window.used(now) == 0 && self.pace.is_clear(now)
    }

    /// Charges what was used before anybody counted here, and nothing is saved up.
    pub(super) fn recall(&mut self, at: UnixMillis, amount: u64, now: UnixMillis) {
        self.window.charge(at.min(now), amount);
        self.pace.save_nothing(now);
    }
}
