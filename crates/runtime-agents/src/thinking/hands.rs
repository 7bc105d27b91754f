//! What a model can have done: tools, other agents, people.

use std::sync::Arc;

use runtime_traits::Tool;
use runtime_traits::model::{ToolCall, ToolSpec};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::llm_agent::LlmAgentError;
use crate::tools::{Fit, check_name, normalised, twice};

/// Something that a model can have done.
#[derive(Debug)]
pub(crate) enum Hand {
    /// A tool does it.
    Tool(Arc<dyn Tool>),
    /// Another agent does it, and this one goes on with its output.
    Agent { name: String, description: String },
    /// Another agent goes on with the conversation.
    Successor { name: String, when: String },
    /// A person answers.
    Person,
}

/// All that a model can have done.
#[derive(Debug)]
pub(crate) struct Hands {
    hands: Vec<(Hand, Fit)>,
    specs: Arc<[ToolSpec]>,
}

/// A call that can be made.
pub(super) enum Prepared<'a> {
    Tool(&'a dyn Tool, Box<RawValue>),
    Agent(&'a str, String),
    HandOff(&'a str, String),
    Person(String),
}

impl Hands {
    /// Checks the names and the schemas, and makes them ready.
    pub(crate) fn new(hands: Vec<Hand>) -> Result<Self, LlmAgentError> {
        let (mut ready, mut specs) = (Vec::with_capacity(hands.len()), Vec::<ToolSpec>::new());
        for hand in hands {
            let spec = hand.spec();
            let fault = |fault| LlmAgentError::Tool { tool: spec.name.clone(), fault };
            check_name(&spec.name).map_err(fault)?;
            // Some providers take two names that differ in case only for one.
            if specs.iter().any(|other| other.name.eq_ignore_ascii_case(&spec.name)) {
                return Err(LlmAgentError::TwoTools { tool: spec.name });
            }
            let schema = serde_json::from_str::<Value>(spec.parameters.get()).unwrap_or_default();
            let parameters = normalised(schema).map_err(fault)?;
            let fit = Fit::of_text(&parameters).map_err(fault)?;
            specs.push(ToolSpec { parameters, ..spec });
            ready.push((hand, fit));
        }
        Ok(Self { hands: ready, specs: specs.into() })
    }

    /// How the model sees them.
    pub(super) fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.specs.iter().map(|spec| spec.name.as_str())
    }

    /// Whether a call hands the conversation over.
    pub(super) fn hands_off(&self, call: &ToolCall) -> bool {
        matches!(self.find(&call.name), Some((Hand::Successor { .. }, _)))
    }

    /// Checks a call. What is wrong with it is said in words for the model.
    pub(super) fn prepare(&self, call: &ToolCall) -> Result<Prepared<'_>, String> {
        let Some((hand, fit)) = self.find(&call.name) else {
            let known: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            let asked: String = call.name.chars().take(80).collect();
            return Err(format!("there is no tool `{asked}`; the tools are: {known}"));
        };
        // Some models write nothing where nothing is to be said.
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.trim() };
        let value = fit
            .check(arguments)
            .map_err(|faults| format!("the arguments of `{}` do not fit its schema: {faults}", call.name))?;
        // A rule and a tool may read different ones.
        if let Some(name) = twice(arguments) {
            let name: String = name.chars().take(80).collect();
            return Err(format!(
                "the arguments of `{}` have `{name}` twice in one object; write each name once",
                call.name
            ));
        }
        let said = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Ok(match hand {
            Hand::Tool(tool) => {
                let raw = RawValue::from_string(arguments.to_owned());
                Prepared::Tool(&**tool, raw.map_err(|error| error.to_string())?)
            }
            Hand::Agent { name, .. } => Prepared::Agent(name, said("input")),
            Hand::Successor { name, .. } => Prepared::HandOff(name, said("message")),
            Hand::Person => Prepared::Person(said("question")),
        })
    }

    fn find(&self, name: &str) -> Option<&(Hand, Fit)> {
        let at = self.specs.iter().position(|spec| spec.name == name)?;
        self.hands.get(at)
    }
}

impl Hand {
    fn spec(&self) -> ToolSpec {
        match self {
            Self::Tool(tool) => tool.spec().clone(),
            Self::Agent { name, description } => {
                let about =
                    if description.is_empty() { "something that it is there for" } else { description };
                let description = format!("Asks the agent `{name}`: {about}");
                spec(
                    "ask",
                    name,
                    description,
                    "input",
                    "What it shall do. It knows nothing of this conversation.",
                )
            }
            Self::Successor { name, when } => {
                let when = if when.is_empty() { String::new() } else { format!(" Do so {when}.") };
                let description =
                    format!("Hands the conversation over to the agent `{name}`, for good.{when}");
                spec("hand_off_to", name, description, "message", "What that agent has to know and to do.")
            }
            Self::Person => {
                let description =
                    "Asks a person, and waits for the answer. Use it when only a person can know.";
                spec(
                    "ask",
                    "person",
                    description.to_owned(),
                    "question",
                    "What to ask, with all it takes to answer.",
                )
            }
        }
    }
}

/// A tool that takes one text.
fn spec(verb: &str, agent: &str, description: String, field: &str, about: &str) -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": { field: { "type": "string", "minLength": 1, "description": about } },
        "required": [field],
        "additionalProperties": false,
    });
    // Names of agents may have points, those of tools may not.
    let name = format!("{verb}_{}", agent.replace('.', "_"));
    let parameters = serde_json::value::to_raw_value(&parameters).expect("an object of texts is JSON");
    ToolSpec { name, description, parameters: parameters.into() }
}
