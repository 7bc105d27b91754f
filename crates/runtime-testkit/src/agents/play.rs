//! What the agents of the testkit do.

use async_trait::async_trait;
use runtime_traits::agent::{Call, WaitFor};
use runtime_traits::log::{Author, StepSort};
use runtime_traits::model::{Deltas, Spoken, ToolCall, ToolResult};
use runtime_traits::{
    Agent, AgentError, AgentSpec, Content, Ctx, Effect, ModelReply, StepError, StepOptions, Usage,
};

use crate::agents::Gates;

/// What an agent does. Its kind has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Gives its input back. Takes no step.
    Echo,
    /// Gives its input in capitals, from a step that shows a piece of it beforehand.
    Shout,
    /// Shows each word of its input as a piece of one step's value, and passes the gate of that name after it; the word
    /// `again` takes back what was shown. Gives the words in capitals.
    Show,
    /// Passes a gate for each word of its input, each in a step that may be repeated. Gives the words back.
    Gate,
    /// As [`Play::Gate`], in steps that are done at most once.
    Once,
    /// Adds its input to a list in the session's state, and gives the list.
    Remember,
    /// Fails with its input as the reason.
    Fail,
    /// Panics with its input as the reason.
    Panic,
    /// Writes itself down at the gate that its input names, and never ends.
    Forever,
    /// Gives as many bytes as its input says.
    Big,
    /// Asks its input, and gives the answer.
    Ask,
    /// Writes itself down at the gate that its input names, in a step that somebody has to consent to.
    Consent,
    /// Calls the agent that its input names first with the rest, and gives its output.
    Call,
    /// Says something as a model, passes the gate that its input names, and says something as a tool.
    Talk,
    /// Gives the inputs among the last ten messages before its own, and the authors of the others.
    Recall,
    /// Goes on in a successor as often as its input says.
    Relay,
}

/// An agent that does what its [`Play`] says.
#[derive(Debug)]
pub struct Player {
    play: Play,
    spec: AgentSpec,
    gates: Gates,
}

impl Play {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::Echo,
        Self::Shout,
        Self::Show,
        Self::Gate,
        Self::Once,
        Self::Remember,
        Self::Fail,
        Self::Panic,
        Self::Forever,
        Self::Big,
        Self::Ask,
        Self::Consent,
        Self::Call,
        Self::Talk,
        Self::Recall,
        Self::Relay,
    ];

    /// The name of its kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Shout => "shout",
            Self::Show => "show",
            Self::Gate => "gate",
            Self::Once => "once",
            Self::Remember => "remember",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Forever => "forever",
            Self::Big => "big",
            Self::Ask => "ask",
            Self::Consent => "consent",
            Self::Call => "call",
            Self::Talk => "talk",
            Self::Recall => "recall",
            Self::Relay => "relay",
        }
    }
}

impl Player {
    /// An agent that declares itself as `spec`.
    pub fn new(play: Play, spec: AgentSpec, gates: Gates) -> Self {
        Self { play, spec, gates }
    }

    async fn shout(ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let text = input.as_text()?;
        let usage =
            Usage { input_tokens: 1, output_tokens: 2, model_calls: 1, tool_calls: 0, estimated_tokens: 0 };
        let loud: String = ctx
            .step("shout", Effect::Repeatable, text, |call| async move {
                ctx.preview(text);
                call.used(usage);
                Ok(text.to_uppercase())
            })
            .await?;
        Ok(Content::text(loud))
    }

    async fn show(&self, ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let text = input.as_text()?;
        let showing = ctx.step("show", Effect::Repeatable, text, |call| async move {
            for word in text.split_whitespace() {
                match word {
                    "again" => call.retract(),
                    word => call.text(word),
                }
                self.gates.pass(word).await;
            }
            Ok(text.to_uppercase())
        });
        Ok(Content::text(showing.await?))
    }

    async fn pass(&self, ctx: &Ctx, input: &Content, effect: Effect) -> Result<Content, AgentError> {
        let text = input.as_text()?;
        let mut passed: Vec<String> = Vec::new();
        for gate in text.split_whitespace() {
            let passing = ctx.step(gate, effect, gate, |_| async move {
                self.gates.pass(gate).await;
                Ok(gate.to_owned())
            });
            passed.push(passing.await?);
        }
        Ok(Content::text(passed.join(" ")))
    }

    fn remember(ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let mut list: Vec<String> = ctx.state()?.unwrap_or_default();
        list.push(input.as_text()?.to_owned());
        ctx.set_state(&list)?;
        Ok(Content::json(&list)?)
    }

    async fn consent(&self, ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let gate = input.as_text()?;
        let options = StepOptions::new("act", Effect::AtMostOnce).with_approval(true);
        let acting = ctx.step_with(options, gate, |_| async move {
            self.gates.arrive(gate);
            Ok(gate.to_owned())
        });
        match acting.await {
            Ok(done) => Ok(Content::text(done)),
            Err(StepError::Failed { failure, .. }) => Ok(Content::text(failure.message)),
            Err(error) => Err(error.into()),
        }
    }

    async fn call(ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let (agent, rest) = input.as_text()?.split_once(' ').unwrap_or_default();
        match ctx.call(Call::to(agent, rest)).await {
            Ok(output) => Ok(output),
            Err(StepError::Failed { failure, .. }) => Ok(Content::text(failure.message)),
            Err(error) => Err(error.into()),
        }
    }

    async fn talk(&self, ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        let gate = input.as_text()?;
        let call = ToolCall { id: "1".to_owned(), name: "gate".to_owned(), arguments: "{}".to_owned() };
        let reply = ModelReply { text: format!("to {gate}"), calls: vec![call], ..ModelReply::default() };
        let thought = StepOptions::new("model", Effect::Repeatable).calls(StepSort::Model).said();
        let _: ModelReply = ctx.step_with(thought, gate, |_| async move { Ok(reply) }).await?;
        let done = StepOptions::new("tool", Effect::Repeatable).calls(StepSort::Tool).said();
        let done = ctx.step_with(done, gate, |_| async move {
            self.gates.pass(gate).await;
            Ok(ToolResult { call: "1".to_owned(), text: format!("past {gate}"), failed: false })
        });
        let ToolResult { text, .. } = done.await?;
        Ok(Content::text(text))
    }

    fn recall(ctx: &Ctx) -> Content {
        let said = |spoken: &Spoken| match spoken.author {
            Author::Caller => spoken.content.to_string(),
            author => format!("({author:?})"),
        };
        Content::text(ctx.history().iter().map(said).collect::<Vec<_>>().join(" "))
    }

    fn relay(ctx: &Ctx, input: &Content) -> Result<Content, AgentError> {
        match input.as_text()?.parse::<u32>()? {
            0 => Ok(Content::text("arrived")),
            left => ctx.continue_as((left - 1).to_string()),
        }
    }

    async fn wait_forever(&self, input: &Content) -> Result<Content, AgentError> {
        self.gates.arrive(input.as_text()?);
        std::future::pending().await
    }
}

#[async_trait]
impl Agent for Player {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    fn remembers(&self) -> usize {
        if self.play == Play::Recall { 10 } else { 0 }
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        match self.play {
            Play::Echo => Ok(input),
            Play::Shout => Self::shout(&ctx, &input).await,
            Play::Show => self.show(&ctx, &input).await,
            Play::Gate => self.pass(&ctx, &input, Effect::Repeatable).await,
            Play::Once => self.pass(&ctx, &input, Effect::AtMostOnce).await,
            Play::Remember => Self::remember(&ctx, &input),
            Play::Fail => Err(AgentError::says(input.as_text()?)),
            Play::Panic => fall_over(input.as_text()?),
            Play::Forever => self.wait_forever(&input).await,
            Play::Ask => Ok(ctx.wait_for(WaitFor::answer(input)).await?),
            Play::Consent => self.consent(&ctx, &input).await,
            Play::Call => Self::call(&ctx, &input).await,
            Play::Talk => self.talk(&ctx, &input).await,
            Play::Recall => Ok(Self::recall(&ctx)),
            Play::Relay => Self::relay(&ctx, &input),
            Play::Big => Ok(Content::text("x".repeat(input.as_text()?.parse()?))),
        }
    }
}

#[expect(clippy::panic, reason = "the test wants to see what becomes of a panic")]
fn fall_over(words: &str) -> ! {
    panic!("{words}")
}
