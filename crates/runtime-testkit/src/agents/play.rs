//! What the agents of the testkit do.

use async_trait::async_trait;
use runtime_traits::{Agent, AgentError, AgentSpec, Content, Ctx, Effect, Usage};

use crate::agents::Gates;

/// What an agent does. Its kind has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Gives its input back. Takes no step.
    Echo,
    /// Gives its input in capitals, from a step that shows a piece of it beforehand.
    Shout,
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
    pub const ALL: [Self; 9] = [
        Self::Echo,
        Self::Shout,
        Self::Gate,
        Self::Once,
        Self::Remember,
        Self::Fail,
        Self::Panic,
        Self::Forever,
        Self::Big,
    ];

    /// The name of its kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Shout => "shout",
            Self::Gate => "gate",
            Self::Once => "once",
            Self::Remember => "remember",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Forever => "forever",
            Self::Big => "big",
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

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        match self.play {
            Play::Echo => Ok(input),
            Play::Shout => Self::shout(&ctx, &input).await,
            Play::Gate => self.pass(&ctx, &input, Effect::Repeatable).await,
            Play::Once => self.pass(&ctx, &input, Effect::AtMostOnce).await,
            Play::Remember => Self::remember(&ctx, &input),
            Play::Fail => Err(AgentError::says(input.as_text()?)),
            Play::Panic => fall_over(input.as_text()?),
            Play::Forever => self.wait_forever(&input).await,
            Play::Big => Ok(Content::text("x".repeat(input.as_text()?.parse()?))),
        }
    }
}

#[expect(clippy::panic, reason = "the test wants to see what becomes of a panic")]
fn fall_over(words: &str) -> ! {
    panic!("{words}")
}
