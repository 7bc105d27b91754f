//! At most so much in any span of time.

use std::collections::VecDeque;
use std::time::Duration;

use runtime_traits::UnixMillis;
use serde::{Deserialize, Serialize};

/// How many parts a span is counted in, at the least: what is charged stays charged for the span, and for at most two parts of it more.
const PARTS: u64 = 240;

/// Counts what was charged within the last span, so that never more than a limit falls into any span of that length.
///
/// What is charged at one moment is counted until the end of its part of the span has gone out of the span: a limit may be used to
/// 99.5 %, and is never exceeded, wherever the span is laid. (A bucket that is refilled lets nearly twice its size into a span.)
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use runtime_resources::Window;
/// use runtime_traits::UnixMillis;
///
/// let mut minute = Window::new(Duration::from_secs(60));
/// minute.charge(UnixMillis(1_000), 70);
/// assert_eq!(minute.used(UnixMillis(61_000)), 70);
/// assert_eq!(minute.used(UnixMillis(61_250)), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Milliseconds of a part.
    part: u64,
    /// How many parts the span has, the last one of which it may end in.
    parts: u64,
    /// What was charged in each part, the oldest first.
    charged: VecDeque<(u64, u64)>,
    used: u64,
    /// The latest part that was seen: clocks are set back, and what is charged then counts as late as that.
    latest: u64,
}

/// Where something was charged, so that it can be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub(crate) u64);

impl Window {
    /// A window of this span with nothing in it. Spans are counted in milliseconds, and last at least one.
    pub fn new(span: Duration) -> Self {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let part = (span / PARTS).max(1);
        Self { part, parts: span.div_ceil(part), charged: VecDeque::new(), used: 0, latest: 0 }
    }

    /// What is counted at this moment.
    pub fn used(&mut self, now: UnixMillis) -> u64 {
        let now = self.slot(now);
        self.forget(now);
        self.used
    }

    /// Charges. Whoever has a limit asks for [`used`](Self::used) first.
    pub fn charge(&mut self, now: UnixMillis, amount: u64) -> Slot {
        let slot = self.slot(now);
        self.forget(slot);
        match self.charged.back_mut() {
            Some((last, charged)) if *last == slot.0 => *charged = charged.saturating_add(amount),
            _ => self.charged.push_back((slot.0, amount)),
        }
        self.used = self.used.saturating_add(amount);
        slot
    }

    /// Makes what was charged in a slot another amount: what it is now known to be. What has gone out of the span is as it was.
    pub fn correct(&mut self, slot: Slot, from: u64, to: u64) {
        let place = self.charged.binary_search_by_key(&slot.0, |(part, _)| *part);
        let Some((_, charged)) = place.ok().and_then(|place| self.charged.get_mut(place)) else { return };
        let corrected = charged.saturating_sub(from).saturating_add(to);
        self.used = self.used.saturating_sub(*charged).saturating_add(corrected);
        *charged = corrected;
    }

    /// When at most `most` will be counted, if nothing is charged until then.
    pub fn falls_to(&mut self, now: UnixMillis, most: u64) -> UnixMillis {
        let mut left = self.used(now);
        if left <= most {
            return now;
        }
        for (part, charged) in &self.charged {
            left = left.saturating_sub(*charged);
            if left <= most {
                return UnixMillis((part + self.parts + 1).saturating_mul(self.part));
            }
        }
        // Sums that saturated: all of it has gone by then.
        UnixMillis(now.0.saturating_add(self.part.saturating_mul(self.parts + 1)))
    }

    /// For how long is counted what is charged, at the most.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_millis(self.part.saturating_mul(self.parts + 1))
    }

    /// The part in which a moment is, or the latest that was seen.
    fn slot(&mut self, now: UnixMillis) -> Slot {
        self.latest = self.latest.max(now.0 / self.part);
        Slot(self.latest)
    }

    fn forget(&mut self, now: Slot) {
        while let Some(&(part, charged)) = self.charged.front()
            && part.saturating_add(self.parts) < now.0
        {
            self.charged.pop_front();
            self.used = self.used.saturating_sub(charged);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Just, any, prop_oneof, proptest};

    use super::{Duration, UnixMillis, Window};

    const SPAN: u64 = 60_000;
    const LIMIT: u64 = 100;

    proptest! {
        #[test]
        fn no_span_wherever_it_is_laid_gets_more_than_the_limit(
            span in prop_oneof![1..2_000_u64, Just(SPAN), Just(61_000)],
            steps in vec((0..20_000_u64, 1..60_u64, any::<bool>()), 1..120),
        ) {
            let mut window = Window::new(Duration::from_millis(span));
            let (mut now, mut taken) = (1_000_000_u64, Vec::new());
            for (pause, amount, patient) in steps {
                now += pause * span / SPAN;
                if window.used(UnixMillis(now)) + amount > LIMIT {
                    if !patient {
                        continue;
                    }
                    // The answer is a moment at which it fits, and the first one.
                    let at = window.falls_to(UnixMillis(now), LIMIT - amount);
                    assert!(at.0 > now && at.0 <= now + span + 2 * (span / 240).max(1), "{at:?}");
                    assert!(window.clone().used(UnixMillis(at.0 - 1)) + amount > LIMIT);
                    now = at.0;
                    assert!(window.used(at) + amount <= LIMIT);
                }
                window.charge(UnixMillis(now), amount);
                taken.push((now, amount));
            }
            for (from, _) in &taken {
                let within = taken.iter().filter(|(at, _)| (*from..*from + span).contains(at));
                assert!(within.map(|(_, amount)| amount).sum::<u64>() <= LIMIT);
            }
        }

        #[test]
        fn what_is_corrected_counts_as_if_it_had_been_charged_so(
            charges in vec((0..3_000_u64, 0..50_u64, 0..50_u64), 1..60), later in 0..90_000_u64,
        ) {
            let (mut window, mut known) =
                (Window::new(Duration::from_millis(SPAN)), Window::new(Duration::from_millis(SPAN)));
            let (mut now, mut slots) = (0, Vec::new());
            for (pause, first, then) in charges {
                now += pause;
                slots.push((window.charge(UnixMillis(now), first), first, then));
                known.charge(UnixMillis(now), then);
            }
            for (slot, first, then) in slots {
                window.correct(slot, first, then);
            }
            assert_eq!(window.used(UnixMillis(now + later)), known.used(UnixMillis(now + later)));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_frees_nothing() {
        let mut window = Window::new(Duration::from_millis(SPAN));
        window.charge(UnixMillis(500_000), 60);
        window.charge(UnixMillis(100_000), 40);

        assert_eq!(window.used(UnixMillis(100_000)), 100);
        assert_eq!(window.used(UnixMillis(560_000)), 100);
        assert_eq!(window.used(UnixMillis(560_250)), 0);
    }
}
