//! One place that cannot be read, and whose it is.

use std::fmt;

use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Path, StateError};
use serde::{Serialize, Serializer};

/// A place of a partition that cannot be read.
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

/// A place that cannot be read, why, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The partition.
    pub partition: Partition,
    /// Where in it.
    #[serde(flatten)]
    pub place: DamagedPlace,
    /// What the store says.
    pub what: String,
    /// The tenant, if the path tells.
    pub tenant: Option<Tenant>,
    /// The agent, if the path tells.
    pub agent: Option<AgentId>,
    /// The session, if the path tells.
    pub session: Option<SessionName>,
    /// The run, if the path tells.
    pub run: Option<RunId>,
}

impl Damage {
    pub(super) fn at(partition: Partition, place: DamagedPlace, error: &StateError) -> Self {
        let what = match error {
            StateError::Damaged { what } => what.clone(),
            other => other.to_string(),
        };
        let mut damage = Self { partition, what, tenant: None, agent: None, session: None, run: None, place };
        if let Some(path) = damage.place.path().cloned() {
            damage.of_path(&path);
        }
        damage
    }

    /// Reads the keyspace: `t/<tenant>/<sort>/<agent>/<session>…`, `run/<run>`, `open/<run>`.
    fn of_path(&mut self, path: &Path) {
        let Ok(path) = std::str::from_utf8(path.as_bytes()) else { return };
        let partition = self.partition;
        let parts: Vec<&str> = path.split('/').collect();
        let agent = |hex: &str| format!("agent:{partition}.{hex}").parse().ok();
        match parts[..] {
            ["run" | "open", run] => self.run = format!("run:{partition}.{run}").parse().ok(),
            ["t", tenant, "a", of, "ended", run] => {
                self.tenant = Tenant::new(tenant).ok();
                self.agent = agent(of);
                self.run = format!("run:{partition}.{run}").parse().ok();
            }
            ["t", tenant, "a", of, ..] => {
                self.tenant = Tenant::new(tenant).ok();
                self.agent = agent(of);
            }
            ["t", tenant, "s" | "idem" | "msg", of, session, ..] => {
                self.tenant = Tenant::new(tenant).ok();
                self.agent = agent(of);
                self.session = SessionName::new(session).ok();
            }
            ["t", tenant, ..] => self.tenant = Tenant::new(tenant).ok(),
            _ => {}
        }
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
