//! Lines of cron, by the calendar alone: what time zones make of them is said by `times`.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use runtime_traits::schedule::ScheduleError;

/// How many years are looked through: the calendar repeats itself, weekdays included, after 28, or 40 around 2100.
const YEARS: i16 = 41;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A line of cron: for each field the set of its values, a bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both sorts of days are given, and one of them is enough.
    either: bool,
}

/// What a field may hold.
struct Field {
    what: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { what: "minute", least: 0, most: 59, names: &[] },
    Field { what: "hour", least: 0, most: 23, names: &[] },
    Field { what: "day of the month", least: 1, most: 31, names: &[] },
    Field { what: "month", least: 1, most: 12, names: &MONTHS },
    Field { what: "day of the week", least: 0, most: 7, names: &DAYS },
];

impl Cron {
    /// Reads a line.
    ///
    /// # Errors
    /// [`ScheduleError::BadCron`], or [`ScheduleError::NeverFires`] for days that no month has.
    pub(super) fn parse(line: &str) -> Result<Self, ScheduleError> {
        let bad = |problem| ScheduleError::BadCron { line: cut(line), problem };
        let trimmed = line.trim();
        let long = match trimmed.to_ascii_lowercase().as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            _ => trimmed,
        };
        // One that is longer is no line that somebody wrote by hand.
        let fields: Vec<&str> = long.split_ascii_whitespace().take(7).collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let found = fields.len();
            return Err(bad(format!(
                "it has {found}{} fields, not 5",
                if found > 6 { " or more" } else { "" }
            )));
        };
        let read = |at: usize, text: &str| FIELDS[at].read(text).map_err(bad);
        let weekdays = read(4, weekday)?;
        let cron = Self {
            minutes: read(0, minute)?,
            hours: read(1, hour)?,
            days: read(2, day)?,
            months: read(3, month)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if cron.has_days() { Ok(cron) } else { Err(ScheduleError::NeverFires { line: cut(line) }) }
    }

    /// Whether a month that it names has a day that it names.
    fn has_days(&self) -> bool {
        let month = |month: u8| {
            has(self.months, month) && (1..=LONGEST[usize::from(month) - 1]).any(|day| has(self.days, day))
        };
        self.either || (1..=12).any(month)
    }

    /// Whether it is for every hour: then it goes by real time.
    pub(super) fn is_hourly(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    fn is_on(&self, date: Date) -> bool {
        let day = has(self.days, date.day().unsigned_abs());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset().unsigned_abs());
        if self.either { day || weekday } else { day && weekday }
    }

    /// The first time of the calendar that it names, from a whole minute on. `None`: the calendar ends before.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let last = from.year().checked_add(YEARS)?;
        let mut date = from.date();
        let mut at_least = (from.hour().unsigned_abs(), from.minute().unsigned_abs());
        while date.year() <= last {
            if !has(self.months, date.month().unsigned_abs()) {
                date = date.last_of_month().tomorrow().ok()?;
                at_least = (0, 0);
                continue;
            }
            if self.is_on(date)
                && let Some((hour, minute)) = self.time_from(at_least)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.tomorrow().ok()?;
            at_least = (0, 0);
        }
        None
    }

    /// The first hour and minute of a day from these on.
    fn time_from(&self, (hour, minute): (u8, u8)) -> Option<(i8, i8)> {
        let signed = |of: u8| of.cast_signed();
        if has(self.hours, hour)
            && let Some(minute) = first_from(self.minutes, minute)
        {
            return Some((signed(hour), signed(minute)));
        }
        let later = first_from(self.hours, hour + 1)?;
        Some((signed(later), signed(first_from(self.minutes, 0)?)))
    }
}

impl Field {
    fn read(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (part, None),
        };
        let (from, upto) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.most == 7 { 6 } else { self.most }),
            Some((from, upto)) => {
                let (from, upto) = (self.value(from)?, self.value(upto)?);
                // Sunday ends a week as well as it begins one.
                (from, if self.most == 7 && upto == 0 && from > 0 { 7 } else { upto })
            }
            None => {
                let value = self.value(range)?;
                (value, if step.is_some() { self.most } else { value })
            }
        };
        if from > upto {
            return Err(format!("`{range}` runs backwards"));
        }
        Ok((from..=upto).step_by(usize::from(step.unwrap_or(1))).fold(0, |set, value| set | 1 << value))
    }

    fn step(&self, step: &str) -> Result<u8, String> {
        let is_number = !step.is_empty() && step.bytes().all(|digit| digit.is_ascii_digit());
        let step_of = step.parse().ok().filter(|step| *step > 0 && is_number);
        step_of.ok_or_else(|| format!("`/{}` is no step; write a number from 1 on", cut(step)))
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let value = match named {
            Some(at) => u8::try_from(at).ok().map(|at| at + self.least),
            None => text.parse().ok().filter(|_| is_number),
        };
        value.filter(|value| (self.least..=self.most).contains(value)).ok_or_else(|| {
            format!("`{}` is no {}, which goes from {} to {}", cut(text), self.what, self.least, self.most)
        })
    }
}

/// The start of the minute after that one.
pub(super) fn next_minute(at: DateTime) -> Option<DateTime> {
    whole_minute(at).checked_add(1.minute()).ok()
}

/// The start of the minute.
pub(super) fn whole_minute(at: DateTime) -> DateTime {
    at.date().at(at.hour(), at.minute(), 0, 0)
}

fn has(set: u64, value: u8) -> bool {
    set >> value & 1 == 1
}

fn first_from(set: u64, value: u8) -> Option<u8> {
    let rest = if value < 64 { set >> value << value } else { 0 };
    (rest != 0).then(|| rest.trailing_zeros() as u8)
}

/// What is shown of something that may be long.
fn cut(text: &str) -> String {
    let shown: String = text.chars().take(64).flat_map(char::escape_default).collect();
    if text.chars().count() > 64 { shown + "…" } else { shown }
}
