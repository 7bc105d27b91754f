//! Doing what the model asks for, each call as a step.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use runtime_traits::agent::{Call, WaitFor};
use runtime_traits::model::{ToolCall, ToolResult};
use runtime_traits::{
    AgentError, Content, Ctx, Effect, Reconciled, StepCall, StepOptions, StepSort, Tool, Usage,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Mind;
use super::answer::{Answer, plain, result, unsaid};
use super::ask::scope;
use super::hands::Prepared;
use super::state::Done;

/// What the log keeps of a call: what somebody consents to.
#[derive(Serialize)]
struct Called<'a> {
    tool: &'a str,
    arguments: &'a RawValue,
}

impl Mind {
    /// Makes the calls of one reply, side by side; what hands the conversation over comes last.
    pub(super) async fn act(&self, ctx: &Ctx, turn: u32, calls: &[ToolCall]) -> Result<Done, AgentError> {
        let ctx = &ctx.scope(&scope(turn))?;
        let (last, first): (Vec<_>, Vec<_>) =
            calls.iter().enumerate().partition(|(_, call)| self.hands.hands_off(call));
        let works = first.into_iter().map(|(index, call)| self.one(ctx, index, call));
        let results: Result<Vec<_>, AgentError> = join_all(works).await.into_iter().collect();
        let mut done = Done { results: results?, handed_over: None };
        for (index, call) in last {
            let (result, output) = self.hand_over(ctx, index, call, done.handed_over.is_some()).await?;
            done.results.push(result);
            done.handed_over = done.handed_over.or(output);
        }
        Ok(done)
    }

    async fn one(&self, ctx: &Ctx, index: usize, call: &ToolCall) -> Result<ToolResult, AgentError> {
        let said = match self.hands.prepare(call) {
            Err(why) => Err(why),
            Ok(Prepared::Tool(tool, arguments)) => {
                match use_tool(ctx, index, call, tool, &arguments).await {
                    // It is recorded as a message already.
                    Ok(Answer(result)) if result.call == call.id => return Ok(result),
                    // Somebody else said what became of it, and that is no message yet.
                    Ok(Answer(result)) => {
                        return say(ctx, index, ToolResult { call: call.id.clone(), ..result }).await;
                    }
                    Err(error) => Err(unsaid(error)?),
                }
            }
            Ok(Prepared::Agent(agent, input)) => {
                let output = ctx.call(Call::to(agent, input).named(step(index, call))).await;
                or_why(output)?.map(|output| plain(&output))
            }
            Ok(Prepared::Person(question)) => {
                let answer = ctx.wait_for(WaitFor::answer(question).named(step(index, call))).await;
                or_why(answer)?.map(|answer| plain(&answer))
            }
            Ok(Prepared::HandOff(..)) => Err("the conversation cannot be handed over here".to_owned()),
        };
        say(ctx, index, result(&call.id, said)).await
    }

    async fn hand_over(
        &self,
        ctx: &Ctx,
        index: usize,
        call: &ToolCall,
        already: bool,
    ) -> Result<(ToolResult, Option<Content>), AgentError> {
        let output = match self.hands.prepare(call) {
            Ok(Prepared::HandOff(agent, _)) if already => {
                Err(format!("the conversation was handed over before, and not to `{agent}`"))
            }
            Ok(Prepared::HandOff(agent, message)) => {
                let session = ctx.facts().session.clone();
                let handed = Call::to(agent, message).in_session(session).named(step(index, call));
                or_why(ctx.call(handed).await)?
            }
            Ok(_) => Err("this does not hand the conversation over".to_owned()),
            Err(why) => Err(why),
        };
        let said = output.as_ref().map(|_| "The other agent goes on.".to_owned()).map_err(String::clone);
        let said = say(ctx, index, result(&call.id, said)).await?;
        Ok((said, output.ok()))
    }
}

/// The name of a call's step.
fn step(index: usize, call: &ToolCall) -> String {
    format!("{index}.{}", call.name)
}

/// What a step came to, with the words for the model where that is nothing.
fn or_why<T>(got: Result<T, runtime_traits::StepError>) -> Result<Result<T, String>, AgentError> {
    match got {
        Ok(value) => Ok(Ok(value)),
        Err(error) => unsaid(error).map(Err),
    }
}

/// Makes a result a message of the conversation, where no step of a tool did.
async fn say(ctx: &Ctx, index: usize, result: ToolResult) -> Result<ToolResult, AgentError> {
    let options = StepOptions::new(format!("{index}.said"), Effect::Pure).calls(StepSort::Tool).said();
    let said = ctx.step_with(options, &result, |_| async { Ok(result.clone()) });
    Ok(said.await?)
}

async fn use_tool(
    ctx: &Ctx,
    index: usize,
    call: &ToolCall,
    tool: &dyn Tool,
    arguments: &RawValue,
) -> Result<Answer, runtime_traits::StepError> {
    let text = arguments.get();
    // A rule that breaks does not let a call pass.
    let consent = catch_unwind(AssertUnwindSafe(|| tool.needs_approval(text))).unwrap_or(true);
    let options = StepOptions::new(step(index, call), tool.effect())
        .calls(StepSort::Tool)
        .said()
        .within(tool.within())
        .with_approval(consent);
    let options = match tool.silence() {
        Some(silence) => options.silent_for(silence),
        None => options,
    };
    let called = Called { tool: &call.name, arguments };
    let work = |step: StepCall| async move {
        step.used(Usage { tool_calls: 1, ..Usage::default() });
        let said = AssertUnwindSafe(async { tool.call(&step, text).await }).catch_unwind().await;
        let said = match said {
            Ok(said) => said.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("the tool panicked: {}", words(&*panic))),
        };
        Ok(Answer(result(&call.id, said)))
    };
    let reconcile = |step: StepCall| async move {
        let said = AssertUnwindSafe(async { tool.reconcile(&step, text).await }).catch_unwind().await;
        Ok(match said {
            Ok(Ok(Reconciled::Done(said))) => Reconciled::Done(Answer(result("", Ok(said)))),
            Ok(Ok(Reconciled::NotDone)) => Reconciled::NotDone,
            // Who cannot be asked has not said anything.
            Ok(Ok(Reconciled::Unknown) | Err(_)) | Err(_) => Reconciled::Unknown,
        })
    };
    ctx.step_or_reconcile(options, &called, work, reconcile).await
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
