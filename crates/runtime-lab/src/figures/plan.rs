//! What there is to measure, how often, how long, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use tempfile::TempDir;

use super::args::CoreArgs;
use super::error::FiguresError;

/// How many threads work the tasks: those of ours and those of the baseline.
pub(crate) const WORKERS: usize = 2;

/// The figures that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Runs of an agent that does nothing, against asking an actor that does nothing
    NoopRun,
    /// Resident memory over five million runs
    Memory,
    /// Transcripts parsed and dropped, with the allocator that meters and without
    Metered,
    /// Runs without steps at `Disk`, against commits of the same bytes
    DurableRun,
    /// Commits of 4 KiB, against redb driven directly
    GroupCommit,
    /// Commits of 4 KiB by one writer, against appending to a file
    OneWriter,
    /// Commits to Redis, against `redis-benchmark`
    RedisCommits,
    /// A store of a gigabyte whose process was killed
    OpenAfterKill,
    /// A million agents that do nothing
    Idle,
    /// A run of a thousand steps whose process died
    Replay,
    /// Ten thousand open runs whose process died
    Resume,
    /// A run with a call of a model that does nothing
    ModelCall,
    /// A conversation of two thousand turns
    Conversation,
    /// Saves after ten thousand messages
    Save,
    /// Runs while the store is looked over for damage, against runs while nobody looks
    Scrub,
    /// A call under all limits, against as many checks of a rate limiter and a semaphore
    Admission,
    /// Ten thousand idle agents, each looked at every second
    Monitored,
    /// One publisher and 1 to 1,000 live readers, against the best channel
    FanOut,
    /// Events that nobody reads, against a look-up in the same table
    Unheard,
    /// Look-ups among ten thousand patterns
    Patterns,
    /// A reader that has stopped beside ten that have not
    Stopped,
    /// Durable events at `Disk`, against the store's own commits
    DurableEvents,
    /// Durable events in Redis, against raw streams
    RedisEvents,
}

/// What figures are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// The engine and its stores.
    Core,
    /// The event bus.
    Bus,
}

/// How often, how long, and where.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How often ours and the baseline take turns.
    pub(crate) rounds: u32,
    /// How long one turn lasts.
    pub(crate) turn: Duration,
    /// Sizes are divided by this.
    shrink: u64,
    folder: PathBuf,
}

impl Which {
    /// All, in the order in which they are measured.
    pub(crate) const ALL: [Self; 23] = [
        Self::NoopRun,
        Self::Memory,
        Self::Metered,
        Self::DurableRun,
        Self::GroupCommit,
        Self::OneWriter,
        Self::RedisCommits,
        Self::OpenAfterKill,
        Self::Idle,
        Self::Replay,
        Self::Resume,
        Self::ModelCall,
        Self::Conversation,
        Self::Save,
        Self::Scrub,
        Self::Admission,
        Self::Monitored,
        Self::FanOut,
        Self::Unheard,
        Self::Patterns,
        Self::Stopped,
        Self::DurableEvents,
        Self::RedisEvents,
    ];

    /// What it is about.
    pub(crate) fn area(self) -> Area {
        match self {
            Self::FanOut
            | Self::Unheard
            | Self::Patterns
            | Self::Stopped
            | Self::DurableEvents
            | Self::RedisEvents => Area::Bus,
            Self::NoopRun
            | Self::Memory
            | Self::Metered
            | Self::DurableRun
            | Self::GroupCommit
            | Self::OneWriter
            | Self::RedisCommits
            | Self::OpenAfterKill
            | Self::Idle
            | Self::Replay
            | Self::Resume
            | Self::ModelCall
            | Self::Conversation
            | Self::Save
            | Self::Scrub
            | Self::Admission
            | Self::Monitored => Area::Core,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

impl Plan {
    pub(crate) fn new(args: &CoreArgs) -> Result<Self, FiguresError> {
        let folder = args.dir.clone().unwrap_or_else(|| workspace().join("target/figures"));
        std::fs::create_dir_all(&folder)
            .map_err(|error| FiguresError::io(format!("the folder `{}`", folder.display()), error))?;
        let (rounds, turn, shrink) = if args.quick { (3, 300, 100) } else { (9, 1_000, 1) };
        let turn = Duration::from_millis(turn);
        Ok(Self { rounds: args.rounds.unwrap_or(rounds), turn, shrink, folder })
    }

    /// The size to measure with, of the size that the promise names.
    pub(crate) fn sized(&self, promised: u64) -> u64 {
        promised / self.shrink
    }

    /// A folder for stores, removed with its value.
    pub(crate) fn folder(&self) -> Result<TempDir, FiguresError> {
        tempfile::tempdir_in(&self.folder)
            .map_err(|error| FiguresError::io(format!("a folder in `{}`", self.folder.display()), error))
    }
}

/// The root of the workspace that this program was built in.
pub(crate) fn workspace() -> &'static Path {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.ancestors().nth(2).unwrap_or(lab)
}
