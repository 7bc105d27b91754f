//! Small pieces for teams: agents that have others do the work, each by a run of its own.
//!
//! What the others do is cancelled, billed and traced with the run that asked for it. None of them needs a model itself.
//! The repository has an example of each: `examples/team_sequence.rs`, `team_parallel.rs`, `team_router.rs` and
//! `team_supervisor.rs`.

mod kind;
mod parallel;
mod router;
mod sequence;
mod supervisor;

use runtime_traits::agent::{Call, StepError};
use runtime_traits::{AgentError, AgentSpec, Content, Ctx, Name, NameError};
use serde::Serialize;
use thiserror::Error;

pub use kind::TeamKind;
pub use parallel::Parallel;
pub use router::Router;
pub use sequence::Sequence;
pub use supervisor::Supervisor;

/// Why a team cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TeamError {
    /// A name of an agent is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is nobody in it.
    #[error("setting `{0}` names no agent; name at least one")]
    Nobody(&'static str),
    /// It would ask itself, for ever.
    #[error("setting `{setting}` names the agent `{agent}` itself; name another one")]
    Itself {
        /// The setting.
        setting: &'static str,
        /// The agent.
        agent: String,
    },
    /// An agent is named twice where its name tells its work from that of others.
    #[error("setting `{setting}` names the agent `{agent}` twice; take one out")]
    Twice {
        /// The setting.
        setting: &'static str,
        /// The agent.
        agent: String,
    },
    /// A number is outside of what makes sense.
    #[error("setting `rounds` is {0}; use 1 to 20")]
    Rounds(u32),
}

/// Checks the name of a team and those of its agents.
fn named<S: AsRef<str>>(
    team: &str,
    setting: &'static str,
    agents: impl IntoIterator<Item = S>,
) -> Result<(Name, Vec<Name>), TeamError> {
    let team = Name::new(team)?;
    let agents = agents.into_iter().map(Name::new).collect::<Result<Vec<_>, _>>()?;
    match agents.iter().find(|agent| agent.folded() == team.folded()) {
        _ if agents.is_empty() => Err(TeamError::Nobody(setting)),
        Some(agent) => Err(TeamError::Itself { setting, agent: agent.to_string() }),
        None => Ok((team, agents)),
    }
}

/// What a team that is a value declares of itself.
fn declared(kind: &str, name: &Name, description: &str, config: &impl Serialize) -> AgentSpec {
    let spec = AgentSpec::new(kind, name.as_str()).expect("both were names before");
    spec.described(description).configured(config).expect("names, texts and numbers are JSON")
}

/// Has an agent work on something; its failure says whose it is.
async fn ask(ctx: &Ctx, call: Call, agent: &Name) -> Result<Content, AgentError> {
    ctx.call(call).await.map_err(|error| match error {
        StepError::Failed { failure, .. } => {
            AgentError::permanent(format!("the agent `{agent}` failed: {failure}"))
        }
        other => other.into(),
    })
}
