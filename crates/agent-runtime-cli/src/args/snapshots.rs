//! What people type about snapshots.

use std::path::PathBuf;
use std::time::Duration;

use agent_runtime::snapshot::Retention;
use agent_runtime::{AgentRef, Name, StateId};
use clap::{Args, Subcommand};

/// `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The snapshot, as `save` and `snapshots` name it
    pub(crate) state: StateId,
    /// The new agent's name [default: made of the old one's]
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Put this agent back instead of making a new one: it has to be stopped, without open runs, and of the same kind
    #[arg(long, value_name = "AGENT", conflicts_with = "name")]
    pub(crate) in_place: Option<AgentRef>,
}

/// `snapshot …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Show a snapshot: its agent, its conversations
    Show {
        /// The snapshot
        state: StateId,
    },
    /// Say how two snapshots differ
    Diff {
        /// The one before
        before: StateId,
        /// The one after
        after: StateId,
    },
    /// Delete a snapshot
    Delete {
        /// The snapshot
        state: StateId,
    },
    /// Keep some of an agent's snapshots, and delete the others
    Keep(KeepArgs),
    /// Write a snapshot into a file that another store can take in
    Export {
        /// The snapshot
        state: StateId,
        /// The file, which is not there yet; `-` is the standard output
        file: PathBuf,
    },
    /// Take a snapshot from a file, and print its id
    Import {
        /// The file; `-` is the standard input
        file: PathBuf,
    },
}

/// `snapshot keep`.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// Keep the newest, so many
    #[arg(long, value_name = "N", required_unless_present = "younger")]
    newest: Option<u32>,
    /// Keep those that are younger: a number and s, m, h or d, as in 30d
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    younger: Option<Duration>,
}

impl KeepArgs {
    /// The rules.
    pub(crate) fn retention(&self) -> Retention {
        Retention { newest: self.newest, within: self.younger }
    }
}

/// `90s`, `30m`, `12h`, `30d`.
fn time(given: &str) -> Result<Duration, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(time("30d"), Ok(Duration::from_secs(2_592_000)));
        for wrong in ["", "d", "3", "3w", "-1d", "1.5d", "99999999999999999999d", "999999999999999999d", "3ü"]
        {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
