//! When schedules fire: read by hand, by brute force, and over random histories.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proptest::collection::{btree_set, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use runtime_core::engine::schedule::{COUNTED, LATE, Times, Turn, check, times_of, turn};
use runtime_traits::schedule::{Missed, Schedule, ScheduleError, Timing};
use runtime_traits::{IdempotencyKey, Name, RunRequest, UnixMillis};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

fn at(text: &str) -> UnixMillis {
    let moment: Timestamp = text.parse().unwrap();
    UnixMillis(moment.as_millisecond().try_into().unwrap())
}

fn cron(line: &str, zone: &str) -> Result<Times, ScheduleError> {
    times_of(&Timing::cron(line).in_zone(zone), UnixMillis(0))
}

/// The next ticks, in UTC.
fn ticks(line: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let times = cron(line, zone).unwrap();
    let ticks = std::iter::successors(times.after(at(from)), |tick| times.after(*tick)).take(count);
    ticks.map(|tick| Timestamp::from_millisecond(tick.0 as i64).unwrap().to_string()).collect()
}

#[test]
fn lines_of_cron_name_the_minutes_that_they_say() {
    for (line, from, expected) in [
        ("30 9 * * *", "2026-11-29T00:00:00Z", ["2026-11-29T09:30:00Z", "2026-11-30T09:30:00Z"]),
        ("*/20 * * * *", "2026-11-29T00:20:00Z", ["2026-11-29T00:40:00Z", "2026-11-29T01:00:00Z"]),
        ("5/25 8-9 * * *", "2026-11-29T08:54:59Z", ["2026-11-29T08:55:00Z", "2026-11-29T09:05:00Z"]),
        ("0 0 * * fri-sun", "2026-11-29T00:00:00Z", ["2026-12-04T00:00:00Z", "2026-12-05T00:00:00Z"]),
        ("0 0 * * 7", "2026-11-28T00:00:00Z", ["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"]),
        // Either sort of day is enough where both are given.
        ("0 0 13 * 5", "2026-11-06T00:00:00Z", ["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]),
        ("0 0 */31 * 5", "2026-01-01T00:00:00Z", ["2026-05-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        ("0 12 29 feb *", "2026-01-01T00:00:00Z", ["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"]),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("@yearly", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("1,2-3 0 1 1 *", "2026-01-01T00:01:00Z", ["2026-01-01T00:02:00Z", "2026-01-01T00:03:00Z"]),
    ] {
        assert_eq!(ticks(line, "UTC", from, 2), expected, "{line}");
    }
}

#[test]
fn what_is_no_line_of_cron_is_told_by_the_part_that_is_wrong() {
    for (line, said) in [
        ("", "it has 0 fields, not 5"),
        ("* * * *", "it has 4 fields, not 5"),
        ("* * * * * * * * *", "it has 7 or more fields, not 5"),
        ("61 * * * *", "`61` is no minute, which goes from 0 to 59"),
        ("* 24 * * *", "`24` is no hour, which goes from 0 to 23"),
        ("* * 0 * *", "`0` is no day of the month, which goes from 1 to 31"),
        ("* * * jam *", "`jam` is no month, which goes from 1 to 12"),
        ("* * * * 8", "`8` is no day of the week, which goes from 0 to 7"),
        ("50-10 * * * *", "`50-10` runs backwards"),
        ("*/0 * * * *", "`/0` is no step; write a number from 1 on"),
        ("+5 * * * *", "`+5` is no minute, which goes from 0 to 59"),
        ("1,,2 * * * *", "`` is no minute, which goes from 0 to 59"),
    ] {
        let refused = cron(line, "UTC").unwrap_err();
        assert_eq!(refused, ScheduleError::BadCron { line: line.to_owned(), problem: said.to_owned() });
    }
}

#[test]
fn days_that_no_year_has_are_refused_at_once() {
    for line in ["0 0 30 2 *", "0 0 31 apr,jun,sep,nov *", "* * 30-31 feb */2"] {
        assert_eq!(cron(line, "UTC").unwrap_err(), ScheduleError::NeverFires { line: line.to_owned() });
    }
    // A day of the week is enough, and leap years have theirs.
    for line in ["0 0 30 2 mon", "0 0 29 2 *", "0 0 29 2 */6"] {
        assert!(cron(line, "UTC").unwrap().after(at("2026-03-01T00:00:00Z")).is_some(), "{line}");
    }
}

#[test]
fn what_cannot_be_scheduled_is_refused_with_the_remedy() {
    let now = at("2026-11-29T12:00:00Z");
    let name = Name::new("n").unwrap();
    let refused = |timing| check(&Schedule::new(name.clone(), timing, "x"), now).unwrap_err();
    let passed = ScheduleError::Passed { at: "2026-11-29 12:00:00 UTC".to_owned() };
    assert_eq!(refused(Timing::once(now)), passed);
    assert_eq!(refused(Timing::every(Duration::ZERO)), ScheduleError::TooShort { ms: 0, least: 1_000 });
    let ms = u64::MAX;
    assert_eq!(refused(Timing::Every { ms, from: None }), ScheduleError::TooFar { what: format!("{ms} ms") });
    assert!(matches!(refused(Timing::once(UnixMillis(ms))), ScheduleError::TooFar { .. }));
    let from = Some(UnixMillis(ms));
    assert!(matches!(refused(Timing::Every { ms: 5_000, from }), ScheduleError::TooFar { .. }));
    let zone = refused(Timing::cron("@daily").in_zone("Europe/Atlantis"));
    assert_eq!(zone, ScheduleError::UnknownZone { zone: "Europe/Atlantis".to_owned() });
    for zone in ["", "../../etc/passwd", "\u{0}", "Europe/Berlin "] {
        let refused = refused(Timing::cron("@daily").in_zone(zone));
        assert!(matches!(refused, ScheduleError::UnknownZone { .. }), "{zone:?}: {refused}");
    }
    let keyed = RunRequest::new("x").with_key(IdempotencyKey::new("k").unwrap());
    let keyed = check(&Schedule::new(name, Timing::cron("@daily"), keyed), now).unwrap_err();
    assert_eq!(keyed, ScheduleError::NotOfASchedule { what: "idempotency_key".to_owned() });
}

#[test]
fn a_time_that_a_clock_change_leaves_out_is_at_the_moment_of_the_change() {
    // In 2026 clocks in Berlin go from 02:00 CET to 03:00 CEST on 29 March, at 01:00 UTC.
    let nightly = ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(nightly, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // Several of them are one.
    let often = ticks("15,45 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(often, ["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-29T01:45:00Z"]);
    // By real time there is nothing in between.
    let hourly = ticks("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(hourly, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]);
}

#[test]
fn a_time_that_a_clock_change_repeats_counts_once_and_by_real_time_twice() {
    // They go from 03:00 CEST back to 02:00 CET on 25 October, at 01:00 UTC.
    let nightly = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(nightly, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // Asked in between, it does not come a second time.
    assert_eq!(ticks("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
    let hourly = ticks("30 * * * *", "Europe/Berlin", "2026-10-24T23:50:00Z", 4);
    let expected =
        ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z", "2026-10-25T03:30:00Z"];
    assert_eq!(hourly, expected);
}

/// A line, and which minutes of the calendar it names.
#[derive(Clone, Debug)]
struct Line {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    weekdays: Option<BTreeSet<i8>>,
}

impl Line {
    fn text(&self) -> String {
        let list = |of: &BTreeSet<i8>| of.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
        let weekdays = self.weekdays.as_ref().map_or("*".to_owned(), &list);
        format!("{} {} * * {weekdays}", list(&self.minutes), list(&self.hours))
    }

    fn names(&self, time: DateTime) -> bool {
        let weekday = time.weekday().to_sunday_zero_offset();
        self.minutes.contains(&time.minute())
            && self.hours.contains(&time.hour())
            && self.weekdays.as_ref().is_none_or(|days| days.contains(&weekday))
    }

    /// The ticks of three days, minute by minute: the first day is to know what was there before.
    fn ticks(&self, zone: &TimeZone, from: Timestamp) -> Vec<Timestamp> {
        let by_time = self.hours.len() == 24;
        let mut seen = BTreeSet::new();
        let mut before: Option<DateTime> = None;
        let mut ticks = Vec::new();
        for minute in 0..3 * 24 * 60_i64 {
            let now = from + minute.minutes();
            let time = zone.to_datetime(now);
            let mut left_out = before.map(|before| before + 1.minute()).unwrap_or(time);
            let mut is_tick = self.names(time) && (by_time || !seen.contains(&time));
            while left_out < time {
                is_tick |= !by_time && self.names(left_out);
                left_out += 1.minute();
            }
            if is_tick {
                ticks.push(now);
            }
            seen.insert(time);
            before = Some(time);
        }
        ticks
    }
}

fn lines() -> impl Strategy<Value = Line> {
    let hours = prop_oneof![
        2 => btree_set(0..24_i8, 1..5),
        2 => btree_set(0..4_i8, 1..4),
        1 => Just((0..24).collect::<BTreeSet<i8>>()),
    ];
    let weekdays = prop_oneof![3 => Just(None), 1 => btree_set(0..7_i8, 1..4).prop_map(Some)];
    (btree_set(0..60_i8, 1..6), hours, weekdays).prop_map(|(minutes, hours, weekdays)| Line {
        minutes,
        hours,
        weekdays,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_line_fires_at_the_minutes_that_brute_force_finds(
        line in lines(),
        zone in prop_oneof![
            Just("UTC"), Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"),
            Just("Asia/Kolkata"), Just("America/Sao_Paulo"),
        ],
        // Around the changes of 2026 in Europe, America and Australia, and in between.
        day in prop_oneof![
            Just("2026-03-07"), Just("2026-03-28"), Just("2026-04-04"), Just("2026-10-03"), Just("2026-10-24"),
            Just("2026-10-31"), Just("2026-07-01"),
        ],
        later in 0..24_i64,
    ) {
        let zone_of = TimeZone::get(zone).unwrap();
        let begin: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
        let begin = begin + later.hours() - 24.hours();
        let from = begin + 24.hours();
        let until = begin + 72.hours();
        let expected: Vec<Timestamp> =
            line.ticks(&zone_of, begin).into_iter().filter(|tick| *tick > from && *tick < until).collect();

        let times = cron(&line.text(), zone).unwrap();
        let millis = |of: Timestamp| UnixMillis(of.as_millisecond() as u64);
        let found: Vec<UnixMillis> = std::iter::successors(times.after(millis(from)), |tick| times.after(*tick))
            .take_while(|tick| *tick < millis(until))
            .collect();

        prop_assert_eq!(&found, &expected.iter().copied().map(millis).collect::<Vec<_>>());
        let upto = UnixMillis(millis(until).0 - 1);
        prop_assert_eq!(times.latest(millis(from), upto), found.last().copied());
        prop_assert_eq!(times.count(millis(from), upto), found.len() as u64);
    }
}

/// What somebody sees of a schedule over a history of looks: the ticks that fired, and how many were left out.
#[derive(Debug, Default)]
struct History {
    fired: Vec<UnixMillis>,
    missed: u64,
    /// By how much the latest fire was late.
    late: Duration,
}

/// Looks at a schedule at these times. Each look may be cut off before what it found is written.
fn live(times: &Times, rule: Missed, begin: UnixMillis, looks: &[(u64, bool)]) -> (History, UnixMillis) {
    let mut history = History::default();
    let mut upto = begin;
    for (now, cut_off) in looks {
        let now = UnixMillis(*now);
        loop {
            match turn(times, rule, upto, now) {
                Turn::Wait(next) => {
                    assert!(next.is_none_or(|next| next > now && next > upto));
                    break;
                }
                _ if *cut_off => break,
                Turn::Fire { tick, gap, next } => {
                    assert!(tick > upto && tick <= now && next == times.after(tick));
                    assert!(gap.is_none_or(|gap| gap.from > upto && gap.upto < tick));
                    history.fired.push(tick);
                    history.missed += gap.map_or(0, |gap| gap.count(times));
                    history.late = history.late.max(now.since(tick));
                    upto = tick;
                }
                Turn::LeaveOut { gap, next } => {
                    assert!(gap.from > upto && gap.upto <= now && next == times.after(gap.upto));
                    history.missed += gap.count(times);
                    upto = gap.upto;
                }
            }
        }
    }
    (history, upto)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_tick_up_to_the_latest_time_is_seen_to_once_whatever_clocks_and_crashes_do(
        timing in prop_oneof![
            (1_000..3 * DAY).prop_map(|ms| Timing::Every { ms, from: None }),
            (60..2_000_u64).prop_map(|minutes| Timing::Every { ms: minutes * MINUTE, from: Some(UnixMillis(7)) }),
            Just(Timing::cron("30 2 * * *").in_zone("Europe/Berlin")),
            Just(Timing::cron("*/30 * * * mon-fri").in_zone("America/New_York")),
            (0..40 * DAY).prop_map(|later| Timing::once(UnixMillis(1_770_000_000_000 + later))),
        ],
        rule in prop_oneof![Just(Missed::Skip), Just(Missed::Once), Just(Missed::All)],
        steps in vec((-2_i64 * DAY as i64..3 * DAY as i64, proptest::bool::weighted(0.3)), 1..12),
    ) {
        let begin = UnixMillis(1_770_000_000_000);
        let times = times_of(&timing, begin).unwrap();
        let mut now = begin.0;
        let mut looks: Vec<(u64, bool)> = steps
            .iter()
            .map(|(by, cut_off)| {
                now = now.saturating_add_signed(*by).max(begin.0);
                (now, *cut_off)
            })
            .collect();
        // In the end somebody looks without being cut off, when it is as late as it was for whoever looked latest.
        let latest = UnixMillis(looks.iter().map(|(now, _)| *now).max().unwrap());
        looks.push((latest.0, false));
        // A day of ticks each second is enough of them.
        let all = times.count(begin, latest);
        if all >= COUNTED {
            return Ok(());
        }

        let (history, upto) = live(&times, rule, begin, &looks);

        prop_assert!(history.fired.is_sorted_by(|a, b| a < b), "none fires twice: {:?}", history.fired);
        prop_assert!(history.fired.iter().all(|tick| times.after(UnixMillis(tick.0 - 1)) == Some(*tick)));
        prop_assert_eq!(history.fired.len() as u64 + history.missed, all, "each is seen to");
        prop_assert!(times.after(upto).is_none_or(|next| next > latest));
        match rule {
            Missed::All => prop_assert_eq!(history.missed, 0),
            Missed::Once => prop_assert_eq!(history.fired.last().copied(), times.latest(begin, latest)),
            Missed::Skip => prop_assert!(history.late <= LATE),
        }
    }
}
