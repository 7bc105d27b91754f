//! One agent after the other.

use async_trait::async_trait;
use runtime_traits::agent::Call;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Name};
use serde_json::json;

use super::{TeamError, ask, declared, named};

/// Has agents work one after the other, each on the output of the one before.
///
/// ```
/// use runtime_agents::teams::Sequence;
///
/// let report = Sequence::new("report", ["researcher", "writer", "editor"])?;
/// # Ok::<(), runtime_agents::teams::TeamError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    name: Name,
    description: String,
    agents: Vec<Name>,
}

impl Sequence {
    /// The kind that specs name.
    pub(super) const KIND: &'static str = "sequence";

    /// A team of this name. An agent may come up more than once.
    ///
    /// # Errors
    /// [`TeamError`]: there is nobody in it, a name is none, or it is its own member.
    pub fn new<S: AsRef<str>>(name: &str, agents: impl IntoIterator<Item = S>) -> Result<Self, TeamError> {
        let (name, agents) = named(name, "agents", agents)?;
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
impl Agent for Sequence {
    fn spec(&self) -> AgentSpec {
        declared(Self::KIND, &self.name, &self.description, &json!({ "agents": self.agents }))
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let mut work = input;
        for agent in &self.agents {
            work = ask(&ctx, Call::to(agent.as_str(), work), agent).await?;
        }
        Ok(work)
    }
}
