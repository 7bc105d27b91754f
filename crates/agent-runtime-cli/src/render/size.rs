//! Bytes, as people read them.

use agent_runtime::runtime::Stored;

use super::table::Tone;

/// So many bytes, in the largest unit of which there is at least one.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut size, mut nth) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && nth + 1 < UNITS.len() {
        (size, nth) = (size / 1024.0, nth + 1);
    }
    format!("{size:.1} {}", UNITS[nth])
}

/// By how many bytes something grew.
pub(crate) fn growth(by: i64) -> String {
    match by {
        0 => "0 B".to_owned(),
        by if by < 0 => format!("-{}", bytes(by.unsigned_abs())),
        by => format!("+{}", bytes(by.unsigned_abs())),
    }
}

/// How loud a size is to be told.
pub(crate) fn tone(stored: &Stored) -> Tone {
    match (stored.is_full(), stored.is_much()) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Warn,
        (false, false) => Tone::Plain,
    }
}

/// How much there is, and by how much it grew.
pub(crate) fn stored(stored: &Stored) -> String {
    let limit = match (stored.soft, stored.hard) {
        (_, Some(hard)) if stored.is_full() => format!("; full: no new input above {}", bytes(hard)),
        (Some(soft), _) if stored.is_much() => format!("; above its soft limit of {}", bytes(soft)),
        (_, Some(hard)) => format!(", of at most {}", bytes(hard)),
        _ => String::new(),
    };
    format!("{} ({} since yesterday began{limit})", bytes(stored.bytes), growth(stored.grown))
}

#[cfg(test)]
mod tests {
    use agent_runtime::runtime::Stored;

    use super::{bytes, growth, stored};

    #[test]
    fn a_limit_that_is_reached_is_told() {
        let told = |bytes| stored(&Stored { bytes, grown: 1, soft: Some(2048), hard: Some(4096) });
        assert_eq!(told(1), "1 B (+1 B since yesterday began, of at most 4.0 KiB)");
        assert_eq!(told(2048), "2.0 KiB (+1 B since yesterday began; above its soft limit of 2.0 KiB)");
        assert_eq!(told(4096), "4.0 KiB (+1 B since yesterday began; full: no new input above 4.0 KiB)");
    }

    #[test]
    fn bytes_are_told_in_units_of_which_there_is_one() {
        let told = [0, 1023, 1024, 1_600_000, 5 << 30].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 GiB"]);
        assert_eq!([0, 2048, -2048].map(growth), ["0 B", "+2.0 KiB", "-2.0 KiB"]);
    }
}
