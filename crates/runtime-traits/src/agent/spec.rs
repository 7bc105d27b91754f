//! The serialisable declaration of an agent.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::error::Cause;
use crate::name::{Name, NameError};
use crate::recovery::{AgentRecovery, StallLimits};
use crate::resource::ResourceLimits;

/// The serialisable declaration of an agent. Only this travels between nodes and into snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Which registered kind builds it.
    pub kind: Name,
    /// Its name, unique in its tenant without regard to case.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// How much may be stored of it.
    #[serde(default, skip_serializing_if = "StorageLimits::is_none")]
    pub storage: StorageLimits,
    /// What it may use.
    #[serde(default, skip_serializing_if = "ResourceLimits::is_default")]
    pub limits: ResourceLimits,
    /// How failures of its runs are recovered from; `None`: each ends its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<AgentRecovery>,
    /// How long its runs may stand still, where that is another time than the runtime's.
    #[serde(default, skip_serializing_if = "StallLimits::is_none")]
    pub stall: StallLimits,
    /// The kind's own settings, as JSON.
    #[serde(default = "no_config")]
    pub config: Box<RawValue>,
}

/// How many bytes may be stored of an agent and of each of its conversations; what is counted says
/// [`Stored`](crate::runtime::Stored). From a soft limit on somebody is warned; from a hard one on no new input is
/// taken, and runs that are open go on to their outcomes. Without a limit there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageLimits {
    /// The agent's soft limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// The agent's hard limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
    /// The soft limit of each conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_soft: Option<u64>,
    /// The hard limit of each conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_hard: Option<u64>,
}

/// A declaration that its kind cannot build.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecError {
    /// A setting is missing, unknown, or of the wrong type.
    #[error("agent `{agent}`: {cause}")]
    Config {
        /// The agent's name.
        agent: String,
        /// Which setting, and what to do.
        cause: Cause,
    },
    /// Something that the agent needs is not there or cannot be read.
    #[error("agent `{agent}` needs {what}: {cause}")]
    Needs {
        /// The agent's name.
        agent: String,
        /// What it needs.
        what: String,
        /// Why it does not have it, and what to do.
        cause: Cause,
    },
}

fn no_config() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

impl AgentSpec {
    /// Declares an agent of `kind` under `name`, without settings.
    ///
    /// # Errors
    /// [`NameError`] when either is no name.
    pub fn new(kind: impl AsRef<str>, name: impl AsRef<str>) -> Result<Self, NameError> {
        Ok(Self {
            kind: Name::new(kind)?,
            name: Name::new(name)?,
            description: String::new(),
            storage: StorageLimits::default(),
            limits: ResourceLimits::default(),
            recovery: None,
            stall: StallLimits::default(),
            config: no_config(),
        })
    }

    /// Sets the text for people.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets how much may be stored.
    #[must_use]
    pub fn storing(mut self, storage: StorageLimits) -> Self {
        self.storage = storage;
        self
    }

    /// Sets what it may use.
    #[must_use]
    pub fn limited(mut self, limits: ResourceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how failures of its runs are recovered from.
    #[must_use]
    pub fn recovering(mut self, recovery: AgentRecovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Sets how long its runs may stand still.
    #[must_use]
    pub fn stalling(mut self, stall: StallLimits) -> Self {
        self.stall = stall;
        self
    }

    /// Sets the kind's own settings.
    ///
    /// # Errors
    /// What serde says of settings that JSON cannot hold.
    pub fn configured<T: Serialize + ?Sized>(mut self, config: &T) -> Result<Self, serde_json::Error> {
        self.config = serde_json::value::to_raw_value(config)?;
        Ok(self)
    }

    /// Whether the two declare the same agent in the same way.
    pub fn same_as(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name == other.name
            && self.description == other.description
            && self.storage == other.storage
            && self.limits == other.limits
            && self.recovery == other.recovery
            && self.stall == other.stall
            && self.config.get() == other.config.get()
    }
}

impl StorageLimits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with them, and what to do.
    pub fn fault(&self) -> Option<String> {
        let pairs = [
            ("soft", self.soft, "hard", self.hard),
            ("session_soft", self.session_soft, "session_hard", self.session_hard),
        ];
        pairs.into_iter().find_map(|(soft, below, hard, above)| {
            let (below, above) = (below?, above?);
            (below > above)
                .then(|| format!("`storage.{soft}` is above `storage.{hard}`: lower it, or raise that"))
        })
    }
}
