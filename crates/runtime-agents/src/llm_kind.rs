//! [`LlmKind`]: agents with models from declarations.

mod approvals;
mod fallback;
mod settings;
mod tool_maker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::{Agent, AgentKind, AgentSpec, Model, Name, SpecError, Tool};
use serde_json::Value;

use crate::llm_agent::{LLM, LlmAgent, LlmAgentBuilder};
use crate::model_source::{ModelSettings, ModelSource};
use crate::retrying::Retrying;
use crate::scripted::{ScriptedModel, Turn};
use crate::tools::{Calculator, WithApproval};

use approvals::{Approvals, approval};
pub(crate) use settings::Settings;
pub use tool_maker::ToolSettings;

/// How models of scripts are called.
const SCRIPTED: &str = "scripted/";

/// The settings of the kind, in the order in which they are told.
const SETTINGS: [&str; 22] = [
    "model",
    "instructions",
    "tools",
    "approval",
    "calls",
    "hand_off_to",
    "asks_people",
    "max_steps",
    "max_tokens",
    "temperature",
    "window",
    "output_schema",
    "key",
    "base_url",
    "first_byte",
    "between_tokens",
    "whole_reply",
    "retries",
    "fallback",
    "outage",
    "replies",
    "again",
];

type Around = dyn Fn(Arc<dyn Tool>) -> Arc<dyn Tool> + Send + Sync;
type Maker = dyn Fn(&mut ToolSettings) -> Result<Arc<dyn Tool>, SpecError> + Send + Sync;

/// Builds agents with models from specs of the kind `llm`.
///
/// Their models come from a [`ModelSource`]; `scripted/NAME`, which says its `replies`, is always there.
///
/// ```
/// use runtime_agents::{LlmKind, NoModels};
/// use runtime_traits::{AgentKind, AgentSpec};
/// use serde_json::json;
///
/// let spec = AgentSpec::new("llm", "greeter")?.configured(&json!({
///     "model": "scripted/greeter",
///     "replies": ["Good morning!", "And good night."],
///     "tools": ["calculator"],
/// }))?;
/// let agent = LlmKind::new(NoModels).build(&spec)?;
/// assert_eq!(agent.spec().name.as_str(), "greeter");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LlmKind {
    models: Arc<dyn ModelSource>,
    tools: BTreeMap<String, Arc<Maker>>,
    /// What is put around each tool, if anything is.
    around: Option<Arc<Around>>,
}

impl LlmKind {
    /// The kind, with its models from `models`, and the tools that this crate has.
    pub fn new(models: impl ModelSource) -> Self {
        let kind = Self { models: Arc::new(models), tools: BTreeMap::new(), around: None };
        let kind = kind.with_tool(Calculator::NAME, |_| Ok(Arc::new(Calculator::new())));
        #[cfg(feature = "documents")]
        let kind = kind.with_tool("documents", tool_maker::documents);
        kind
    }

    /// Adds a tool that declarations may name. `make` takes what the tool's own table says; what it leaves there is
    /// refused.
    #[must_use]
    pub fn with_tool(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&mut ToolSettings) -> Result<Arc<dyn Tool>, SpecError> + Send + Sync + 'static,
    ) -> Self {
        self.tools.insert(name.into(), Arc::new(make));
        self
    }

    /// Puts something around each tool that a declaration names: what holds calls off that would fail, say.
    #[must_use]
    pub fn with_tools_in(
        mut self,
        around: impl Fn(Arc<dyn Tool>) -> Arc<dyn Tool> + Send + Sync + 'static,
    ) -> Self {
        self.around = Some(Arc::new(around));
        self
    }

    fn agent(&self, spec: &AgentSpec) -> Result<LlmAgent, SpecError> {
        let mut settings = Settings::of(spec, &SETTINGS)?;
        let fallback = fallback::settings(&mut settings)?;
        let outage = settings.take("outage", "seconds, from 0 to 604800")?;
        let model = self.model(&mut settings)?;
        let approvals = approval(&mut settings)?;
        let mut agent = LlmAgent::new(spec.name.as_str(), model).description(&spec.description);
        for mut settings in fallback {
            agent = agent.fallback(self.model(&mut settings)?);
        }
        if let Some(seconds) = outage {
            agent = agent.outage(Duration::from_secs(seconds));
        }
        let tools = self.tools(&mut settings, &approvals)?;
        let names = tools.iter().map(|tool| tool.spec().name.as_str());
        approvals.check(names).map_err(|says| settings.refused(says))?;
        agent = agent.tools(tools);
        for (name, description) in settings.agents("calls")? {
            agent = agent.calls(name, description);
        }
        for (name, when) in settings.agents("hand_off_to")? {
            agent = agent.hand_off_when(name, when);
        }
        if settings.flag("asks_people")? {
            agent = agent.asks_people();
        }
        let agent = numbers(agent, &mut settings)?;
        let agent = agent.build().map_err(|error| settings.refused(error.to_string()))?;
        Ok(agent.declared(spec.clone()))
    }

    fn model(&self, settings: &mut Settings) -> Result<Arc<dyn Model>, SpecError> {
        let example = "set `model` to a provider and a model, like \"openai/gpt-4o\"";
        let Some(name) = settings.text("model")? else {
            return Err(settings.refused(format!("setting `model` is missing; {example}")));
        };
        if !name.split_once('/').is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty()) {
            return Err(settings.refused(format!("setting `model` names no provider; {example}")));
        }
        let replies: Option<Vec<Turn>> =
            settings.take("replies", "a list of texts, or of tables with `text` and `calls`")?;
        let again = settings.flag("again")?;
        let asked = settings.model(&name)?;
        match (name.strip_prefix(SCRIPTED), replies) {
            (Some(script), Some(replies)) if !replies.is_empty() => {
                let model = ScriptedModel::new(script, replies);
                Ok(Arc::new(if again { model.again() } else { model }))
            }
            (Some(_), _) => Err(settings.refused(
                "a model of a script says what `replies` has, and that is nothing; set `replies` to a list of texts",
            )),
            (None, Some(_)) => Err(settings.refused(
                "setting `replies` belongs to models of scripts; take it out, or use a model `scripted/NAME`",
            )),
            (None, None) => {
                let model = self.models.model(&asked)?;
                let ModelSettings { retries, .. } = asked;
                Ok(if retries == 0 { model } else { Arc::new(Retrying::new(model, retries)) })
            }
        }
    }

    fn tools(&self, settings: &mut Settings, approvals: &Approvals) -> Result<Vec<Arc<dyn Tool>>, SpecError> {
        let mut tools = Vec::new();
        for mut asked in settings.tools()? {
            let Some(make) = self.tools.get(&asked.tool) else {
                let known: Vec<&str> = self.tools.keys().map(String::as_str).collect();
                return Err(settings.refused(format!(
                    "setting `tools`: there is no tool `{}`; {}",
                    asked.tool,
                    settings::instead(&asked.tool, &known)
                )));
            };
            let own = asked.approval()?;
            let tool = make(&mut asked)?;
            asked.is_empty()?;
            let tool =
                self.around.as_ref().map_or_else(|| Arc::clone(&tool), |around| around(Arc::clone(&tool)));
            let approval = own.or_else(|| approvals.of(&tool.spec().name));
            tools.push(match approval {
                Some(approval) => Arc::new(WithApproval::new(tool, approval)),
                None => tool,
            });
        }
        Ok(tools)
    }
}

fn numbers(agent: LlmAgentBuilder, settings: &mut Settings) -> Result<LlmAgentBuilder, SpecError> {
    let mut agent = agent.instructions(settings.text("instructions")?.unwrap_or_default());
    if let Some(steps) = settings.take("max_steps", "a whole number, like 20")? {
        agent = agent.max_steps(steps);
    }
    if let Some(tokens) = settings.take("max_tokens", "a whole number, like 4096")? {
        agent = agent.max_tokens(tokens);
    }
    if let Some(temperature) = settings.take("temperature", "a number from 0 to 2")? {
        agent = agent.temperature(temperature);
    }
    if let Some(window) = settings.take("window", "a whole number, like 50")? {
        agent = agent.window(window);
    }
    if let Some(schema) = settings.take::<Value>("output_schema", "a table that is a JSON Schema")? {
        agent = agent.output_schema(schema);
    }
    Ok(agent)
}

impl AgentKind for LlmKind {
    fn name(&self) -> Name {
        Name::new(LLM).expect("`llm` is a name")
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.agent(spec).map(drop)
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(self.agent(spec)?))
    }
}

impl fmt::Debug for LlmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tools: Vec<&String> = self.tools.keys().collect();
        f.debug_struct("LlmKind").field("models", &self.models).field("tools", &tools).finish()
    }
}
