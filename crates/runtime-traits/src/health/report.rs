//! What is known of what is watched, and who knows it.

use std::any::Any;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Health, Verdict, Watched};
use crate::clock::UnixMillis;
use crate::error::Cause;

/// How something that is watched is: the worst of its checks, and each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// What is watched.
    pub watched: Watched,
    /// The worst that is shown.
    pub health: Health,
    /// Since when its verdict is shown.
    pub since: UnixMillis,
    /// Its checks, by name.
    pub checks: Vec<CheckReport>,
}

/// What is known by one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's name.
    pub name: String,
    /// What is shown.
    pub health: Health,
    /// Since when that verdict is shown.
    pub since: UnixMillis,
    /// The last look; `None`: it has not been looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// What was done, where the check has a recovery and it was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryReport>,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// When it was over.
    pub at: UnixMillis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it found: what is shown may still be another thing.
    pub found: Health,
}

/// What was done about a check that is unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// How many tries there were since it was last healthy.
    pub attempts: u32,
    /// The last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Tried>,
    /// When the next try may be; `None`: none is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UnixMillis>,
    /// Since when nothing more is tried until a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<UnixMillis>,
}

/// One try of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// When it was over.
    pub at: UnixMillis,
    /// Why it did not work, where it said that it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Cause>,
}

/// That what is shown of something turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTurn {
    /// Of what.
    pub watched: Watched,
    /// The check that saw it.
    pub check: String,
    /// What was shown.
    pub from: Health,
    /// What is shown now.
    pub to: Health,
    /// When.
    pub at: UnixMillis,
}

/// How all is that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthOverview {
    /// The worst of all, named in its reason. Where nothing is watched, nobody can tell.
    pub health: Health,
    /// How much is watched.
    pub watched: VerdictCounts,
    /// Each thing that is watched, the worst first; at most [`HealthOverview::MOST`].
    pub reports: Vec<HealthReport>,
}

/// How many show which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictCounts {
    /// They do what they should.
    pub healthy: u64,
    /// Of them nobody can tell.
    pub unknown: u64,
    /// They work, but worse than they should.
    pub degraded: u64,
    /// They do not work.
    pub unhealthy: u64,
}

/// Who knows how what is watched is. A runtime is given one, and tells its callers what it knows.
pub trait HealthSource: Any + fmt::Debug + Send + Sync {
    /// How something is; `None`: it is not watched.
    fn report(&self, watched: &Watched) -> Option<HealthReport>;

    /// How all is that is watched and that the caller may `see`.
    fn overview(&self, see: &dyn Fn(&Watched) -> bool) -> HealthOverview;

    /// The worst of all that is watched, named in its reason; `None`: nothing is watched.
    fn worst(&self) -> Option<Health>;

    /// Something came to be: it may be watched from now on.
    fn appeared(&self, watched: &Watched);

    /// Something is there no more: it is watched no longer.
    fn forget(&self, watched: &Watched);
}

impl HealthReport {
    /// Of what nobody watches.
    pub fn unwatched(watched: Watched, now: UnixMillis) -> Self {
        let health = Health::new(Verdict::Unknown, "nobody monitors it");
        Self { watched, health, since: now, checks: Vec::new() }
    }

    /// What is shown, with what it is of in the reason. What is well needs none.
    pub fn named(&self) -> Health {
        let Self { watched, health: Health { verdict, reason }, .. } = self;
        match verdict {
            Verdict::Healthy => Health::HEALTHY,
            worse => Health::new(*worse, format!("{watched}: {reason}")),
        }
    }
}

impl HealthOverview {
    /// The most reports in an overview.
    pub const MOST: usize = 100;

    /// The overview of some reports.
    pub fn of(mut reports: Vec<HealthReport>) -> Self {
        let mut watched = VerdictCounts::default();
        reports.iter().for_each(|report| watched.count(report.health.verdict));
        // A stable order: of equals the one that comes first in the list.
        reports.sort_by_key(|report| std::cmp::Reverse(report.health.verdict));
        let health = match reports.first() {
            Some(worst) => worst.named(),
            None => Health::new(Verdict::Unknown, "nothing is monitored"),
        };
        reports.truncate(Self::MOST);
        Self { health, watched, reports }
    }
}

impl VerdictCounts {
    /// How many there are.
    pub fn all(&self) -> u64 {
        self.healthy + self.unknown + self.degraded + self.unhealthy
    }

    /// Counts one more.
    pub fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Healthy => &mut self.healthy,
            Verdict::Unknown => &mut self.unknown,
            Verdict::Degraded => &mut self.degraded,
            Verdict::Unhealthy => &mut self.unhealthy,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn report(name: &str, verdict: Verdict) -> HealthReport {
        let watched = Watched::Other(Name::new(name).unwrap());
        HealthReport {
            watched,
            health: Health::new(verdict, "why"),
            since: UnixMillis(1),
            checks: Vec::new(),
        }
    }

    #[test]
    fn an_overview_counts_all_and_lists_the_worst_first() {
        let mut reports: Vec<_> = (0..200).map(|nth| report(&format!("n{nth}"), Verdict::Healthy)).collect();
        reports.push(report("slow", Verdict::Degraded));
        reports.push(report("dead", Verdict::Unhealthy));
        reports.push(report("mute", Verdict::Unknown));

        let overview = HealthOverview::of(reports);

        assert_eq!(overview.health, Health::new(Verdict::Unhealthy, "dead: why"));
        assert_eq!(overview.watched, VerdictCounts { healthy: 200, unknown: 1, degraded: 1, unhealthy: 1 });
        assert_eq!(overview.watched.all(), 203);
        assert_eq!(overview.reports.len(), HealthOverview::MOST);
        let first: Vec<_> = overview.reports[..4].iter().map(|report| report.watched.to_string()).collect();
        assert_eq!(first, ["dead", "slow", "mute", "n0"]);
    }

    #[test]
    fn where_nothing_is_watched_nobody_can_tell() {
        let overview = HealthOverview::of(Vec::new());
        assert_eq!(overview.health, Health::new(Verdict::Unknown, "nothing is monitored"));
    }

    #[test]
    fn a_report_is_the_same_after_a_way_over_the_wire() {
        let tried = Tried { at: UnixMillis(4), failed: Some(Cause::says("nothing helps")) };
        let recovery =
            RecoveryReport { attempts: 2, last: Some(tried), next: None, quarantine: Some(UnixMillis(5)) };
        let looked = Looked { at: UnixMillis(3), took_ms: 7, found: Health::HEALTHY };
        let check = CheckReport {
            name: "thing".to_owned(),
            health: Health::new(Verdict::Unhealthy, "no answer"),
            since: UnixMillis(2),
            looked: Some(looked),
            recovery: Some(recovery),
        };
        let report = HealthReport { checks: vec![check], ..report("thing", Verdict::Unhealthy) };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<HealthReport>(&json).unwrap(), report);
    }
}
