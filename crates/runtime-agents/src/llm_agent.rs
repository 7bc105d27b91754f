//! [`LlmAgent`]: the agent that thinks with a language model.

mod builder;
mod error;

use async_trait::async_trait;
use runtime_traits::{Agent, AgentError, AgentSpec, CalledModel, Content, Ctx, Usage};

use crate::thinking::Mind;

pub use builder::LlmAgentBuilder;
pub use error::LlmAgentError;

/// The kind that specs of such agents name.
pub(crate) const LLM: &str = "llm";

/// An agent that thinks with a language model, and has things done by tools, by other agents and by people.
///
/// What it does next follows from its declaration, the conversation and the log of its run, by a pure function: so a
/// crash costs no more than the calls that were in flight, and nothing of its author.
///
/// - The model is asked until it calls no more tools, at most `max_steps` times.
/// - The calls of one reply are made side by side. What goes wrong with one is told to the model, and harms nothing else.
/// - Where a model is away, the next one of its `fallback` answers; where all are held off, the run waits: it parks, and
///   goes on when one is tried again, for an hour at the most unless `outage` says otherwise.
/// - A run is shown the last messages of its conversation, `window` of them, and never a call without its result.
///
/// ```
/// use runtime_agents::tools::Calculator;
/// use runtime_agents::{LlmAgent, ScriptedModel};
/// use runtime_traits::Agent;
///
/// let model = ScriptedModel::new("greeter", ["Good morning!"]);
/// let agent = LlmAgent::new("assistant", model)
///     .description("Helps with sums.")
///     .instructions("You compute with the calculator.")
///     .tool(Calculator::new())
///     .max_steps(8)
///     .build()?;
/// assert_eq!(agent.spec().kind.as_str(), "llm");
/// # Ok::<(), runtime_agents::LlmAgentError>(())
/// ```
#[derive(Debug)]
pub struct LlmAgent {
    spec: AgentSpec,
    mind: Mind,
}

impl LlmAgent {
    /// Begins an agent of this name that thinks with `model`.
    #[expect(clippy::new_ret_no_self, reason = "what an agent lacks is told when it is built")]
    pub fn new(name: impl Into<String>, model: impl runtime_traits::Model) -> LlmAgentBuilder {
        LlmAgentBuilder::new(name.into(), std::sync::Arc::new(model))
    }

    /// The names under which the model sees its tools, agents and people.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.mind.hands.names()
    }

    /// The same agent, declared in these words.
    pub(crate) fn declared(self, spec: AgentSpec) -> Self {
        Self { spec, ..self }
    }
}

#[async_trait]
impl Agent for LlmAgent {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    fn remembers(&self) -> usize {
        self.mind.window
    }

    fn least_call(&self) -> Option<(CalledModel, Usage)> {
        self.mind.least_call()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        self.mind.work(&ctx, &input).await
    }
}
