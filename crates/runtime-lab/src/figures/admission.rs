//! Admission of a call with all limits set, alone: what stands between a step and its dispatch, against the plainest that could.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use runtime_core::SystemClock;
use runtime_resources::{Answer, Budgets, Claim, Ledger, Money, Permits};
use runtime_traits::Clock;

use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::plan::Plan;
use super::spread::Spread;
use super::watch::Stopwatch;

const CALLS: u64 = 2_000_000;
/// Limits of a ledger: each is a check for the baseline.
#[cfg(feature = "peers")]
const LIMITS: usize = 7;
const AGAINST: &str = "7 checks of `governor` 0.10 and a permit of tokio's semaphore";

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let calls = plan.sized(CALLS);
    let house = House::new();
    let (value, baseline) = beside_peer(plan, calls, async || house.admits(calls)).await?;
    Ok(vec![Figure {
        name: "admission",
        value,
        unit: "calls/s",
        baseline,
        against: AGAINST,
        bar: Bar::RatioAtLeast(0.5),
        n: plan.rounds,
    }])
}

/// All limits of an agent, none of which is ever reached, as several tasks would share them.
struct House {
    clock: SystemClock,
    permits: Permits,
    ledger: Mutex<Ledger>,
}

impl House {
    fn new() -> Self {
        let (much, money) = (Some(u64::MAX / 4), Some(Money::from_micros(u64::MAX / 4)));
        let budgets = Budgets {
            requests_per_minute: much,
            tokens_per_minute: much,
            tokens_total: much,
            cost_per_hour: money,
            cost_per_day: money,
            cost_per_month: money,
            cost_total: money,
        };
        let (clock, permits) = (SystemClock::default(), Permits::new(Some(8)));
        Self { clock, permits, ledger: Mutex::new(Ledger::new(budgets)) }
    }

    /// How many calls it lets through per second: each is reserved, holds a permit, and is settled with less.
    fn admits(&self, calls: u64) -> Result<f64, FiguresError> {
        let most = Claim { requests: 1, tokens: 1_500, micros: 4_000 };
        let took = Claim { tokens: 700, micros: 1_900, ..most };
        let ledger = || self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = Stopwatch::start();
        for call in 0..calls {
            let id = u128::from(black_box(call));
            let Some(permit) = self.permits.try_acquire() else { return Err(refused("a permit")) };
            if ledger().reserve(id, self.clock.now(), black_box(most)) != Answer::Held {
                return Err(refused("a reservation"));
            }
            ledger().settle(id, black_box(took));
            drop(permit);
        }
        Ok(watch.per_second(calls))
    }
}

fn refused(what: &str) -> FiguresError {
    FiguresError::Unexpected(format!("{what} was refused where no limit is reached"))
}

#[cfg(feature = "peers")]
async fn beside_peer(
    plan: &Plan,
    calls: u64,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use governor::{Quota, RateLimiter};

    let much = NonZeroU32::new(1_000_000_000).expect("it is not zero");
    let limiters: Vec<_> = (0..LIMITS).map(|_| RateLimiter::direct(Quota::per_second(much))).collect();
    let semaphore = Arc::new(tokio::sync::Semaphore::new(8));
    let baseline = async || {
        let watch = Stopwatch::start();
        for _ in 0..calls {
            let permit = Arc::clone(&semaphore).try_acquire_owned().map_err(|_| refused("a permit"))?;
            for limiter in black_box(&limiters) {
                limiter.check().map_err(|_| refused("a check"))?;
            }
            drop(permit);
        }
        Ok(watch.per_second(calls))
    };
    let (value, baseline) = super::contest::take_turns(plan.rounds, ours, baseline).await?;
    Ok((value, Some(baseline)))
}

#[cfg(not(feature = "peers"))]
async fn beside_peer(
    plan: &Plan,
    _: u64,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    let nobody = async || Ok(f64::NAN);
    let (value, _) = super::contest::take_turns(plan.rounds, ours, nobody).await?;
    Ok((value, None))
}
