//! Why a model gave no reply.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::error::Cause;
use crate::resource::Refused;

/// Why a model gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// There is no key, or the provider refuses it.
    #[error("`{model}` refuses the key ({said}); see the agent's `key` setting")]
    Key {
        /// The model.
        model: String,
        /// What the provider said, or why there is no key.
        said: String,
    },
    /// The provider does not know the model.
    #[error("`{model}` is not known to its provider ({said}); see the agent's `model` setting")]
    UnknownModel {
        /// The model.
        model: String,
        /// What the provider said.
        said: String,
    },
    /// The provider does not take the request, now or later.
    #[error("`{model}` refuses the request with status {status}: {said}")]
    Refused {
        /// The model.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        said: String,
    },
    /// There were too many requests.
    #[error("`{model}` takes no more requests for now{}", after(.retry_after))]
    RateLimited {
        /// The model.
        model: String,
        /// When to ask again, if the provider said.
        retry_after: Option<Duration>,
    },
    /// The provider has a trouble of its own.
    #[error("`{model}` is not available, status {status}: {said}{}", after(.retry_after))]
    Unavailable {
        /// The model.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        said: String,
        /// When to ask again, if the provider said.
        retry_after: Option<Duration>,
    },
    /// The provider cannot be reached.
    #[error("`{model}` cannot be reached: {cause}")]
    Unreachable {
        /// The model.
        model: String,
        /// What the client said.
        #[source]
        cause: Cause,
    },
    /// The reply broke off.
    #[error("the reply of `{model}` broke off: {cause}")]
    Cut {
        /// The model.
        model: String,
        /// What the client said.
        #[source]
        cause: Cause,
    },
    /// Nothing came in time.
    #[error("`{model}` sent nothing for {} s {phase}", .after.as_secs_f64())]
    TimedOut {
        /// The model.
        model: String,
        /// Where it was waited.
        phase: Phase,
        /// How long.
        after: Duration,
    },
    /// It failed too often of late, and was not asked: nothing was sent, and nothing can be billed.
    #[error("`{model}` failed too often of late and is not asked for now{}", after(&Some(*.retry_after)))]
    HeldOff {
        /// The model.
        model: String,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
    /// It failed, and a limit keeps it from being asked once more.
    #[error("`{model}` is not asked once more: {refused}")]
    AtLimit {
        /// The model.
        model: String,
        /// The limit.
        #[source]
        refused: Refused,
    },
    /// What came is no reply of a model.
    #[error(
        "`{model}` answered with something that is no reply ({said}); see the agent's `base_url` setting"
    )]
    NoReply {
        /// The model.
        model: String,
        /// What came.
        said: String,
    },
}

/// Where in a reply it was waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before its first byte.
    FirstByte,
    /// Between two pieces.
    BetweenTokens,
}

impl ModelError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::Cut { .. }
            | Self::TimedOut { .. }
            | Self::HeldOff { .. } => true,
            Self::Key { .. }
            | Self::UnknownModel { .. }
            | Self::Refused { .. }
            | Self::AtLimit { .. }
            | Self::NoReply { .. } => false,
        }
    }

    /// When the provider wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::HeldOff { retry_after, .. } => Some(*retry_after),
            Self::AtLimit { refused, .. } => refused.retry_after(),
            _ => None,
        }
    }

    /// Whether the provider is away, whatever it is asked: it is held off, cannot be reached, does not answer, or has a trouble of
    /// its own. A provider that refuses a request, or wants fewer of them, is there.
    pub fn is_away(&self) -> bool {
        match self {
            Self::HeldOff { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. } => true,
            Self::Key { .. }
            | Self::UnknownModel { .. }
            | Self::Refused { .. }
            | Self::RateLimited { .. }
            | Self::Cut { .. }
            | Self::AtLimit { .. }
            | Self::NoReply { .. } => false,
        }
    }

    /// Whether the provider may have worked, and may bill, though no usage came.
    pub fn may_be_billed(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::TimedOut { .. } | Self::NoReply { .. })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstByte => "before the first byte of its reply",
            Self::BetweenTokens => "in the middle of its reply",
        })
    }
}

fn after(retry_after: &Option<Duration>) -> String {
    retry_after.map(|after| format!("; try again in {} s", after.as_secs().max(1))).unwrap_or_default()
}
