//! What is to be done with a schedule now.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::schedule::Missed;

use super::times::Times;

/// How late a fire may be where what was missed is left out.
pub const LATE: Duration = Duration::from_secs(60);

/// Ticks that get no run of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: UnixMillis,
    /// The last one.
    pub upto: UnixMillis,
}

impl Gap {
    /// How many these are, as far as they are counted. That takes its time: it is asked once they are left out.
    pub fn count(&self, times: &Times) -> u64 {
        times.count(UnixMillis(self.from.0.saturating_sub(1)), self.upto)
    }
}

/// What is to be done with a schedule now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing, before this tick; `None`: there is none any more.
    Wait(Option<UnixMillis>),
    /// It begins a run.
    Fire {
        /// The tick for which it does. It and all before it are then seen to.
        tick: UnixMillis,
        /// What is left out before it.
        gap: Option<Gap>,
        /// The tick after it.
        next: Option<UnixMillis>,
    },
    /// It begins none; these ticks are then seen to.
    LeaveOut {
        /// The ticks.
        gap: Gap,
        /// The tick after them.
        next: Option<UnixMillis>,
    },
}

/// What is to be done with a schedule whose ticks up to `upto` are seen to.
pub fn turn(times: &Times, rule: Missed, upto: UnixMillis, now: UnixMillis) -> Turn {
    let first = match times.after(upto) {
        Some(first) if first <= now => first,
        next => return Turn::Wait(next),
    };
    let gap = |last: UnixMillis| Gap { from: first, upto: last };
    let last = match rule {
        Missed::All => first,
        Missed::Once | Missed::Skip => times.latest(upto, now).unwrap_or(first),
    };
    let next = times.after(last);
    if rule == Missed::Skip && now.since(last) > LATE {
        return Turn::LeaveOut { gap: gap(last), next };
    }
    // The last one before it.
    let before = times.latest(upto, UnixMillis(last.0 - 1)).filter(|_| first < last);
    Turn::Fire { tick: last, gap: before.map(gap), next }
}

/// When the tick that is due is left out, if its run has not begun by then; `None`: it never is.
pub fn late_at(times: &Times, rule: Missed, upto: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    let last = times.latest(upto, now).filter(|_| rule == Missed::Skip)?;
    Some(last.after(LATE + Duration::from_millis(1)))
}
