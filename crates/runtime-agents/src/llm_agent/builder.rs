//! How an agent with a model is put together.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::{AgentSpec, Cause, Model, Name, Tool};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::error::LlmAgentError;
use super::{LLM, LlmAgent};
use crate::thinking::{Hand, Hands, Limits, Mind, Shape};
use crate::tools::{Fit, SchemaFault, schema_of};

/// Puts an [`LlmAgent`] together.
#[derive(Debug)]
#[must_use = "an agent is there when `build` was called"]
pub struct LlmAgentBuilder {
    name: String,
    description: String,
    instructions: String,
    models: Vec<Arc<dyn Model>>,
    outage: Duration,
    hands: Vec<Hand>,
    max_steps: u32,
    max_tokens: u32,
    temperature: Option<f64>,
    window: usize,
    output: Option<Value>,
}

/// What an agent that is a value declares of itself.
#[derive(Serialize)]
struct Declared<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fallback: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a str>,
    max_steps: u32,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    window: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<&'a serde_json::value::RawValue>,
}

impl LlmAgentBuilder {
    /// How often the model is asked in one run, unless set.
    pub const MAX_STEPS: u32 = 20;
    /// The most tokens of one reply, unless set.
    pub const MAX_TOKENS: u32 = 4096;
    /// How many messages of its conversation a run is shown, unless set.
    pub const WINDOW: usize = 50;
    /// How long a turn waits for models that are held off, unless set.
    pub const OUTAGE: Duration = Duration::from_secs(3_600);
    const MOST_OUTAGE: Duration = Duration::from_secs(7 * 24 * 3_600);
    /// How many models may be asked where the first one is away.
    pub const MOST_FALLBACKS: usize = 8;

    pub(super) fn new(name: String, model: Arc<dyn Model>) -> Self {
        Self {
            name,
            description: String::new(),
            instructions: String::new(),
            models: vec![model],
            outage: Self::OUTAGE,
            hands: Vec::new(),
            max_steps: Self::MAX_STEPS,
            max_tokens: Self::MAX_TOKENS,
            temperature: None,
            window: Self::WINDOW,
            output: None,
        }
    }

    /// Says, for people, what the agent is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// What the model is told before every conversation.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// A model that is asked where those before it are away: it cannot be reached, does not answer or is held off. The next turn
    /// asks the first one again.
    pub fn fallback(mut self, model: impl Model) -> Self {
        self.models.push(Arc::new(model));
        self
    }

    /// How long a turn waits for models that are held off, at the most; a week at the most. Zero: not at all.
    pub fn outage(mut self, most: Duration) -> Self {
        self.outage = most;
        self
    }

    /// Gives the model a tool.
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.hands.push(Hand::Tool(Arc::new(tool)));
        self
    }

    /// Gives the model tools.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.hands.extend(tools.into_iter().map(Hand::Tool));
        self
    }

    /// Lets the model ask another agent, in a conversation of its own each time: the tool `ask_NAME`.
    pub fn calls(mut self, agent: impl Into<String>, description: impl Into<String>) -> Self {
        self.hands.push(Hand::Agent { name: agent.into(), description: description.into() });
        self
    }

    /// Lets the model hand the conversation over to another agent, whose output is then the output of the run: the tool
    /// `hand_off_to_NAME`.
    pub fn hand_off_to(self, agent: impl Into<String>) -> Self {
        self.hand_off_when(agent, "")
    }

    /// [`LlmAgentBuilder::hand_off_to`], and when: "when the caller asks about an invoice".
    pub fn hand_off_when(mut self, agent: impl Into<String>, when: impl Into<String>) -> Self {
        self.hands.push(Hand::Successor { name: agent.into(), when: when.into() });
        self
    }

    /// Lets the model ask a person, and wait for the answer: the tool `ask_person`.
    pub fn asks_people(mut self) -> Self {
        self.hands.push(Hand::Person);
        self
    }

    /// How often the model is asked in one run, at most.
    pub fn max_steps(mut self, steps: u32) -> Self {
        self.max_steps = steps;
        self
    }

    /// The most tokens of one reply. It is what a call can cost at most.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// How much chance there is in a reply: 0 to 2, where the provider takes it.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// How many messages of its conversation a run is shown, at most. 0: none.
    pub fn window(mut self, messages: usize) -> Self {
        self.window = messages;
        self
    }

    /// Makes the output JSON that fits a schema. The model is told what does not fit, and tries again.
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output = Some(schema);
        self
    }

    /// Makes the output the JSON of a `T`.
    pub fn output<T: JsonSchema>(self) -> Self {
        self.output_schema(schema_of::<T>())
    }

    /// The agent.
    ///
    /// # Errors
    /// [`LlmAgentError`]: a name, a tool, a schema or a number that cannot be worked with.
    pub fn build(self) -> Result<LlmAgent, LlmAgentError> {
        let name = Name::new(&self.name)?;
        self.check_numbers()?;
        for hand in &self.hands {
            if let Hand::Agent { name: agent, .. } | Hand::Successor { name: agent, .. } = hand {
                let other = Name::new(agent)?;
                if matches!(hand, Hand::Successor { .. }) && other.folded() == name.folded() {
                    return Err(LlmAgentError::Itself { agent: agent.clone() });
                }
            }
        }
        let output = self.output.as_ref().map(shape).transpose();
        let output = output.map_err(|fault| LlmAgentError::Output { fault })?;
        let hands = Hands::new(self.hands)?;
        let mut names = self.models.iter().map(|model| model.name());
        let first = names.next().unwrap_or_default();
        let fallback: Vec<&str> = names.collect();
        let declared = Declared {
            model: first,
            fallback: &fallback,
            outage: (self.outage != Self::OUTAGE).then_some(self.outage.as_secs()),
            instructions: &self.instructions,
            tools: hands.names().collect(),
            max_steps: self.max_steps,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            window: self.window,
            output_schema: output.as_ref().map(|shape| &*shape.schema),
        };
        let spec = AgentSpec::new(LLM, name.as_str())?.described(self.description);
        let spec = spec.configured(&declared).map_err(|error| LlmAgentError::Json(Cause::of(&error)))?;
        let limits = Limits { max_steps: self.max_steps, max_tokens: self.max_tokens, output };
        let mind = Mind {
            system: self.instructions.into(),
            models: self.models,
            outage: self.outage,
            hands,
            limits,
            temperature: self.temperature,
            window: self.window,
        };
        Ok(LlmAgent { spec, mind })
    }

    fn check_numbers(&self) -> Result<(), LlmAgentError> {
        let refused = |setting, given: String, range| Err(LlmAgentError::Range { setting, given, range });
        if !(1..=1000).contains(&self.max_steps) {
            return refused("max_steps", self.max_steps.to_string(), "1 to 1000");
        }
        if !(1..=1_000_000).contains(&self.max_tokens) {
            return refused("max_tokens", self.max_tokens.to_string(), "1 to 1000000");
        }
        if self.models.len() > Self::MOST_FALLBACKS + 1 {
            let given = format!("{} models", self.models.len() - 1);
            return refused("fallback", given, "at most 8 models");
        }
        if self.outage > Self::MOST_OUTAGE {
            return refused("outage", self.outage.as_secs().to_string(), "0 to 604800 seconds");
        }
        if self.window > 10_000 {
            return refused("window", self.window.to_string(), "0 to 10000");
        }
        match self.temperature {
            Some(given) if !(0.0..=2.0).contains(&given) => {
                refused("temperature", given.to_string(), "a number from 0 to 2")
            }
            _ => Ok(()),
        }
    }
}

fn shape(schema: &Value) -> Result<Shape, SchemaFault> {
    let mut schema = schema.clone();
    let Some(fields) = schema.as_object_mut() else {
        return Err(SchemaFault::NoObject);
    };
    fields.remove("$schema");
    let fit = Fit::new(&schema)?;
    let text = serde_json::value::to_raw_value(&schema);
    let schema = text.map_err(|error| SchemaFault::Invalid(Cause::of(&error)))?;
    Ok(Shape { schema: schema.into(), fit })
}
