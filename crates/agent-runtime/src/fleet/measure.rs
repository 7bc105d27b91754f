//! Times and sizes, as people write them.

use std::time::Duration;

/// A time: `90s`, `30m`, `12h`, `30d`.
///
/// # Errors
/// How to write it.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use agent_runtime::fleet::span;
///
/// assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
/// assert!(span("2 weeks").is_err());
/// ```
pub fn span(given: &str) -> Result<Duration, String> {
    let wrong = || "use a number and s, m, h or d, as in 30d".to_owned();
    let unit = given.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = given[..given.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A number of bytes: `4096`, `512 KiB`, `10 MiB`, `2 GiB`, `1 TiB`.
///
/// # Errors
/// How to write it.
///
/// # Examples
/// ```
/// use agent_runtime::fleet::size;
///
/// assert_eq!(size("512 KiB"), Ok(512 * 1024));
/// assert!(size("a lot").is_err());
/// ```
pub fn size(given: &str) -> Result<u64, String> {
    let wrong =
        || "use a number of bytes, or a number and KiB, MiB, GiB or TiB, as in \"512 MiB\"".to_owned();
    let digits = given.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = given.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|size| *size <= i64::MAX as u64).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(span("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(span("30d"), Ok(Duration::from_secs(2_592_000)));
        for wrong in ["", "d", "3", "3w", "-1d", "1.5d", "99999999999999999999d", "999999999999999999d", "3ü"]
        {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("4096 B"), Ok(4096));
        assert_eq!(size("3MiB"), Ok(3 << 20));
        assert_eq!(size("1 TiB"), Ok(1 << 40));
        for wrong in ["", "MiB", "1 MB", "-1", "1.5 GiB", "99999999999 TiB", "18446744073709551615"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
