//! Who has to consent to a call before it is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, Reconciled, StepCall, Tool};
use serde::de::DeserializeOwned;

/// Whether somebody has to consent to a call.
#[derive(Clone, Default)]
pub enum Approval {
    /// To every call.
    Always,
    /// To none.
    #[default]
    Never,
    /// To the calls that the rule names by their arguments.
    When(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

/// A tool whose calls somebody else wants to approve.
#[derive(Debug)]
pub struct WithApproval<T> {
    tool: T,
    approval: Approval,
}

impl Approval {
    /// To the calls whose arguments the rule is true for; and to those that it cannot read.
    ///
    /// ```
    /// # use runtime_agents::tools::Approval;
    /// #[derive(serde::Deserialize)]
    /// struct Payment { cents: u64 }
    ///
    /// let approval = Approval::when(|payment: &Payment| payment.cents > 10_000);
    /// assert!(approval.is_needed(r#"{"cents": 20000}"#));
    /// assert!(!approval.is_needed(r#"{"cents": 200}"#));
    /// ```
    pub fn when<A: DeserializeOwned>(rule: impl Fn(&A) -> bool + Send + Sync + 'static) -> Self {
        Self::When(Arc::new(move |arguments| {
            serde_json::from_str(arguments).map_or(true, |read| rule(&read))
        }))
    }

    /// Whether a call with these arguments needs somebody's consent.
    pub fn is_needed(&self, arguments: &str) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::When(rule) => rule(arguments),
        }
    }
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "Always",
            Self::Never => "Never",
            Self::When(_) => "When(..)",
        })
    }
}

impl<T: Tool> WithApproval<T> {
    /// The tool, with another opinion on what needs consent than its own.
    pub fn new(tool: T, approval: Approval) -> Self {
        Self { tool, approval }
    }
}

#[async_trait]
impl<T: Tool> Tool for WithApproval<T> {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    fn effect(&self) -> Effect {
        self.tool.effect()
    }

    fn within(&self) -> Duration {
        self.tool.within()
    }

    fn silence(&self) -> Option<Duration> {
        self.tool.silence()
    }

    fn place(&self, arguments: &str) -> Option<String> {
        self.tool.place(arguments)
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        self.approval.is_needed(arguments)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.tool.call(call, arguments).await
    }

    async fn reconcile(&self, call: &StepCall, arguments: &str) -> Result<Reconciled<String>, AgentError> {
        self.tool.reconcile(call, arguments).await
    }
}
