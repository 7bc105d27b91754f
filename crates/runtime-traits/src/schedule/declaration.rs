//! How a schedule is declared.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::name::Name;
use crate::runtime::RunRequest;

/// When an agent gets which run.
///
/// # Examples
/// ```
/// use runtime_traits::schedule::{Missed, Schedule, Timing};
/// use runtime_traits::{Name, RunRequest};
///
/// let timing = Timing::cron("0 9 * * mon-fri").in_zone("Europe/Berlin");
/// let schedule = Schedule::new(Name::new("morning")?, timing, "Write the report.");
/// assert_eq!(schedule.missed, Missed::Once);
/// # Ok::<(), runtime_traits::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Its name, unique among those of its agent without regard to case.
    pub name: Name,
    /// When it fires.
    pub timing: Timing,
    /// What becomes of moments at which it could not fire.
    #[serde(default)]
    pub missed: Missed,
    /// The run that each fire begins. Its idempotency key is given by the runtime: one to each moment.
    pub run: RunRequest,
}

/// At which moments a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Timing {
    /// By the calendar.
    ///
    /// A time that a clock change leaves out stands for the moment of the change. A time that it repeats counts once, the first time;
    /// a line for every hour goes by real time instead, and fires in both.
    Cron {
        /// Minute, hour, day of the month, month and day of the week, each `*`, a number, a range or a list of them with or without a
        /// step; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Where both days are given, one of them is enough.
        line: String,
        /// The IANA name of the time zone.
        #[serde(default = "utc")]
        zone: String,
    },
    /// Again and again.
    Every {
        /// After how many milliseconds.
        ms: u64,
        /// The moment from which they are counted, which is the first one if it lies ahead. `None`: from when it was declared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<UnixMillis>,
    },
    /// One time.
    Once {
        /// When.
        at: UnixMillis,
    },
}

/// What becomes of moments at which a schedule could not fire: the runtime was down, the agent was stopped, its queue was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out. A fire may be a minute late.
    Skip,
    /// They are made up for by one run, as soon as that is possible.
    #[default]
    Once,
    /// Each is made up for by a run of its own, in their order.
    All,
}

/// Who declares a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledBy {
    /// Somebody, while the runtime ran.
    #[default]
    Hand,
    /// A fleet file. What it no longer declares is deleted when it is served.
    FleetFile,
}

impl Schedule {
    /// Runs an agent with `run` by this timing; moments that were missed are made up for by one run.
    pub fn new(name: Name, timing: Timing, run: impl Into<RunRequest>) -> Self {
        Self { name, timing, missed: Missed::default(), run: run.into() }
    }

    /// Sets what becomes of moments that were missed.
    #[must_use]
    pub fn when_missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }
}

impl Timing {
    /// By a line of cron, in UTC.
    pub fn cron(line: impl Into<String>) -> Self {
        Self::Cron { line: line.into(), zone: utc() }
    }

    /// Every so often from when it is declared; a part of a millisecond is lost.
    pub fn every(interval: std::time::Duration) -> Self {
        Self::Every { ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), from: None }
    }

    /// One time.
    pub fn once(at: UnixMillis) -> Self {
        Self::Once { at }
    }

    /// Reads a line of cron in this time zone; the others know none.
    #[must_use]
    pub fn in_zone(self, zone: impl Into<String>) -> Self {
        match self {
            Self::Cron { line, .. } => Self::Cron { line, zone: zone.into() },
            other => other,
        }
    }
}

impl std::fmt::Display for ScheduledBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hand => "hand",
            Self::FleetFile => "fleet_file",
        })
    }
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        })
    }
}

fn utc() -> String {
    "UTC".to_owned()
}
