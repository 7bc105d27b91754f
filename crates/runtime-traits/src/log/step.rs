//! Steps: recorded effects.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::name::{Name, NameError};

/// Which step of a run: the path of scopes, the name, and the how-many-eth use of that name in that scope.
///
/// As text `fetch`, `fetch#2`, `branch-a/fetch`: the first use is written without its number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    /// The scopes around it, outermost first.
    pub scope: Vec<Name>,
    /// Its name.
    pub name: Name,
    /// 1 for the first use of the name in the scope.
    pub nth: u32,
}

/// What kind of thing a step calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepSort {
    /// A model.
    Model,
    /// A tool.
    Tool,
    /// Another agent.
    Call,
    /// A shared cell of the agent.
    Shared,
    /// Anything else.
    Custom,
}

/// What may be done again when it is not known whether a step took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Has no effect outside; may run again.
    Pure,
    /// Safe to repeat, but costs again: calls of models.
    Repeatable,
    /// Safe to repeat with the same idempotency key, for this long after the first dispatch.
    Idempotent {
        /// How long the other side remembers the key.
        window: Duration,
    },
    /// Not safe to repeat: goes on by a recorded decision only.
    AtMostOnce,
}

/// Why it is not known how a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// The process ended between dispatch and settlement.
    Crash,
    /// The run was cancelled.
    Cancelled,
    /// The agent dropped the step's future.
    Dropped,
    /// The step's deadline passed.
    TimedOut,
}

/// Why a step has no value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct StepFailure {
    /// By what.
    pub kind: StepFailureKind,
    /// In words.
    pub message: String,
}

/// By what a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepFailureKind {
    /// Its work said so.
    Work,
    /// Its deadline passed.
    TimedOut,
    /// Somebody decided so.
    Decided,
    /// Somebody did not consent to it.
    Denied,
    /// A limit is reached, or too low.
    Limit,
    /// Whoever had to do it is away.
    Away {
        /// How long calls of it are held off from then on; `None`: they are not.
        held_off: Option<Duration>,
    },
}

/// What becomes of a step that nobody knows the end of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Dispatch it again.
    Repeat,
    /// Take this as its result.
    Assume(crate::content::Payload),
    /// Take it as failed.
    Fail,
}

/// Who gave the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The effect's rule.
    Policy,
    /// The step's own hook, which asked the other side.
    Reconcile,
    /// A person or program, by this name.
    Principal(String),
}

impl StepKey {
    /// The key of the first use of `name` outside all scopes.
    pub fn first(name: Name) -> Self {
        Self { scope: Vec::new(), name, nth: 1 }
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for scope in &self.scope {
            write!(f, "{scope}/")?;
        }
        write!(f, "{}", self.name)?;
        if self.nth == 1 { Ok(()) } else { write!(f, "#{}", self.nth) }
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StepKey {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, NameError> {
        let (path, nth) = match s.rsplit_once('#') {
            None => (s, 1),
            Some((path, nth)) => match nth.parse() {
                Ok(nth) if nth > 0 => (path, nth),
                _ => return Err(NameError::new("step", s, "NAME, NAME#2 or SCOPE/NAME")),
            },
        };
        let mut names = path.split('/').map(Name::new).collect::<Result<Vec<_>, _>>()?;
        let name = names.pop().expect("split gives at least one part");
        Ok(Self { scope: names, name, nth })
    }
}

impl Serialize for StepKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (&self.scope, &self.name, self.nth).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for StepKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            let (scope, name, nth) = Deserialize::deserialize(deserializer)?;
            Ok(Self { scope, name, nth })
        }
    }
}
