//! Checks and recoveries, as types or as plain async closures.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Health;
use crate::error::Cause;
use crate::id::AgentId;
use crate::name::Name;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// The process as a whole.
    Runtime,
    /// One agent.
    Agent(AgentId),
    /// Anything else, by a name of its own: a queue, a connection, a future that somebody keeps alive.
    Other(Name),
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime => f.write_str("runtime"),
            Self::Agent(agent) => agent.fmt(f),
            Self::Other(name) => name.fmt(f),
        }
    }
}

/// Finds out how something is.
///
/// An async closure without arguments is a check as well: one that answers `bool`, a `Result<(), E>`, or a [`Health`].
///
/// # Contract
/// - `tells-the-truth`: what does not work is not called healthy, and what works is not called unhealthy.
/// - `says-why`: whatever is not healthy comes with a reason for people.
/// - `only-looks`: it changes nothing of what it looks at, however often it looks.
/// - `may-be-dropped`: who waits for it may give up at any time; the next look is not worse for it.
#[async_trait]
pub trait HealthCheck: Send + Sync + 'static {
    /// Looks once.
    async fn check(&self, of: &Watched) -> Health;
}

/// Does something about what is unhealthy.
///
/// An async closure without arguments is a recovery as well: one that answers `()` or a `Result<(), E>`.
///
/// It may be dropped at its deadline, and it may be carried out again.
#[async_trait]
pub trait Recovery: Send + Sync + 'static {
    /// Tries once.
    ///
    /// # Errors
    /// Why it did not work. Whether it did is said by the next look all the same.
    async fn recover(&self, of: &Watched, why: &Health) -> Result<(), Cause>;
}

/// What an async closure may answer as a recovery.
pub trait RecoveryAnswer {
    /// Whether it worked.
    ///
    /// # Errors
    /// Why not.
    fn recovered(self) -> Result<(), Cause>;
}

impl RecoveryAnswer for () {
    fn recovered(self) -> Result<(), Cause> {
        Ok(())
    }
}

impl<E: std::error::Error> RecoveryAnswer for Result<(), E> {
    fn recovered(self) -> Result<(), Cause> {
        self.map_err(|error| Cause::of(&error))
    }
}

#[async_trait]
impl<F, Looking, Answer> HealthCheck for F
where
    F: Fn() -> Looking + Send + Sync + 'static,
    Looking: Future<Output = Answer> + Send,
    Answer: Into<Health>,
{
    async fn check(&self, _: &Watched) -> Health {
        self().await.into()
    }
}

#[async_trait]
impl<F, Trying, Answer> Recovery for F
where
    F: Fn() -> Trying + Send + Sync + 'static,
    Trying: Future<Output = Answer> + Send,
    Answer: RecoveryAnswer,
{
    async fn recover(&self, _: &Watched, _: &Health) -> Result<(), Cause> {
        self().await.recovered()
    }
}
