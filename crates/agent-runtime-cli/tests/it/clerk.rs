//! An agent that does what agents with models do: it thinks aloud, calls tools, and asks for consent.

use std::sync::Arc;

use agent_runtime::log::StepSort;
use agent_runtime::model::{ModelReply, ToolCall, ToolResult};
use agent_runtime::prelude::*;
use agent_runtime::{StepError, StepOptions};
use runtime_testkit::agents::Gates;
use serde_json::json;

/// Hosts clerks.
#[derive(Debug)]
pub(crate) struct ClerkKind(pub(crate) Gates);

/// `hello`: says so. `search X`: says that it will look, and looks. `pay X`: pays, if somebody consents.
/// `hold X`: says half a sentence, and passes the gate X before it goes on.
#[derive(Debug)]
struct Clerk {
    spec: AgentSpec,
    gates: Gates,
}

fn call(tool: &str, what: &str) -> ToolCall {
    let arguments = json!({ "what": what }).to_string();
    ToolCall { id: "call_1_0".to_owned(), name: tool.to_owned(), arguments }
}

impl Clerk {
    async fn think(
        &self,
        ctx: &Ctx,
        pieces: &[&str],
        gate: Option<&str>,
        calls: Vec<ToolCall>,
    ) -> Result<String, AgentError> {
        let options = StepOptions::new("model", Effect::Repeatable).calls(StepSort::Model).said();
        let thinking = ctx.step_with(options, &pieces, |_| async move {
            for (number, piece) in pieces.iter().enumerate() {
                ctx.preview(piece);
                if let Some(gate) = gate.filter(|_| number == 0) {
                    self.gates.pass(gate).await;
                }
            }
            Ok(ModelReply { text: pieces.concat(), calls, ..ModelReply::default() })
        });
        Ok(thinking.await?.text)
    }

    async fn use_tool(&self, ctx: &Ctx, tool: &str, what: &str, consent: bool) -> Result<String, AgentError> {
        let options = StepOptions::new(format!("0.{tool}"), Effect::AtMostOnce);
        let options = options.calls(StepSort::Tool).said().with_approval(consent);
        let request = json!({ "tool": tool, "arguments": { "what": what } });
        let using = ctx.step_with(options, &request, |_| async move {
            self.gates.arrive(what);
            Ok(ToolResult {
                call: "call_1_0".to_owned(),
                text: format!("{tool} of {what}"),
                failed: what == "nothing",
            })
        });
        match using.await {
            Ok(result) => Ok(result.text),
            Err(StepError::Failed { failure, .. }) => Ok(format!("not done: {}", failure.message)),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let (word, what) = input.as_text()?.split_once(' ').unwrap_or((input.as_text()?, ""));
        let (first, second) = (ctx.scope("turn-1")?, ctx.scope("turn-2")?);
        let text = match word {
            "hold" => {
                self.think(&first, &["Half a sentence", " and the rest."], Some(what), Vec::new()).await?
            }
            "search" | "pay" => {
                let calls = vec![call(word, what)];
                self.think(&first, &["Let me", " see."], None, calls).await?;
                let result = self.use_tool(&first, word, what, word == "pay").await?;
                self.think(&second, &["It is: ", &result], None, Vec::new()).await?
            }
            _ => self.think(&first, &["You say: ", word], None, Vec::new()).await?,
        };
        Ok(Content::text(text))
    }
}

impl AgentKind for ClerkKind {
    fn name(&self) -> Name {
        Name::new("clerk").expect("`clerk` is a name")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Clerk { spec: spec.clone(), gates: self.0.clone() }))
    }
}

/// A clerk, and the testkit's agents, by the names of their kinds.
pub(crate) fn kinds(gates: &Gates) -> Vec<Arc<dyn AgentKind>> {
    let mut kinds = runtime_testkit::agents::kinds(gates);
    kinds.push(Arc::new(ClerkKind(gates.clone())));
    kinds
}

/// The fleet of these agents.
pub(crate) fn fleet(names: &[&str]) -> String {
    names.iter().map(|name| format!("[agents.{name}]\nkind = \"{name}\"\n")).collect()
}
