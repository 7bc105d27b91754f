//! What a declaration says of a tool.

use runtime_traits::{Name, SpecError};
use serde_json::{Map, Value};

use super::approvals::read;
use super::settings::refused;
use crate::tools::Approval;

/// What a declaration says of a tool, to be taken by whoever makes it.
#[derive(Debug)]
pub struct ToolSettings {
    /// Whose tool.
    pub agent: Name,
    /// The tool, as the declaration names it.
    pub tool: String,
    left: Map<String, Value>,
}

impl ToolSettings {
    pub(super) fn new(agent: Name, tool: String, left: Map<String, Value>) -> Self {
        Self { agent, tool, left }
    }

    /// The setting of this name, taken out; `None` when it is not there.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    /// The text of this name, taken out; `None` when it is not there.
    ///
    /// # Errors
    /// [`SpecError`] when it is no text, or an empty one.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, SpecError> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(_) => Err(self.refused(format!("`{name}` is no text; use a text"))),
        }
    }

    /// Says what is wrong with the tool; the remedy comes after a semicolon.
    pub fn refused(&self, says: impl AsRef<str>) -> SpecError {
        refused(&self.agent, format!("setting `tools`: in `{}` {}", self.tool, says.as_ref()))
    }

    pub(super) fn approval(&mut self) -> Result<Option<Approval>, SpecError> {
        let Some(value) = self.left.remove("approval") else {
            return Ok(None);
        };
        let expected = "`approval` has another type; use \"always\", \"never\" or { when = SCHEMA }";
        read(&value).map(Some).ok_or_else(|| self.refused(expected))
    }

    pub(super) fn is_empty(&self) -> Result<(), SpecError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(self.refused(format!("`{unknown}` is unknown; take it out"))),
        }
    }
}

/// The tool `documents`: the folder `documents`, and if need be a `name` and a `description`.
#[cfg(feature = "documents")]
pub(super) fn documents(
    settings: &mut ToolSettings,
) -> Result<std::sync::Arc<dyn runtime_traits::Tool>, SpecError> {
    use runtime_traits::Cause;

    let Some(folder) = settings.text("documents")? else {
        let says = "`documents` is missing; set it to the folder that holds the documents";
        return Err(settings.refused(says));
    };
    let needs = |error| SpecError::Needs {
        agent: settings.agent.to_string(),
        what: "the documents of its `tools`".to_owned(),
        cause: Cause::of(&error),
    };
    crate::documents::check(folder.as_ref()).map_err(needs)?;
    let mut tool = crate::tools::DocumentSearch::new(folder);
    if let Some(name) = settings.text("name")? {
        tool = tool.named(&name);
    }
    if let Some(description) = settings.text("description")? {
        tool = tool.described(&description);
    }
    Ok(std::sync::Arc::new(tool))
}
