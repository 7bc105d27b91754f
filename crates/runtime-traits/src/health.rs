//! How something is, what finds it out, and what is done about it.

mod check;
mod report;

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Cause;
pub use check::{HealthCheck, Recovery, RecoveryAnswer, Watched};
pub use report::{
    CheckReport, HealthOverview, HealthReport, HealthSource, HealthTurn, Looked, RecoveryReport, Tried,
    VerdictCounts,
};

/// How something is. Ordered: a greater verdict is a worse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does what it should.
    Healthy,
    /// Nobody can tell. Worse than healthy: doubt is never shown as fine.
    Unknown,
    /// It works, but worse than it should.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is.
    pub verdict: Verdict,
    /// Why, for people; empty where there is nothing to say.
    #[serde(default)]
    pub reason: String,
}

impl Verdict {
    /// All verdicts, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Unknown, Self::Degraded, Self::Unhealthy];
}

impl Health {
    /// It does what it should, and there is nothing more to say.
    pub const HEALTHY: Self = Self { verdict: Verdict::Healthy, reason: String::new() };

    /// A verdict with its reason.
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into() }
    }

    /// The worst of `healths`, the first of these where several are equally bad.
    ///
    /// Of none it is [`Verdict::Unknown`]: what nobody has looked at is not fine.
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::health::{Health, Verdict};
    ///
    /// let slow = Health::new(Verdict::Degraded, "answers take 9 s");
    /// assert_eq!(Health::worst_of([Health::HEALTHY, slow.clone()]), slow);
    /// assert_eq!(Health::worst_of([]).verdict, Verdict::Unknown);
    /// ```
    pub fn worst_of(healths: impl IntoIterator<Item = Self>) -> Self {
        let worse = |worst: Self, next: Self| {
            if next.verdict > worst.verdict { next } else { worst }
        };
        let nothing = || Self::new(Verdict::Unknown, "no check has run");
        healths.into_iter().reduce(worse).unwrap_or_else(nothing)
    }
}

impl From<bool> for Health {
    /// `true` is healthy.
    fn from(is_well: bool) -> Self {
        if is_well { Self::HEALTHY } else { Self::new(Verdict::Unhealthy, "the check says no") }
    }
}

impl<E: Error> From<Result<(), E>> for Health {
    /// An error is the reason of an unhealthy verdict, with all its sources.
    fn from(checked: Result<(), E>) -> Self {
        match checked {
            Ok(()) => Self::HEALTHY,
            Err(error) => Self::new(Verdict::Unhealthy, Cause::of(&error).to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => self.verdict.fmt(f),
            reason => write!(f, "{}: {reason}", self.verdict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Verdict};

    #[test]
    fn the_worst_wins_and_of_equals_the_first() {
        let first = Health::new(Verdict::Unhealthy, "the store is gone");
        let healths = [
            Health::HEALTHY,
            Health::new(Verdict::Degraded, "slow"),
            first.clone(),
            Health::new(Verdict::Unhealthy, "the disk is full"),
            Health::new(Verdict::Unknown, "no answer"),
        ];

        assert_eq!(Health::worst_of(healths), first);
    }

    #[test]
    fn doubt_is_worse_than_fine_and_no_check_is_doubt() {
        let doubt = Health::new(Verdict::Unknown, "no answer");

        assert_eq!(Health::worst_of([Health::HEALTHY, doubt.clone()]), doubt);
        assert_eq!(Health::worst_of([]), Health::new(Verdict::Unknown, "no check has run"));
    }

    #[test]
    fn verdicts_are_ordered_and_shown_as_they_are_written() {
        assert!(Verdict::ALL.is_sorted());
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
        assert_eq!(Health::HEALTHY.to_string(), "healthy");
        assert_eq!(Health::new(Verdict::Degraded, "slow").to_string(), "degraded: slow");
    }

    #[test]
    fn an_answer_of_yes_or_no_and_an_error_are_healths() {
        assert_eq!(Health::from(true), Health::HEALTHY);
        assert_eq!(Health::from(false), Health::new(Verdict::Unhealthy, "the check says no"));
        assert_eq!(Health::from(Ok::<(), std::fmt::Error>(())), Health::HEALTHY);
        let error = Err(std::io::Error::other("the disk is gone"));
        assert_eq!(Health::from(error), Health::new(Verdict::Unhealthy, "the disk is gone"));
    }
}
