//! One place that is not as it should be, and whose it is.

use std::fmt;

use runtime_codec::{CodecError, Whose, cell_sort, log_sort};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Key, Log, Path, StateError};
use serde::{Serialize, Serializer};

/// A place of a partition that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "sort", rename_all = "snake_case")]
pub enum DamagedPlace {
    /// A cell.
    Cell {
        /// Its path.
        #[serde(serialize_with = "as_text")]
        path: Path,
    },
    /// A log as a whole.
    Log {
        /// Its path.
        #[serde(serialize_with = "as_text")]
        path: Path,
    },
    /// An entry of a log; those before and after it are looked at by themselves.
    Entry {
        /// The log's path.
        #[serde(serialize_with = "as_text")]
        path: Path,
        /// The entry's number.
        seq: u64,
    },
    /// All cells after this one: the store does not say how many there are.
    CellsAfter {
        /// The last path that can be read, if there is one.
        #[serde(serialize_with = "as_text_if_any")]
        path: Option<Path>,
    },
    /// All logs after this one.
    LogsAfter {
        /// The last path that can be read, if there is one.
        #[serde(serialize_with = "as_text_if_any")]
        path: Option<Path>,
    },
}

/// What sort of damage it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageSort {
    /// The store itself cannot show it.
    Unreadable,
    /// Its bytes are not what the runtime writes there.
    Record,
    /// A newer version of the runtime wrote it. This is no damage, and nothing that this version may touch.
    Newer,
    /// A content that it names is missing, or is not what its hash says.
    Content,
    /// Something that it needs is not there.
    Dangling,
}

/// A place that is damaged, why, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The partition.
    pub partition: Partition,
    /// Where in it.
    #[serde(flatten)]
    pub place: DamagedPlace,
    /// Of which sort.
    pub damage: DamageSort,
    /// What is wrong, in words.
    pub what: String,
    /// The tenant, if it is known.
    pub tenant: Option<Tenant>,
    /// The agent, if it is known.
    pub agent: Option<AgentId>,
    /// The session, if it is known.
    pub session: Option<SessionName>,
    /// The run, if it is known.
    pub run: Option<RunId>,
}

/// What is wrong with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) sort: DamageSort,
    pub(crate) what: String,
}

impl Fault {
    pub(crate) fn dangling(what: impl Into<String>) -> Self {
        Self { sort: DamageSort::Dangling, what: what.into() }
    }

    pub(crate) fn content(what: impl Into<String>) -> Self {
        Self { sort: DamageSort::Content, what: what.into() }
    }

    pub(crate) fn record(what: impl Into<String>) -> Self {
        Self { sort: DamageSort::Record, what: what.into() }
    }
}

impl From<&StateError> for Fault {
    fn from(error: &StateError) -> Self {
        let what = match error {
            StateError::Damaged { what } => what.clone(),
            other => other.to_string(),
        };
        Self { sort: DamageSort::Unreadable, what }
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        let sort = match error {
            CodecError::Newer { .. } => DamageSort::Newer,
            _ => DamageSort::Record,
        };
        Self { sort, what: error.to_string() }
    }
}

impl Damage {
    /// A fault at a place. Whose it is is read from the place's path, where `whose` does not say it.
    pub(crate) fn at(partition: Partition, place: DamagedPlace, fault: Fault, whose: Option<&Whose>) -> Self {
        let Whose { tenant, agent, session, run } = whose.cloned().unwrap_or_else(|| place.whose(partition));
        let Fault { sort, what } = fault;
        Self { partition, place, damage: sort, what, tenant, agent, session, run }
    }
}

impl DamagedPlace {
    /// The path that is damaged, if it is known.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Cell { path } | Self::Log { path } | Self::Entry { path, .. } => Some(path),
            Self::CellsAfter { .. } | Self::LogsAfter { .. } => None,
        }
    }

    /// Whose it is, as far as the path tells.
    pub(crate) fn whose(&self, partition: Partition) -> Whose {
        match self {
            Self::Cell { path } => cell_sort(&Key { partition, path: path.clone() }).1,
            Self::Log { path } | Self::Entry { path, .. } => {
                log_sort(&Log { partition, path: path.clone() }).1
            }
            Self::CellsAfter { .. } | Self::LogsAfter { .. } => Whose::default(),
        }
    }
}

impl fmt::Display for DamagedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell { path } => write!(f, "cell {path}"),
            Self::Log { path } => write!(f, "log {path}"),
            Self::Entry { path, seq } => write!(f, "entry {seq} of log {path}"),
            Self::CellsAfter { path: Some(path) } => write!(f, "cells after {path}"),
            Self::LogsAfter { path: Some(path) } => write!(f, "logs after {path}"),
            Self::CellsAfter { path: None } => f.write_str("all cells"),
            Self::LogsAfter { path: None } => f.write_str("all logs"),
        }
    }
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

fn as_text_if_any<S: Serializer>(path: &Option<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(Path::to_string).serialize(serializer)
}
