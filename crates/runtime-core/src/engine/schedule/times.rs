//! The ticks of a schedule.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use runtime_traits::clock::UnixMillis;
use runtime_traits::schedule::ScheduleError;

use super::cron::{Cron, next_minute, whole_minute};

/// How many ticks of one gap are counted.
pub const COUNTED: u64 = 10_000;
/// The last moment that a `due/` cell can name in its order.
const LAST: u64 = 99_999_999_999_999;

/// The ticks of a schedule, in their order.
#[derive(Clone, Debug)]
pub struct Times(pub(super) Sort);

#[derive(Clone, Debug)]
pub(super) enum Sort {
    /// By the calendar, as it is read in that time zone.
    Cron { cron: Cron, zone: TimeZone },
    /// Again and again; `from` is the first.
    Every { ms: u64, from: UnixMillis },
    /// One.
    Once { at: UnixMillis },
}

impl Times {
    /// The first tick after `then`.
    pub fn after(&self, then: UnixMillis) -> Option<UnixMillis> {
        let next = match &self.0 {
            Sort::Cron { cron, zone } => {
                let then = Timestamp::from_millisecond(then.0.try_into().ok()?).ok()?;
                let next =
                    if cron.is_hourly() { by_time(cron, zone, then) } else { by_day(cron, zone, then) };
                UnixMillis(next?.as_millisecond().try_into().ok()?)
            }
            Sort::Every { from, .. } if then < *from => *from,
            Sort::Every { ms, from } => {
                let nth = (then.0 - from.0) / ms + 1;
                UnixMillis(from.0.checked_add(nth.checked_mul(*ms)?)?)
            }
            Sort::Once { at } => Some(*at).filter(|at| *at > then)?,
        };
        (next.0 <= LAST).then_some(next)
    }

    /// The last tick after `then` and not after `upto`.
    pub fn latest(&self, then: UnixMillis, upto: UnixMillis) -> Option<UnixMillis> {
        let by = |then: u64| self.after(UnixMillis(then)).filter(|tick| *tick <= upto);
        let mut latest = by(then.0)?;
        // The later one looks, the later is the tick that comes next: the last one is found by halves.
        let (mut low, mut high) = (latest.0, upto.0);
        while low < high {
            let middle = low + (high - low) / 2;
            match by(middle) {
                Some(tick) => {
                    latest = tick;
                    low = tick.0;
                }
                None => high = middle,
            }
        }
        Some(latest)
    }

    /// How many ticks lie after `then` and not after `upto`: at most [`COUNTED`].
    pub fn count(&self, then: UnixMillis, upto: UnixMillis) -> u64 {
        let mut ticks = std::iter::successors(self.after(then), |tick| self.after(*tick));
        ticks.by_ref().take_while(|tick| *tick <= upto).take(COUNTED as usize).count() as u64
    }

    /// A moment in its time zone, for people.
    pub fn local(&self, at: UnixMillis) -> String {
        let zone = match &self.0 {
            Sort::Cron { zone, .. } => zone.clone(),
            Sort::Every { .. } | Sort::Once { .. } => TimeZone::UTC,
        };
        in_zone(at, zone)
    }
}

/// The time zone of that name.
pub(super) fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    let shown = || name.chars().take(64).flat_map(char::escape_default).collect();
    TimeZone::get(name).map_err(|_| ScheduleError::UnknownZone { zone: shown() })
}

/// A moment, for people.
pub(super) fn shown(at: UnixMillis) -> String {
    in_zone(at, TimeZone::UTC)
}

fn in_zone(at: UnixMillis, zone: TimeZone) -> String {
    let at_zone = i64::try_from(at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    match at_zone {
        Some(at) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => format!("{} ms", at.0),
    }
}

/// The first moment after `then` of a line for some hours of a day. What is left out by a clock change is at the moment of the change,
/// and of what is repeated the first one counts: so the order of the calendar is that of the moments.
fn by_day(cron: &Cron, zone: &TimeZone, then: Timestamp) -> Option<Timestamp> {
    let mut from = whole_minute(zone.to_datetime(then));
    loop {
        let time = cron.at_or_after(from)?;
        let moment = moment(zone, time)?;
        if moment > then {
            return Some(moment);
        }
        from = next_minute(time)?;
    }
}

fn moment(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(time).ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with what holds after the change, the time lies before it.
            let before = after.to_timestamp(time).ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
    }
}

/// The first moment after `then` of a line for every hour: what a clock change leaves out is not there, and what it repeats is there
/// twice.
fn by_time(cron: &Cron, zone: &TimeZone, then: Timestamp) -> Option<Timestamp> {
    let mut begin = then;
    let mut from = next_minute(zone.to_offset(then).to_datetime(then))?;
    loop {
        let offset = zone.to_offset(begin);
        let found = offset.to_timestamp(cron.at_or_after(from)?).ok()?;
        match zone.following(begin).next().map(|change| change.timestamp()) {
            Some(change) if change <= found => {
                begin = change;
                let time = zone.to_offset(change).to_datetime(change);
                from = if whole_minute(time) == time { time } else { next_minute(time)? };
            }
            _ => return Some(found),
        }
    }
}
