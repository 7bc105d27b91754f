//! The settings of an agent, read one by one: a complaint names the setting and the remedy.

use std::time::Duration;

use runtime_traits::{AgentSpec, Cause, Name, SpecError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::tool_maker::ToolSettings;
use crate::model_source::ModelSettings;

/// The settings that are still to be read.
#[derive(Debug)]
pub(crate) struct Settings {
    agent: Name,
    left: Map<String, Value>,
}

impl Settings {
    /// The settings of a declaration, all of which are known ones.
    pub(crate) fn of(spec: &AgentSpec, known: &[&str]) -> Result<Self, SpecError> {
        let agent = spec.name.clone();
        let refused = |says: String| refused(&agent, says);
        let read: Value = serde_json::from_str(spec.config.get())
            .map_err(|error| refused(format!("its settings are no JSON ({error}); write a table")))?;
        let Value::Object(left) = read else {
            return Err(refused("its settings are no table; write a table".to_owned()));
        };
        if let Some(unknown) = left.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(refused(format!("unknown setting `{unknown}`; {}", instead(unknown, known))));
        }
        Ok(Self { agent, left })
    }

    /// Settings of a part of the same declaration.
    pub(super) fn part(&self, left: Map<String, Value>) -> Self {
        Self { agent: self.agent.clone(), left }
    }

    /// A setting that stays where it is.
    pub(super) fn look(&self, name: &str) -> Option<&Value> {
        self.left.get(name)
    }

    pub(crate) fn refused(&self, says: impl Into<String>) -> SpecError {
        refused(&self.agent, says)
    }

    /// The setting, if it is there; `expected` says what it has to be.
    pub(crate) fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, SpecError> {
        let Some(value) = self.left.remove(name) else {
            return Ok(None);
        };
        serde_json::from_value(value)
            .map(Some)
            .map_err(|_| self.refused(format!("setting `{name}` has another type; use {expected}")))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, SpecError> {
        self.take(name, "a text")
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, SpecError> {
        Ok(self.take(name, "true or false")?.unwrap_or(false))
    }

    /// Agents: a name, a list of names, or a table of names with what is said of them.
    pub(crate) fn agents(&mut self, name: &str) -> Result<Vec<(String, String)>, SpecError> {
        let expected = "the name of an agent, a list of names, or a table of names and texts";
        match self.take::<Value>(name, expected)? {
            None => Ok(Vec::new()),
            Some(Value::String(agent)) => Ok(vec![(agent, String::new())]),
            Some(Value::Array(agents)) => agents
                .into_iter()
                .map(|agent| agent.as_str().map(|agent| (agent.to_owned(), String::new())))
                .collect::<Option<_>>()
                .ok_or_else(|| self.refused(format!("setting `{name}` has another type; use {expected}"))),
            Some(Value::Object(agents)) => agents
                .into_iter()
                .map(|(agent, about)| Some((agent, about.as_str()?.to_owned())))
                .collect::<Option<_>>()
                .ok_or_else(|| self.refused(format!("setting `{name}` has another type; use {expected}"))),
            Some(_) => Err(self.refused(format!("setting `{name}` has another type; use {expected}"))),
        }
    }

    /// The tools: a list of names and tables, or a table of tables.
    pub(super) fn tools(&mut self) -> Result<Vec<ToolSettings>, SpecError> {
        let expected = "a list like [\"calculator\", { tool = \"documents\", documents = \"manual\" }]";
        let wrong =
            |agent: &Name| refused(agent, format!("setting `tools` has another type; use {expected}"));
        let agent = self.agent.clone();
        match self.take::<Value>("tools", expected)? {
            None => Ok(Vec::new()),
            Some(Value::Array(tools)) => tools
                .into_iter()
                .map(|tool| match tool {
                    Value::String(tool) => Ok(ToolSettings::new(agent.clone(), tool, Map::new())),
                    Value::Object(mut table) => match table.remove("tool") {
                        Some(Value::String(tool)) => Ok(ToolSettings::new(agent.clone(), tool, table)),
                        _ => Err(wrong(&agent)),
                    },
                    _ => Err(wrong(&agent)),
                })
                .collect(),
            Some(Value::Object(tables)) => tables
                .into_iter()
                .map(|(name, table)| match table {
                    Value::Object(mut table) => match table.remove("tool") {
                        None => Ok(ToolSettings::new(agent.clone(), name, table)),
                        Some(Value::String(tool)) => Ok(ToolSettings::new(agent.clone(), tool, table)),
                        Some(_) => Err(wrong(&agent)),
                    },
                    _ => Err(wrong(&agent)),
                })
                .collect(),
            Some(_) => Err(wrong(&agent)),
        }
    }

    /// How the model is reached.
    pub(crate) fn model(&mut self, name: &str) -> Result<ModelSettings, SpecError> {
        let mut model = ModelSettings::new(self.agent.clone(), name);
        if let Some(key) = self.text("key")? {
            // What is not a reference may be the key itself: it is not repeated.
            if !["env:", "file:"].iter().any(|way| key.strip_prefix(way).is_some_and(|rest| !rest.is_empty()))
            {
                return Err(self.refused(
                    "setting `key` says nowhere where the key is; use \"env:NAME\" or \"file:PATH\", and never the key \
                     itself",
                ));
            }
            model.key = Some(key);
        }
        if let Some(url) = self.text("base_url")? {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(self.refused(
                    "setting `base_url` is no address of HTTP; use one like \"https://models.example/v1\"",
                ));
            }
            model.base_url = Some(url);
        }
        if let Some(first_byte) = self.seconds("first_byte")? {
            model.first_byte = first_byte;
        }
        if let Some(between_tokens) = self.seconds("between_tokens")? {
            model.between_tokens = between_tokens;
        }
        if let Some(whole_reply) = self.seconds("whole_reply")? {
            model.whole_reply = whole_reply;
        }
        if let Some(retries) = self.take("retries", "a whole number from 0 to 20")? {
            if retries > 20 {
                return Err(self.refused("setting `retries` is too much; use 0 to 20"));
            }
            model.retries = retries;
        }
        Ok(model)
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, SpecError> {
        let expected = "seconds, from 0.1 to 3600";
        match self.take::<f64>(name, expected)? {
            Some(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
            Some(seconds) => Err(self.refused(format!("setting `{name}` is {seconds}; use {expected}"))),
            None => Ok(None),
        }
    }
}

pub(super) fn refused(agent: &Name, says: impl Into<String>) -> SpecError {
    SpecError::Config { agent: agent.to_string(), cause: Cause::says(says) }
}

/// What to write instead of an unknown word: the nearest known one, or one of all.
pub(crate) fn instead(given: &str, known: &[&str]) -> String {
    let lower = given.to_lowercase();
    let far = |word: &&&str| strsim::damerau_levenshtein(&lower, word);
    let near = known.iter().min_by_key(far).filter(|word| far(word) <= word.chars().count().max(3) / 3);
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            format!("use one of {}", all.join(", "))
        }
    }
}
