//! Moments as RFC 3339 writes them.

use crate::clock::UnixMillis;

const DAY: u64 = 86_400_000;

impl UnixMillis {
    /// The moment as RFC 3339 writes it, in UTC: `2026-11-28T16:38:01.123Z`.
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::UnixMillis;
    ///
    /// let moment = UnixMillis::from_rfc3339("2027-01-15T10:30:00+02:30").expect("it is one");
    /// assert_eq!(moment.to_rfc3339(), "2027-01-15T08:00:00.000Z");
    /// ```
    pub fn to_rfc3339(self) -> String {
        write(self)
    }

    /// The moment that a text by RFC 3339 names, to the millisecond; `None` when it is none, or before 1970.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        read(text)
    }
}

/// `2026-11-28T16:38:01.123Z`.
pub(super) fn write(time: UnixMillis) -> String {
    let (days, ms) = (time.0 / DAY, time.0 % DAY);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// To the millisecond; `None` when the text is none, or before 1970.
pub(super) fn read(text: &str) -> Option<UnixMillis> {
    let number = |from: usize, to: usize| {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i64>().ok())?
    };
    let mark =
        |at: usize, of: &[u8]| text.as_bytes().get(at).is_some_and(|found| of.contains(found)).then_some(());
    mark(4, b"-").and(mark(7, b"-")).and(mark(10, b"Tt ")).and(mark(13, b":")).and(mark(16, b":"))?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // A leap second is the last one that there is.
    let in_range = (1..=12).contains(&month) && (0..24).contains(&hour) && minute < 60 && second <= 60;
    let days = days(year, month, day);
    if !in_range || civil(days) != (year, month, day) {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let taken = fraction.get(..digits.min(3)).filter(|taken| !taken.is_empty())?;
        ms = format!("{taken:0<3}").parse::<i64>().ok()?;
        rest = &fraction[digits..];
    }
    let offset = match rest.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let part = |from: usize| rest.get(from..from + 2)?.parse::<i64>().ok();
            let (hours, minutes) = (part(1).filter(|h| *h < 24)?, part(4).filter(|m| *m < 60)?);
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3_600 + (minute - offset) * 60 + second.min(59);
    u64::try_from(seconds * 1_000 + ms).ok().map(UnixMillis)
}

/// Days since 1970-01-01, in the proleptic Gregorian calendar. Years begin in March, so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of so many days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_800_000_000_123, "2027-01-15T08:00:00.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(write(UnixMillis(ms)), text);
            assert_eq!(read(text), Some(UnixMillis(ms)));
        }
        for day in 0..200_000 {
            assert_eq!(read(&write(UnixMillis(day * DAY + 1))), Some(UnixMillis(day * DAY + 1)));
        }
    }

    #[test]
    fn other_forms_are_read_and_what_is_none_is_not() {
        let moment = Some(UnixMillis(1_800_000_000_000));
        for same in ["2027-01-15T08:00:00Z", "2027-01-15t10:30:00.0000009+02:30", "2027-01-15 00:00:00-08:00"]
        {
            assert_eq!(read(same), moment, "{same}");
        }
        for wrong in [
            "",
            "2027-01-15",
            "2027-02-29T08:00:00Z",
            "2027-13-01T08:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T08:00:00",
            "1969-12-31T23:59:59Z",
            "2027-01-15T08:00:00.Z",
            "+027-01-15T08:00:00Z",
            "2027-01-15T08:00:00Zé",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
