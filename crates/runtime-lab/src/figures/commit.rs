//! Of which code, when and where the figures are.

use std::process::Command;

use runtime_core::SystemClock;
use runtime_traits::clock::{Clock, UnixMillis};
use serde::Serialize;

use super::plan::workspace;

/// Of which code, when and where the figures are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Taken {
    /// Ends with `+` when files differ from the commit.
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) machine: String,
}

impl Taken {
    pub(crate) fn now() -> Self {
        let commit = git(&["rev-parse", "--short=9", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
        let clean =
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|said| said.is_empty());
        let commit = if clean { commit } else { format!("{commit}+") };
        Self { commit, date: date(SystemClock::default().now()), machine: machine() }
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(workspace()).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cpus} × {}", model.map_or("unknown processor", |(_, name)| name.trim()))
}

/// The day, in UTC, as 2026-11-22.
fn date(at: UnixMillis) -> String {
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let days = at.0 / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let day = 86_400_000;
        let dates = [0, 59 * day, 11_016 * day, 11_017 * day, 20_779 * day, 20_780 * day - 1];
        let dates = dates.map(|at| date(UnixMillis(at)));
        let expected = ["1970-01-01", "1970-03-01", "2000-02-29", "2000-03-01", "2026-11-22", "2026-11-22"];
        assert_eq!(dates, expected);
    }
}
