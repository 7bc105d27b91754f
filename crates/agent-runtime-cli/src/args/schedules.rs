//! What people type about schedules.

use std::time::Duration;

use agent_runtime::fleet::span;
use agent_runtime::schedule::{Missed, Timing};
use agent_runtime::{AgentRef, Clock, Name, SessionName, SystemClock, UnixMillis};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// `schedules …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// List them, soonest first
    List {
        /// Only this agent's
        agent: Option<AgentRef>,
    },
    /// Show one: when it fires, and what it did
    Show(ScheduleArg),
    /// Run an agent by the clock from now on, or change how
    Add(AddArgs),
    /// Let it not fire; what passes meanwhile is not missed
    Pause(ScheduleArg),
    /// End a pause
    Resume(ScheduleArg),
    /// Delete it; its runs go on
    #[command(visible_alias = "remove")]
    Rm(ScheduleArg),
}

/// A schedule of an agent.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArg {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// The schedule
    pub(crate) name: Name,
}

/// `schedules add`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("timing").required(true).args(["cron", "every", "at", "after"])))]
pub(crate) struct AddArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// The schedule's name; one that the agent has is changed
    pub(crate) name: Name,
    /// What the agent shall work on, each time; `-` reads it from the standard input
    pub(crate) input: String,
    /// By the calendar: minute, hour, day of the month, month, day of the week, as in "30 9 * * mon-fri", or @daily
    #[arg(long, value_name = "LINE")]
    cron: Option<String>,
    /// The time zone in which the line is read, as in Europe/Berlin
    #[arg(long, value_name = "ZONE", requires = "cron", default_value = "UTC")]
    zone: String,
    /// Again and again: a number and s, m, h or d, as in 10m
    #[arg(long, value_name = "TIME", value_parser = span)]
    every: Option<Duration>,
    /// Once, at a moment like 2026-11-30T08:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    at: Option<UnixMillis>,
    /// Once, so long from now
    #[arg(long = "in", value_name = "TIME", value_parser = span)]
    after: Option<Duration>,
    /// What becomes of moments at which it could not fire
    #[arg(long, value_name = "RULE", default_value = "once")]
    missed: MissedArg,
    /// The conversation that its runs belong to
    #[arg(long, default_value = "default")]
    pub(crate) session: SessionName,
    /// Where runs wait for room under a limit, or to be worked, higher ones come first
    #[arg(long, value_name = "0-255", default_value_t = 0)]
    pub(crate) priority: u8,
}

/// What becomes of moments that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MissedArg {
    /// They are left out
    Skip,
    /// One run makes up for all of them
    Once,
    /// Each is made up for, in their order
    All,
}

impl AddArgs {
    /// When it fires.
    pub(crate) fn timing(&self) -> Timing {
        match (&self.cron, self.every, self.at, self.after) {
            (Some(line), ..) => Timing::cron(line).in_zone(&self.zone),
            (_, Some(every), ..) => Timing::every(every),
            (.., Some(at), _) => Timing::once(at),
            (.., after) => Timing::once(SystemClock::default().now().after(after.unwrap_or_default())),
        }
    }

    /// What becomes of moments that were missed.
    pub(crate) fn missed(&self) -> Missed {
        match self.missed {
            MissedArg::Skip => Missed::Skip,
            MissedArg::Once => Missed::Once,
            MissedArg::All => Missed::All,
        }
    }
}

fn moment(given: &str) -> Result<UnixMillis, String> {
    UnixMillis::from_rfc3339(given).ok_or_else(|| "give a moment like 2026-11-30T08:00:00Z".to_owned())
}
