//! What is wrong with a schedule.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is wrong with a schedule, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleError {
    /// The line of cron cannot be read.
    #[error(
        "`{line}` is no line of cron: {problem}; write minute, hour, day of the month, month and day of the week, as in `30 9 * * mon-fri`"
    )]
    BadCron {
        /// The line.
        line: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The line of cron names days that no year has.
    #[error(
        "`{line}` never fires: no month of those that it names has such a day; change its day or its month"
    )]
    NeverFires {
        /// The line.
        line: String,
    },
    /// There is no such time zone.
    #[error("there is no time zone `{zone}`; give its IANA name, as in `Europe/Berlin` or `UTC`")]
    UnknownZone {
        /// The zone.
        zone: String,
    },
    /// The interval is too short.
    #[error("an interval of `{ms}` ms is too short; give at least {least} ms")]
    TooShort {
        /// The interval, in milliseconds.
        ms: u64,
        /// The shortest one, in milliseconds.
        least: u64,
    },
    /// A moment or an interval lies beyond what can be scheduled.
    #[error("`{what}` lies too far ahead; give something within a hundred years")]
    TooFar {
        /// What, with its milliseconds.
        what: String,
    },
    /// The one moment has passed.
    #[error("`{at}` has passed already; give a moment that lies ahead, or run the agent now")]
    Passed {
        /// The moment.
        at: String,
    },
    /// The run has an idempotency key, or is an answer.
    #[error("the run of a schedule takes no `{what}`; leave it out, because each fire is a run of its own")]
    NotOfASchedule {
        /// What it has.
        what: String,
    },
    /// The agent has too many.
    #[error("agent `{agent}` has {limit} schedules, which is the most; delete one that has done its work")]
    TooMany {
        /// The agent, as the caller named it.
        agent: String,
        /// How many one agent may have.
        limit: u64,
    },
}
