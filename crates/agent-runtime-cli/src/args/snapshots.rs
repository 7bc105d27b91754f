//! What people type about snapshots.

use std::path::PathBuf;
use std::time::Duration;

use agent_runtime::fleet::span;
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
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    younger: Option<Duration>,
}

impl KeepArgs {
    /// The rules.
    pub(crate) fn retention(&self) -> Retention {
        Retention { newest: self.newest, within: self.younger }
    }
}
