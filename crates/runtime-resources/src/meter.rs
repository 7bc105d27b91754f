//! What was used of one limit.

use std::time::Duration;

use runtime_traits::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::window::{Slot, Window};

/// Over what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Span {
    /// Any span of this length.
    Any(Duration),
    /// A calendar month in UTC.
    Month,
    /// Everything there was.
    Ever,
}

/// Counts what was used over a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Meter {
    Any(Window),
    /// The month, counted from year 0, when the next one begins, and what was used in it.
    Month {
        month: u64,
        next: UnixMillis,
        used: u64,
    },
    Ever {
        used: u64,
    },
}

impl Meter {
    pub(crate) fn of(span: Span) -> Self {
        match span {
            Span::Any(length) => Self::Any(Window::new(length)),
            Span::Month => Self::Month { month: 0, next: UnixMillis(0), used: 0 },
            Span::Ever => Self::Ever { used: 0 },
        }
    }

    pub(crate) fn used(&mut self, now: UnixMillis) -> u64 {
        match self {
            Self::Any(window) => window.used(now),
            Self::Month { month, next, used } => {
                // A clock that is set back opens no month again.
                if now >= *next {
                    *month = month_of(now);
                    (*next, *used) = (beginning_of(*month + 1), 0);
                }
                *used
            }
            Self::Ever { used } => *used,
        }
    }

    pub(crate) fn charge(&mut self, now: UnixMillis, amount: u64) -> Slot {
        self.used(now);
        match self {
            Self::Any(window) => window.charge(now, amount),
            Self::Month { month, used, .. } => {
                *used = used.saturating_add(amount);
                Slot(*month)
            }
            Self::Ever { used } => {
                *used = used.saturating_add(amount);
                Slot(0)
            }
        }
    }

    /// What was charged in a slot turns out to be another amount.
    pub(crate) fn correct(&mut self, slot: Slot, from: u64, to: u64) {
        match self {
            Self::Any(window) => window.correct(slot, from, to),
            // What was charged in a month that is over is nothing to this one.
            Self::Month { month, .. } if *month != slot.0 => {}
            Self::Month { used, .. } | Self::Ever { used } => {
                *used = used.saturating_sub(from).saturating_add(to);
            }
        }
    }

    /// About when there is room for so much that is used in pieces, as a limit lets it; `None`: never.
    pub(crate) fn expected(&mut self, now: UnixMillis, amount: u64, max: u64) -> Option<UnixMillis> {
        let (spans, rest) =
            (amount.saturating_sub(1) / max.max(1), amount.saturating_sub(1) % max.max(1) + 1);
        let room = self.falls_to(now, max.saturating_sub(rest))?;
        match self {
            Self::Any(window) => {
                Some(room.after(window.span().saturating_mul(u32::try_from(spans).unwrap_or(u32::MAX))))
            }
            Self::Month { month, .. } if spans > 0 => Some(beginning_of(month.saturating_add(spans))),
            Self::Month { .. } => Some(room),
            Self::Ever { .. } => (spans == 0).then_some(room),
        }
    }

    /// When at most `most` will be counted if nothing is charged until then; `None`: never.
    pub(crate) fn falls_to(&mut self, now: UnixMillis, most: u64) -> Option<UnixMillis> {
        if self.used(now) <= most {
            return Some(now);
        }
        match self {
            Self::Any(window) => Some(window.falls_to(now, most)),
            Self::Month { next, .. } => Some(*next),
            Self::Ever { .. } => None,
        }
    }
}

/// Days from the first of March of year 0 until 1970.
const BEFORE_1970: u64 = 719_468;
const DAY: u64 = 86_400_000;

/// The month in which a moment is, in UTC, counted from January of year 0 (`12 * year + month`, months from 0).
fn month_of(at: UnixMillis) -> u64 {
    let date = at.date();
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u64>().unwrap_or(0));
    let (year, month) = (parts.next().unwrap_or(0), parts.next().unwrap_or(1));
    year * 12 + month - 1
}

/// The first moment of a month that [`month_of`] counts.
fn beginning_of(month: u64) -> UnixMillis {
    // Years that begin in March end with the leap day.
    let (year, month) = (month / 12, month % 12);
    let (year, month) = if month >= 2 { (year, month - 2) } else { (year - 1, month + 10) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    UnixMillis(days.saturating_sub(BEFORE_1970) * DAY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{DAY, Meter, Span, UnixMillis, beginning_of, month_of};

    proptest! {
        #[test]
        fn each_moment_is_between_the_beginnings_of_its_month_and_the_next(at in 0..253_370_764_800_000_u64) {
            let month = month_of(UnixMillis(at));
            assert!(beginning_of(month).0 <= at && at < beginning_of(month + 1).0);
            assert!(beginning_of(month).date().ends_with("-01"));
        }
    }

    #[test]
    fn a_month_begins_with_nothing_used_and_a_clock_set_back_opens_none_again() {
        let (january, february) = (UnixMillis(30 * DAY), UnixMillis(31 * DAY));
        let mut meter = Meter::of(Span::Month);
        let slot = meter.charge(january, 70);

        assert_eq!(meter.used(january), 70);
        assert_eq!(meter.falls_to(january, 69), Some(february));
        assert_eq!(meter.used(february), 0);
        assert_eq!(meter.used(january), 0);
        meter.charge(february, 5);
        meter.correct(slot, 70, 1_000);
        assert_eq!(meter.used(february), 5);
    }

    #[test]
    fn what_was_used_ever_never_falls() {
        let mut meter = Meter::of(Span::Ever);
        let slot = meter.charge(UnixMillis(0), 70);
        meter.correct(slot, 70, 20);

        assert_eq!(meter.used(UnixMillis(u64::MAX / 2)), 20);
        assert_eq!(meter.falls_to(UnixMillis(u64::MAX / 2), 19), None);
    }
}
