//! What can be a schedule.

use runtime_traits::clock::UnixMillis;
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::schedule::{Schedule, ScheduleError, Timing};

use super::cron::Cron;
use super::times::{Sort, Times, shown, zone};

/// The shortest interval, in milliseconds.
pub const LEAST_MS: u64 = 1_000;
/// A hundred years, in milliseconds: how far ahead something can be scheduled.
const AHEAD: u64 = 100 * 366 * 24 * 60 * 60 * 1_000;

/// The ticks of a schedule that somebody declares `now`.
///
/// # Errors
/// [`ScheduleError`], which says what cannot be scheduled, and what to do about it.
pub fn check(schedule: &Schedule, now: UnixMillis) -> Result<Times, ScheduleError> {
    let not = |what: &str| Err(ScheduleError::NotOfASchedule { what: what.to_owned() });
    if schedule.run.idempotency_key.is_some() {
        return not("idempotency_key");
    }
    if schedule.run.policy == Some(SessionPolicy::Answer) {
        return not("policy: answer");
    }
    match schedule.timing {
        Timing::Once { at } if at <= now => return Err(ScheduleError::Passed { at: shown(at) }),
        Timing::Once { at } | Timing::Every { from: Some(at), .. } if at.0.saturating_sub(now.0) > AHEAD => {
            return Err(ScheduleError::TooFar { what: format!("{} ms", at.0) });
        }
        _ => {}
    }
    times_of(&schedule.timing, now)
}

/// The ticks of a timing that counts since then.
///
/// # Errors
/// [`ScheduleError`] for what can never fire.
pub fn times_of(timing: &Timing, since: UnixMillis) -> Result<Times, ScheduleError> {
    match timing {
        Timing::Cron { line, zone: name } => {
            Ok(Times(Sort::Cron { cron: Cron::parse(line)?, zone: zone(name)? }))
        }
        Timing::Every { ms, .. } if *ms < LEAST_MS => {
            Err(ScheduleError::TooShort { ms: *ms, least: LEAST_MS })
        }
        Timing::Every { ms, .. } if *ms > AHEAD => Err(ScheduleError::TooFar { what: format!("{ms} ms") }),
        Timing::Every { ms, from } => Ok(Times(Sort::Every { ms: *ms, from: from.unwrap_or(since) })),
        Timing::Once { at } => Ok(Times(Sort::Once { at: *at })),
    }
}
