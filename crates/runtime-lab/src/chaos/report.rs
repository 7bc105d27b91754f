//! What a campaign came to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::check::Looked;
use super::violation::Violation;

/// The most violations that are printed of one law.
const SHOWN: usize = 10;

/// What a campaign came to.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) kills: u32,
    /// From the start of a process until it served, in milliseconds.
    pub(super) restarts: Vec<u64>,
    pub(super) violations: Vec<Violation>,
    /// What was looked at; only if it was asked for.
    pub(super) details: Option<Details>,
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

impl Report {
    fn percentile(&self, percent: usize) -> String {
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        match restarts.len() {
            0 => "none".to_owned(),
            count => format!("{}ms", restarts[(count * percent).div_ceil(100).max(1) - 1]),
        }
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looked = &self.looked;
        writeln!(
            f,
            "looked submissions={} accepted={} runs={} entries={} attempts={} handed_over={} executions={} \
             repeats={} verdicts={} cancels={} model_calls={} tool_calls={} consents={} denials={} answers={} \
             children={} rolled_back={} said={} mails={} snapshots={}",
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
        if let Some(details) = &self.details {
            write!(f, "{details}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "kept {}", kept.display())?;
        }
        writeln!(
            f,
            "result name=crash n={} violations={} p50={} p99={} seed={}",
            self.kills,
            self.violations.len(),
            self.percentile(50),
            self.percentile(99),
            self.seed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::chaos::violation::{Law, Violation};

    #[test]
    fn every_violation_counts_and_the_result_is_the_last_line() {
        let violations = vec![Violation::new(Law::Twice, "`pay` of a run"); 12];
        let restarts = (1..=200).rev().collect();
        let report = Report { seed: 7, kills: 201, restarts, violations, details: None, kept: None };

        let text = report.to_string();

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[0], "violation law=twice `pay` of a run");
        assert_eq!(lines[10], "violation law=twice and 2 more");
        assert_eq!(lines[11], "result name=crash n=201 violations=12 p50=100ms p99=198ms seed=7");
    }
}
