//! Moments and durations, as people read them.

use std::time::Duration;

use agent_runtime::UnixMillis;

/// A duration in two digits or so: `12 ms`, `3.4 s`, `5 min`, `2 h`, `9 d`.
pub(crate) fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        10_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

/// How long ago: `3.4 s ago`.
pub(crate) fn ago(now: UnixMillis, then: UnixMillis) -> String {
    format!("{} ago", duration(now.since(then)))
}

/// A moment to the second: `2026-11-22 18:03:12 UTC`.
pub(crate) fn moment(at: UnixMillis) -> String {
    let seconds = at.0 / 1_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The time of day to the millisecond, in UTC: `18:03:12.045`.
pub(crate) fn clock(at: UnixMillis) -> String {
    let (seconds, millis) = (at.0 / 1_000, at.0 % 1_000);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// Year, month and day of the day that is this many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is their last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{duration, moment};
    use agent_runtime::UnixMillis;
    use std::time::Duration;

    #[test]
    fn moments_are_dates_of_the_calendar() {
        let told = |seconds: u64| moment(UnixMillis(seconds * 1_000));

        assert_eq!(told(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(told(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(told(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(told(1_709_251_200), "2024-03-01 00:00:00 UTC");
        assert_eq!(told(4_102_444_799), "2099-12-31 23:59:59 UTC");
    }

    #[test]
    fn durations_are_told_in_the_unit_that_fits() {
        let told: Vec<String> = [7, 3_456, 61_000, 600_000, 86_400_000, 864_000_000]
            .map(|millis| duration(Duration::from_millis(millis)))
            .into();

        assert_eq!(told, ["7 ms", "3.4 s", "61 s", "10 min", "24 h", "10 d"]);
    }
}
