//! The rate at which callers come back after an outage.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::UnixMillis;

use super::CallOutcome;
use super::recent::Recent;

/// How many times the normal rate is let through. As a fraction.
const LET_THROUGH: (u64, u64) = (8, 5);
/// What may be let through at once is what is let through in so many microseconds: with that, less than twice the normal rate is
/// let through in any second.
const AT_ONCE: u64 = 250_000;
/// For every call that comes anyway how many come that waited: fewer in all than are let through. As a fraction.
const IN_LINE: (u64, u64) = (1, 2);
/// For how many times as long as the outage callers are held to the pace: until all who waited have come.
const OUTAGES: u32 = 3;
/// Nobody who is sent away stays away longer than that, in microseconds: who would comes with those who are before it.
const LONGEST: u64 = 300_000_000;

/// How callers come back after an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRule {
    /// Over how long it is measured how many calls are normal.
    pub window: Duration,
    /// What is normal at the least, in calls per minute: for what was called seldom, or never, before the outage.
    pub least_per_minute: NonZeroU32,
    /// How long callers are held to the pace at the least. They are held to it three times as long as the outage lasted: then
    /// whoever waited has come.
    pub least: Duration,
}

/// Lets callers come back after an outage at less than twice the normal rate: those who waited beside those who come anyway. As a
/// plain value: it reads no clock, it is told.
///
/// It is told what calls come to, when a breaker opens and when it closes; it says whether a call may be made now, and when whoever
/// may not should come again: everybody at another time.
///
/// # Examples
/// ```
/// use runtime_health::{CallOutcome, Pace, PaceRule};
/// use runtime_traits::UnixMillis;
///
/// let mut pace = Pace::new(PaceRule::default());
/// let at = |ms: u64| UnixMillis(1_800_000_000_000 + ms);
/// // Ten calls per second for half a minute.
/// (0..300).for_each(|nth| pace.ended(CallOutcome::Worked, at(nth * 100)));
/// pace.opened(at(30_000));
/// pace.closed(at(90_000));
///
/// let through = (0..1000).filter(|ms| pace.admit(at(90_000 + ms)).is_ok()).count();
/// assert!((10..=20).contains(&through), "{through} within a second");
/// ```
#[derive(Clone, Debug)]
pub struct Pace {
    rule: PaceRule,
    recent: Recent,
    /// How much time one call has of what is normal, in microseconds.
    normal: u64,
    /// Since when it does not work.
    outage: Option<UnixMillis>,
    ramp: Option<Ramp>,
    /// When the next one who is sent away should come, in microseconds.
    place: u64,
}

/// What is let through after an outage.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    /// When the next call may be made, in microseconds.
    next: u64,
    until: UnixMillis,
}

impl Default for PaceRule {
    /// Normal is what worked in half a minute, and a call per second at the least; for 10 s at the least.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            least_per_minute: NonZeroU32::MIN.saturating_add(59),
            least: Duration::from_secs(10),
        }
    }
}

impl Pace {
    /// Of something that was never called.
    pub fn new(rule: PaceRule) -> Self {
        let least = 60_000_000 / u64::from(rule.least_per_minute.get());
        let recent = Recent::new(rule.window);
        Self { rule, recent, normal: least.max(1), outage: None, ramp: None, place: 0 }
    }

    /// Tells what a call came to.
    pub fn ended(&mut self, outcome: CallOutcome, now: UnixMillis) {
        if self.outage.is_none() {
            self.recent.count(outcome, now);
        }
    }

    /// A breaker opened, for the first time or once more.
    pub fn opened(&mut self, now: UnixMillis) {
        if self.outage.is_some() {
            return;
        }
        self.outage = Some(now);
        // While callers come back more than is normal works.
        if self.ramp.take().is_none_or(|ramp| ramp.until <= now) {
            let (failed, all) = self.recent.counts(now);
            let window = u64::try_from(self.rule.window.as_micros()).unwrap_or(u64::MAX);
            let least = 60_000_000 / u64::from(self.rule.least_per_minute.get());
            self.normal = (window / (all - failed).max(1)).clamp(1, least.max(1));
        }
        self.place = 0;
    }

    /// It works again.
    pub fn closed(&mut self, now: UnixMillis) {
        let Some(since) = self.outage.take() else { return };
        self.recent = Recent::new(self.rule.window);
        let until = now.after((now.since(since) * OUTAGES).max(self.rule.least));
        // The calls that tried it out were made just now.
        let next = micros(now) + self.at_once() + self.normal;
        self.ramp = Some(Ramp { next, until });
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// How long to wait before the next try, if calls come too fast for now.
    pub fn admit(&mut self, now: UnixMillis) -> Result<(), Duration> {
        let (each, at_once) = (self.each(), self.at_once());
        let Some(ramp) = &mut self.ramp else { return Ok(()) };
        if ramp.until <= now {
            self.ramp = None;
            return Ok(());
        }
        // Within the same millisecond is now.
        if ramp.next >= micros(now) + at_once + 1_000 {
            return Err(self.come_again(now, now));
        }
        ramp.next = ramp.next.max(micros(now)) + each;
        Ok(())
    }

    /// How long somebody waits who is not let through before `earliest`: they come one by one, one in the time of two calls.
    pub fn come_again(&mut self, earliest: UnixMillis, now: UnixMillis) -> Duration {
        let (times, of) = IN_LINE;
        let (begin, each) = (micros(earliest), (self.normal * of).div_ceil(times));
        let next = self.place.max(begin) + each;
        let at = if next > begin.saturating_add(LONGEST) { begin + each } else { next };
        self.place = at;
        Duration::from_micros(at.saturating_sub(micros(now)))
    }

    /// How much time a call has of what is let through, in microseconds.
    fn each(&self) -> u64 {
        let (times, of) = LET_THROUGH;
        (self.normal * of).div_ceil(times)
    }

    /// How much earlier a call may come than its time, in microseconds.
    fn at_once(&self) -> u64 {
        AT_ONCE.saturating_sub(self.each())
    }
}

fn micros(at: UnixMillis) -> u64 {
    at.0.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop_assert, proptest};

    use super::{CallOutcome, Duration, Pace, PaceRule, UnixMillis};

    const BEGIN: u64 = 1_800_000_000_000;

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(BEGIN + ms)
    }

    /// After an outage of a minute: when calls were made, with so many that waited and `each` ms between those that come anyway.
    fn after_an_outage(each: u64, waiting: u64) -> Vec<u64> {
        let mut pace = Pace::new(PaceRule::default());
        (0..30_000 / each).for_each(|nth| pace.ended(CallOutcome::Worked, at(nth * each)));
        pace.opened(at(30_000));
        let mut due: BTreeMap<(u64, u64), ()> = BTreeMap::new();
        for nth in 0..waiting {
            let wait = pace.come_again(at(90_000), at(31_000));
            due.insert((31_000 + wait.as_millis() as u64, nth), ());
        }
        pace.closed(at(90_000));
        (0..240_000 / each).for_each(|nth| {
            due.insert((90_000 + nth * each, waiting + nth), ());
        });
        let mut made = Vec::new();
        while let Some(((now, caller), ())) = due.pop_first() {
            match pace.admit(at(now)) {
                Ok(()) => made.push(now),
                Err(wait) => {
                    due.insert((now + (wait.as_micros() as u64).div_ceil(1_000), caller), ());
                }
            }
        }
        made
    }

    proptest! {
        #[test]
        fn after_an_outage_callers_come_back_at_twice_the_normal_rate_at_most(each in 20_u64..1_000, share in 1_u64..100) {
            let waiting = 60_000 / each * share / 100;
            let made = after_an_outage(each, waiting);
            prop_assert!(made.len() as u64 == waiting + 240_000 / each, "everybody comes");
            let most = 2 * (1_000_u64.div_ceil(each));
            for (nth, first) in made.iter().enumerate() {
                let within = made[nth..].iter().take_while(|at| **at < first + 1_000).count() as u64;
                prop_assert!(within <= most, "{within} within a second; {most} may be");
            }
        }
    }

    #[test]
    fn whoever_waited_has_come_before_callers_are_no_longer_held_to_the_pace() {
        let made = after_an_outage(100, 600);
        let in_time = made.iter().filter(|at| **at < 270_000).count();
        assert_eq!(in_time, 2_400, "600 who waited, and 1,800 who came anyway in the 180 s after that");
    }

    #[test]
    fn nobody_is_held_to_a_pace_before_an_outage_or_long_after_it() {
        let mut pace = Pace::new(PaceRule::default());
        assert!((0..1_000).all(|_| pace.admit(at(0)).is_ok()));
        pace.opened(at(0));
        pace.closed(at(1_000));
        assert!(pace.admit(at(1_000)).is_err(), "those that tried it out were two");
        assert!(pace.admit(at(2_000)).is_ok());
        assert!(pace.admit(at(2_000)).is_err());
        assert!((0..1_000).all(|_| pace.admit(at(11_000)).is_ok()));
    }

    #[test]
    fn whoever_is_sent_away_comes_at_a_time_of_its_own() {
        let mut pace = Pace::new(PaceRule::default());
        pace.opened(at(0));
        let waits: Vec<Duration> = (0..5).map(|_| pace.come_again(at(10_000), at(4_000))).collect();
        let secs: Vec<u64> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!(secs, [8, 10, 12, 14, 16]);
    }

    #[test]
    fn nobody_is_sent_away_for_long_however_many_wait() {
        let mut pace = Pace::new(PaceRule::default());
        pace.opened(at(0));
        let waits: Vec<Duration> = (0..1_000).map(|_| pace.come_again(at(10_000), at(4_000))).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(306)), "{:?}", waits.iter().max());
        let mut times: BTreeMap<Duration, u32> = BTreeMap::new();
        waits.into_iter().for_each(|wait| *times.entry(wait).or_default() += 1);
        assert!(times.len() == 150 && times.values().all(|same| *same <= 7), "they are spread evenly");
    }

    #[test]
    fn what_is_normal_is_not_learnt_from_an_outage_or_from_those_who_come_back() {
        let mut pace = Pace::new(PaceRule::default());
        (0..300).for_each(|nth| pace.ended(CallOutcome::Worked, at(nth * 100)));
        pace.opened(at(30_000));
        pace.closed(at(40_000));
        (0..600).for_each(|nth| pace.ended(CallOutcome::Worked, at(40_000 + nth * 10)));
        pace.opened(at(46_000));
        let wait = pace.come_again(at(50_000), at(50_000)).as_millis();
        assert!(
            (200..=223).contains(&wait),
            "{wait}: two calls take as long, a tenth of the window less or more"
        );
    }
}
