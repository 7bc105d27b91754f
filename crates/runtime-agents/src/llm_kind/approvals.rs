//! Who has to be asked before a tool is used, as declarations say it.

use runtime_traits::SpecError;
use serde_json::Value;
use std::sync::Arc;

use super::settings::{Settings, instead};
use crate::tools::{Approval, Fit};

/// What a declaration says for all of an agent's tools.
#[derive(Debug)]
pub(super) enum Approvals {
    /// Nothing: each tool has its own opinion.
    Own,
    /// The same for all.
    All(Approval),
    /// Always, for these tools.
    Tools(Vec<String>),
}

impl Approvals {
    pub(super) fn of(&self, tool: &str) -> Option<Approval> {
        match self {
            Self::Own => None,
            Self::All(approval) => Some(approval.clone()),
            Self::Tools(tools) => tools.iter().any(|name| name == tool).then_some(Approval::Always),
        }
    }

    /// Whether each tool that is named is there: who misspells one would go without the question.
    pub(super) fn check<'a>(&self, there: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let Self::Tools(tools) = self else {
            return Ok(());
        };
        let there: Vec<&str> = there.collect();
        match tools.iter().find(|tool| !there.contains(&tool.as_str())) {
            None => Ok(()),
            Some(tool) => {
                Err(format!("setting `approval`: the agent has no tool `{tool}`; {}", instead(tool, &there)))
            }
        }
    }
}

/// The setting `approval` of an agent.
pub(super) fn approval(settings: &mut Settings) -> Result<Approvals, SpecError> {
    let expected = "\"always\", \"never\", or a list of tools";
    let Some(value) = settings.take::<Value>("approval", expected)? else {
        return Ok(Approvals::Own);
    };
    let wrong = || settings.refused(format!("setting `approval` has another type; use {expected}"));
    match &value {
        Value::Array(tools) => {
            let tools = tools.iter().map(|tool| tool.as_str().map(str::to_owned));
            tools.collect::<Option<_>>().map(Approvals::Tools).ok_or_else(wrong)
        }
        value => read(value).map(Approvals::All).ok_or_else(wrong),
    }
}

/// `"always"`, `"never"`, or a rule: `{ when = SCHEMA }`, for calls whose arguments fit the schema.
pub(super) fn read(value: &Value) -> Option<Approval> {
    match value {
        Value::String(word) if word == "always" => Some(Approval::Always),
        Value::String(word) if word == "never" => Some(Approval::Never),
        Value::Object(rule) if rule.len() == 1 => {
            let fit = Fit::new(rule.get("when")?).ok()?;
            Some(Approval::When(Arc::new(move |arguments| fit.check(arguments).is_ok())))
        }
        _ => None,
    }
}
