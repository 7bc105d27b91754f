//! The agent whose subject it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::agent::Call;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Name};
use serde_json::{Map, Value, json};

use super::{TeamError, ask, declared, named};

/// Hands each input to the agent whose subject it is, in the same conversation.
///
/// The agent with the most of its words in the input gets it; among equals the one whose name comes first. Where no word
/// fits, the agent that is named for that gets it. An agent with a model routes by understanding instead:
/// [`LlmAgentBuilder::hand_off_to`](crate::LlmAgentBuilder::hand_off_to).
///
/// ```
/// use runtime_agents::teams::Router;
///
/// let desk = Router::new("desk", "receptionist")?
///     .route("billing", ["invoice", "refund"])?
///     .route("support", ["broken", "does not work"])?;
/// # Ok::<(), runtime_agents::teams::TeamError>(())
/// ```
#[derive(Clone)]
pub struct Router {
    name: Name,
    description: String,
    otherwise: Name,
    routes: Vec<(Name, Vec<String>)>,
    rule: Option<Arc<Rule>>,
}

type Rule = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Router {
    /// The kind that specs name.
    pub(super) const KIND: &'static str = "router";

    /// A team of this name, which hands to `otherwise` what it knows nobody for.
    ///
    /// # Errors
    /// [`TeamError`]: a name is none, or it is its own member.
    pub fn new(name: &str, otherwise: &str) -> Result<Self, TeamError> {
        let (name, mut others) = named(name, "otherwise", [otherwise])?;
        let otherwise = others.remove(0);
        Ok(Self { name, description: String::new(), otherwise, routes: Vec::new(), rule: None })
    }

    /// Says, for people, what it is for.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Hands to `agent` what these words are in, or sequences of words.
    ///
    /// # Errors
    /// [`TeamError`]: the name is none, has words already, or is the team's own.
    pub fn route<S: AsRef<str>>(
        mut self,
        agent: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Self, TeamError> {
        let (_, mut agents) = named(self.name.as_str(), "routes", [agent])?;
        let agent = agents.remove(0);
        if self.routes.iter().any(|(other, _)| other.folded() == agent.folded()) {
            return Err(TeamError::Twice { setting: "routes", agent: agent.to_string() });
        }
        self.routes.push((agent, words.into_iter().map(|words| words.as_ref().to_owned()).collect()));
        self.routes.sort();
        Ok(self)
    }

    /// Asks a function for the agent first. It has to say the same for the same input, as it is asked in each attempt.
    #[must_use]
    pub fn by(mut self, rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    fn choose(&self, input: &str) -> Result<Name, AgentError> {
        if let Some(agent) = self.rule.as_ref().and_then(|rule| rule(input)) {
            return Ok(Name::new(agent)?);
        }
        let input = words(input);
        let met = |(_, route): &&(Name, Vec<String>)| {
            route.iter().map(|said| words(said)).filter(|said| said.len() > 1 && input.contains(said)).count()
        };
        // Of equals the last one wins.
        let best = self.routes.iter().rev().max_by_key(met).filter(|route| met(route) > 0);
        Ok(best.map_or(&self.otherwise, |(agent, _)| agent).clone())
    }
}

/// A text as its words, each between spaces.
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |text, word| text + word + " ")
}

#[async_trait]
impl Agent for Router {
    fn spec(&self) -> AgentSpec {
        let routes = self.routes.iter().map(|(agent, words)| (agent.to_string(), json!(words)));
        let routes: Map<String, Value> = routes.collect();
        let config = json!({ "otherwise": self.otherwise, "routes": routes });
        declared(Self::KIND, &self.name, &self.description, &config)
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let agent = self.choose(input.as_text()?)?;
        let call = Call::to(agent.as_str(), input).in_session(ctx.facts().session.clone());
        ask(&ctx, call, &agent).await
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Router");
        debug.field("name", &self.name).field("routes", &self.routes).field("otherwise", &self.otherwise);
        debug.finish_non_exhaustive()
    }
}
