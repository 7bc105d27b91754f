//! Arithmetic, which models are bad at.

use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, StepCall, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

use super::expression::evaluate;
use super::function::FnTool;

/// The tool `calculator`: computes with fractions, so that what it says is exact.
///
/// ```
/// use runtime_agents::tools::Calculator;
/// use runtime_traits::{StepCall, Tool};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let said = Calculator::new().call(&StepCall::detached("a"), r#"{"expression": "0.1 + 0.2"}"#).await;
/// assert_eq!(said.unwrap(), "0.3");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Calculator(FnTool);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {
    /// Numbers, + - * / % ^ and parentheses, as in `(3 + 4.5) * 2^10`.
    expression: String,
}

impl Calculator {
    /// The name under which models see it.
    pub const NAME: &'static str = "calculator";

    /// A calculator.
    pub fn new() -> Self {
        let description = "Computes an arithmetic expression exactly. Use it for every calculation.";
        let tool =
            FnTool::new(Self::NAME, description, |sum: Sum| async move { Ok(evaluate(&sum.expression)?) });
        Self(tool.effect(Effect::Pure))
    }
}

impl Default for Calculator {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Tool for Calculator {
    fn spec(&self) -> &ToolSpec {
        self.0.spec()
    }

    fn effect(&self) -> Effect {
        Tool::effect(&self.0)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.0.call(call, arguments).await
    }
}
