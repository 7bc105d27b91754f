//! Work that somebody else looks at.

use async_trait::async_trait;
use runtime_traits::agent::Call;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Name};
use serde_json::json;

use super::{TeamError, ask, declared, named};

/// Has one agent work and another one review it, until the reviewer's answer begins with "approved".
///
/// ```
/// use runtime_agents::teams::Supervisor;
///
/// let careful = Supervisor::new("careful", "writer", "editor")?.rounds(2)?;
/// # Ok::<(), runtime_agents::teams::TeamError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    name: Name,
    description: String,
    worker: Name,
    reviewer: Name,
    rounds: u32,
}

impl Supervisor {
    /// The kind that specs name.
    pub(super) const KIND: &'static str = "supervisor";
    /// How often the work is done, unless set.
    pub(super) const ROUNDS: u32 = 3;

    /// A team of this name.
    ///
    /// # Errors
    /// [`TeamError`]: a name is none, or it is its own member.
    pub fn new(name: &str, worker: &str, reviewer: &str) -> Result<Self, TeamError> {
        let (name, worker) = named(name, "worker", [worker]).map(|(name, mut all)| (name, all.remove(0)))?;
        let (name, reviewer) =
            named(name.as_str(), "reviewer", [reviewer]).map(|(name, mut all)| (name, all.remove(0)))?;
        Ok(Self { name, description: String::new(), worker, reviewer, rounds: Self::ROUNDS })
    }

    /// Says, for people, what it is for.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets how often the work is done, at most. Work that is not approved then is a failure.
    ///
    /// # Errors
    /// [`TeamError::Rounds`] when it is not 1 to 20.
    pub fn rounds(mut self, rounds: u32) -> Result<Self, TeamError> {
        if !(1..=20).contains(&rounds) {
            return Err(TeamError::Rounds(rounds));
        }
        self.rounds = rounds;
        Ok(self)
    }
}

#[async_trait]
impl Agent for Supervisor {
    fn spec(&self) -> AgentSpec {
        let Self { worker, reviewer, rounds, .. } = self;
        let config = json!({ "reviewer": reviewer, "rounds": rounds, "worker": worker });
        declared(Self::KIND, &self.name, &self.description, &config)
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let task = input.as_text()?;
        let (mut order, mut remarks) = (task.to_owned(), String::new());
        for _ in 0..self.rounds {
            let work = ask(&ctx, Call::to(self.worker.as_str(), order), &self.worker).await?;
            let review = format!(
                "Task:\n{task}\n\nResult:\n{work}\n\nAnswer with the word \"approved\" if the result does the task. \
                 Otherwise answer with what is wrong with it."
            );
            remarks = ask(&ctx, Call::to(self.reviewer.as_str(), review), &self.reviewer).await?.to_string();
            if is_approved(&remarks) {
                return Ok(work);
            }
            order = format!("{task}\n\nYour last result:\n{work}\n\nWhat is wrong with it:\n{remarks}");
        }
        let (reviewer, rounds) = (&self.reviewer, self.rounds);
        Err(AgentError::says(format!(
            "`{reviewer}` did not approve the work in {rounds} rounds; its last remarks: {remarks}"
        )))
    }
}

fn is_approved(remarks: &str) -> bool {
    let first = remarks.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    first.is_some_and(|word| word.eq_ignore_ascii_case("approved"))
}
