//! Whether models are held off by their breakers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};
use runtime_traits::log::StepSort;
use runtime_traits::runtime::{BreakerPhase, BreakerStatus};
use runtime_traits::{Clock, Runtime, UnixMillis};

/// Whether the models of a runtime are called: none is held off by its breaker, which runs wait for without a sign of failure.
///
/// One that is held off is degraded at first, and unhealthy once it has not been well for longer than the bound. While a few calls try
/// whether it works again, or may do so and nobody does, it is degraded.
#[derive(Debug)]
pub struct ModelBreakers {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    bound: Duration,
    /// Since when each that is not closed is not: a breaker that opens again after a trial says when it did so last.
    since: Mutex<BTreeMap<Key, UnixMillis>>,
}

/// The name of a model, and where it is.
type Key = (String, Option<String>);

impl ModelBreakers {
    /// For how long a model may be held off: 30 s.
    pub const BOUND: Duration = Duration::from_secs(30);

    /// Looks at the breakers of this runtime.
    pub fn of(runtime: Arc<dyn Runtime>, clock: Arc<dyn Clock>, bound: Duration) -> Self {
        Self { runtime, clock, bound, since: Mutex::default() }
    }

    fn judge(&self, breakers: &[BreakerStatus]) -> Health {
        let now = self.clock.now();
        // What is written under it is whole after each statement.
        let mut known = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let mut not_closed: BTreeMap<Key, UnixMillis> = BTreeMap::new();
        let mut worst = Health::HEALTHY;
        let is_away = |of: &&BreakerStatus| of.sort == StepSort::Model && of.state != BreakerPhase::Closed;
        for breaker in breakers.iter().filter(is_away) {
            let key = (breaker.name.clone(), breaker.at.clone());
            let shown = breaker.since.unwrap_or(now).min(now);
            let mut since = known.get(&key).map_or(shown, |known| shown.min(*known));
            // One model may have several breakers, one for each key.
            since = not_closed.get(&key).map_or(since, |other| since.min(*other));
            let found = self.found(breaker, since, now);
            not_closed.insert(key, since);
            worst = Health::worst_of([worst, found]);
        }
        *known = not_closed;
        worst
    }

    fn found(&self, breaker: &BreakerStatus, since: UnixMillis, now: UnixMillis) -> Health {
        let (name, age) = (&breaker.name, now.since(since));
        let may_be_tried = breaker.until.is_some_and(|until| until <= now);
        if breaker.state == BreakerPhase::HalfOpen || may_be_tried {
            let reason = format!("`{name}` failed too often; whether it works again is to be tried");
            return Health::new(Verdict::Degraded, reason);
        }
        let verdict = if age > self.bound { Verdict::Unhealthy } else { Verdict::Degraded };
        Health::new(verdict, format!("`{name}` failed too often, and is held off for {age:?}"))
    }
}

#[async_trait]
impl HealthCheck for ModelBreakers {
    async fn check(&self, _: &Watched) -> Health {
        match self.runtime.status().await {
            Ok(status) => self.judge(&status.breakers),
            Err(error) => Health::new(Verdict::Unknown, format!("the runtime does not answer: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_testkit::fakes::ManualClock;
    use runtime_testkit::fakes::runtime::FakeRuntime;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check() -> (ModelBreakers, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let runtime = Arc::new(FakeRuntime::new());
        (ModelBreakers::of(runtime, Arc::clone(&clock) as _, ModelBreakers::BOUND), clock)
    }

    /// A breaker that stands so from now on, for 20 s where it is open.
    fn breaker(name: &str, state: BreakerPhase, clock: &ManualClock) -> BreakerStatus {
        let until = (state == BreakerPhase::Open).then(|| clock.now().after(20 * SECOND));
        let since = Some(clock.now());
        BreakerStatus { sort: StepSort::Model, name: name.to_owned(), at: None, state, since, until }
    }

    #[test]
    fn a_model_that_is_held_off_is_degraded_and_beyond_its_bound_unhealthy_however_often_it_was_tried() {
        let (check, clock) = check();
        let judged = |state| check.judge(&[breaker("a", state, &clock)]).verdict;
        assert_eq!(judged(BreakerPhase::Closed), Verdict::Healthy);
        assert_eq!(judged(BreakerPhase::Open), Verdict::Degraded);
        clock.advance(20 * SECOND);
        assert_eq!(judged(BreakerPhase::HalfOpen), Verdict::Degraded);
        clock.advance(11 * SECOND);

        assert_eq!(judged(BreakerPhase::Open), Verdict::Unhealthy, "though it opened again just now");
        assert_eq!(judged(BreakerPhase::HalfOpen), Verdict::Degraded);
        assert_eq!(judged(BreakerPhase::Closed), Verdict::Healthy);
        assert_eq!(judged(BreakerPhase::Open), Verdict::Degraded, "what was well counts anew");
    }

    #[test]
    fn a_model_that_may_be_tried_and_that_nobody_asks_is_degraded() {
        let (check, clock) = check();
        let open = [breaker("a", BreakerPhase::Open, &clock)];
        clock.advance(3_600 * SECOND);

        assert_eq!(check.judge(&open).verdict, Verdict::Degraded);
    }

    #[test]
    fn the_worst_model_is_named_and_tools_are_not_looked_at() {
        let (check, clock) = check();
        let tool = BreakerStatus { sort: StepSort::Tool, ..breaker("http_get", BreakerPhase::Open, &clock) };
        assert_eq!(check.judge(std::slice::from_ref(&tool)), Health::HEALTHY);
        let long_ago = breaker("b", BreakerPhase::Open, &clock);
        clock.advance(31 * SECOND);
        let until = Some(clock.now().after(SECOND));
        let all = [tool, breaker("a", BreakerPhase::Open, &clock), BreakerStatus { until, ..long_ago }];

        let found = check.judge(&all);

        assert_eq!(found, Health::new(Verdict::Unhealthy, "`b` failed too often, and is held off for 31s"));
    }
}
