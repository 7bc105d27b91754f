//! Agents side by side.

use async_trait::async_trait;
use futures_util::future::join_all;
use runtime_traits::agent::Call;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Media, Name};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{TeamError, ask, declared, named};

/// Has agents work on the same input side by side. Its output is a JSON object: what each agent said, under its name.
///
/// When one of them fails, the others are let end, and the team has failed.
///
/// ```
/// use runtime_agents::teams::Parallel;
///
/// let opinions = Parallel::new("opinions", ["optimist", "pessimist"])?;
/// # Ok::<(), runtime_agents::teams::TeamError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parallel {
    name: Name,
    description: String,
    agents: Vec<Name>,
}

impl Parallel {
    /// The kind that specs name.
    pub(super) const KIND: &'static str = "parallel";

    /// A team of this name.
    ///
    /// # Errors
    /// [`TeamError`]: there is nobody in it, a name is none or comes up twice, or it is its own member.
    pub fn new<S: AsRef<str>>(name: &str, agents: impl IntoIterator<Item = S>) -> Result<Self, TeamError> {
        let (name, agents) = named(name, "agents", agents)?;
        for (at, agent) in agents.iter().enumerate() {
            if agents[..at].iter().any(|before| before.folded() == agent.folded()) {
                return Err(TeamError::Twice { setting: "agents", agent: agent.to_string() });
            }
        }
        Ok(Self { name, description: String::new(), agents })
    }

    /// Says, for people, what it is for.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

#[async_trait]
impl Agent for Parallel {
    fn spec(&self) -> AgentSpec {
        declared(Self::KIND, &self.name, &self.description, &json!({ "agents": self.agents }))
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let works = self.agents.iter().map(|agent| ask(&ctx, Call::to(agent.as_str(), input.clone()), agent));
        let mut said = Vec::with_capacity(self.agents.len());
        for (agent, work) in self.agents.iter().zip(join_all(works).await) {
            said.push(format!("{}:{}", json!(agent), value(&work?)?.get()));
        }
        Ok(Content { media: Media::Json, bytes: format!("{{{}}}", said.join(",")).into() })
    }
}

/// JSON as it is, and everything else as a text.
fn value(output: &Content) -> Result<Box<RawValue>, AgentError> {
    match output.media {
        Media::Json => Ok(output.parse()?),
        Media::Text | Media::Bytes => Ok(to_raw_value(&output.to_string())?),
    }
}
