//! Tools from plain async functions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, StepCall, Tool};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::approval::Approval;
use super::output::ToolOutput;
use super::schema::{normalised, schema_of};

type Call = dyn Fn(&str) -> BoxFuture<'static, Result<String, AgentError>> + Send + Sync;

/// A tool from an async function. The schema of its arguments is that of their type.
///
/// It may not be repeated, takes at most a minute and needs nobody's consent, unless it says otherwise.
///
/// ```
/// use runtime_agents::tools::FnTool;
/// use runtime_traits::{Effect, StepCall, Tool};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Place {
///     /// Where, as people call it.
///     city: String,
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let weather = FnTool::new("weather", "Tells the weather of a place.", |place: Place| async move {
///     Ok(format!("It rains in {}.", place.city))
/// })
/// .effect(Effect::Repeatable);
///
/// let said = weather.call(&StepCall::detached("a"), r#"{"city": "Bergen"}"#).await;
/// assert_eq!(said.unwrap(), "It rains in Bergen.");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FnTool {
    spec: ToolSpec,
    call: Box<Call>,
    effect: Effect,
    within: Duration,
    approval: Approval,
}

impl FnTool {
    /// A tool of this name, for what the description says.
    ///
    /// A name or a schema that providers do not take is told when the tool is given to an agent.
    pub fn new<A, R, W, F>(name: impl Into<String>, description: impl Into<String>, work: W) -> Self
    where
        A: DeserializeOwned + JsonSchema,
        R: ToolOutput,
        W: Fn(A) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, AgentError>> + Send + 'static,
    {
        Self::with_schema(name, description, schema_of::<A>(), work)
    }

    /// A tool whose arguments fit a schema that is written by hand: for types that cannot tell theirs.
    pub fn with_schema<A, R, W, F>(
        name: impl Into<String>,
        description: impl Into<String>,
        schema: Value,
        work: W,
    ) -> Self
    where
        A: DeserializeOwned,
        R: ToolOutput,
        W: Fn(A) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, AgentError>> + Send + 'static,
    {
        let call = move |arguments: &str| match read::<A>(arguments) {
            Ok(arguments) => {
                let working = work(arguments);
                async move { working.await.and_then(ToolOutput::into_text) }.boxed()
            }
            Err(error) => ready(Err(AgentError::says(format!("the arguments do not fit: {error}")))).boxed(),
        };
        Self {
            spec: ToolSpec {
                name: name.into(),
                description: description.into(),
                parameters: parameters(schema),
            },
            call: Box::new(call),
            effect: Effect::AtMostOnce,
            within: Duration::from_secs(60),
            approval: Approval::Never,
        }
    }

    /// Says what may be done again when it is not known whether a call took effect.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Says how long one call may take.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.within = deadline;
        self
    }

    /// Says which calls need somebody's consent.
    #[must_use]
    pub fn needs_approval(mut self, approval: Approval) -> Self {
        self.approval = approval;
        self
    }
}

/// What takes nothing may be called with an empty object.
fn read<A: DeserializeOwned>(arguments: &str) -> Result<A, serde_json::Error> {
    serde_json::from_str(arguments).or_else(|error| {
        let empty = serde_json::from_str::<Value>(arguments)
            .is_ok_and(|value| value.as_object().is_some_and(|o| o.is_empty()));
        if empty { serde_json::from_str("null").map_err(|_| error) } else { Err(error) }
    })
}

/// The schema as providers take it. One that they do not take is kept as it is, for whoever builds the agent to refuse.
fn parameters(schema: Value) -> Arc<RawValue> {
    normalised(schema.clone()).unwrap_or_else(|_| {
        let text = RawValue::from_string(schema.to_string());
        Arc::from(text.expect("a value of JSON is JSON"))
    })
}

#[async_trait]
impl Tool for FnTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn within(&self) -> Duration {
        self.within
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        self.approval.is_needed(arguments)
    }

    async fn call(&self, _call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        (self.call)(arguments).await
    }
}

impl fmt::Debug for FnTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FnTool({}, {:?})", self.spec.name, self.effect)
    }
}
