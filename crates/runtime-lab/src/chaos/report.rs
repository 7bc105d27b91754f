//! What an experiment came to, and how it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::check::Looked;
use super::violation::Violation;

/// The most violations that are printed of one law.
const SHOWN: usize = 10;

/// What an experiment came to.
#[derive(Debug)]
pub(super) struct Report {
    /// The name of its command.
    pub(super) name: &'static str,
    /// How often it was done.
    pub(super) n: u64,
    pub(super) seed: u64,
    pub(super) violations: Vec<Violation>,
    /// What else was measured, for the line of the result.
    pub(super) figures: Vec<(&'static str, String)>,
    /// What was looked at, in whole lines; empty if nobody asked for it.
    pub(super) details: String,
    /// Where everything is kept.
    pub(super) kept: Option<PathBuf>,
}

/// What was looked at.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) looked: Looked,
    pub(super) submitted: u32,
    pub(super) accepted: usize,
    pub(super) snapshots: usize,
    /// How often processes died where.
    pub(super) deaths: BTreeMap<String, u32>,
}

/// The percentile of times in milliseconds, as it is shown.
pub(super) fn percentile(times: &[u64], percent: usize) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    match times.len() {
        0 => "none".to_owned(),
        count => format!("{}ms", times[(count * percent).div_ceil(100).max(1) - 1]),
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looked = &self.looked;
        writeln!(
            f,
            "looked submissions={} accepted={} runs={} entries={} attempts={} handed_over={} executions={} \
             repeats={} verdicts={} cancels={} model_calls={} tool_calls={} consents={} denials={} answers={} \
             children={} rolled_back={} said={} mails={} events={} snapshots={}",
            self.submitted,
            self.accepted,
            looked.runs,
            looked.entries,
            looked.attempts,
            looked.handed_over,
            looked.executions,
            looked.repeats,
            looked.verdicts,
            looked.cancelled,
            looked.model_calls,
            looked.tool_calls,
            looked.consents,
            looked.denials,
            looked.answers,
            looked.children,
            looked.rolled_back,
            looked.said,
            looked.mails,
            looked.events,
            self.snapshots,
        )?;
        for (place, times) in &self.deaths {
            writeln!(f, "died times={times} at={place}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = BTreeMap::new();
        for violation in &self.violations {
            let times = shown.entry(violation.law).or_insert(0);
            *times += 1;
            if *times <= SHOWN {
                writeln!(f, "{violation}")?;
            }
        }
        for (law, times) in shown.into_iter().filter(|(_, times)| *times > SHOWN) {
            writeln!(f, "violation law={law} and {} more", times - SHOWN)?;
        }
        f.write_str(&self.details)?;
        if let Some(kept) = &self.kept {
            writeln!(f, "kept {}", kept.display())?;
        }
        write!(f, "result name={} n={} violations={}", self.name, self.n, self.violations.len())?;
        for (figure, value) in &self.figures {
            write!(f, " {figure}={value}")?;
        }
        writeln!(f, " seed={}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, percentile};
    use crate::chaos::violation::{Law, Violation};

    #[test]
    fn every_violation_counts_and_the_result_is_the_last_line() {
        let violations = vec![Violation::new(Law::Twice, "`pay` of a run"); 12];
        let restarts: Vec<u64> = (1..=200).rev().collect();
        let figures = vec![("p50", percentile(&restarts, 50)), ("p99", percentile(&restarts, 99))];
        let report = Report {
            name: "crash",
            n: 201,
            seed: 7,
            violations,
            figures,
            details: "looked runs=3\n".to_owned(),
            kept: None,
        };

        let text = report.to_string();

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 13);
        assert_eq!(lines[0], "violation law=twice `pay` of a run");
        assert_eq!(lines[10], "violation law=twice and 2 more");
        assert_eq!(lines[11], "looked runs=3");
        assert_eq!(lines[12], "result name=crash n=201 violations=12 p50=100ms p99=198ms seed=7");
    }
}
