//! The agent that plays scripts. Every step that it executes is counted outside, by the process that kills this one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, join_all, select};
use runtime_traits::agent::StepOptions;
use runtime_traits::log::Usage;
use runtime_traits::{
    Agent, AgentError, AgentKind, AgentSpec, Content, Ctx, Name, SpecError, StepCall, StepError, StepSort,
};
use serde::Serialize;

use super::effects::{Begun, Witness};
use super::script::{Act, Kept, Output, Script, Work, failed, piece};

/// The name of the kind.
pub(super) const KIND: &str = "scripted";

/// Builds agents that play scripts.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) witness: Arc<Witness>,
}

#[derive(Debug)]
struct Player {
    spec: AgentSpec,
    witness: Arc<Witness>,
}

/// What a step asks. A replay has to see the same time and draw the same number, otherwise it diverges.
#[derive(Serialize)]
struct Request {
    script: u64,
    at: u64,
    draw: u64,
}

impl AgentKind for Scripted {
    fn name(&self) -> Name {
        Name::new(KIND).expect("it is a lower-case word")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Player { spec: spec.clone(), witness: Arc::clone(&self.witness) }))
    }
}

#[async_trait]
impl Agent for Player {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let script: Script = input.parse()?;
        let play = Play { ctx: &ctx, script: &script, witness: &self.witness };
        let saw: Option<Kept> = ctx.state()?;
        let mut pieces = Vec::new();
        for act in &script.acts {
            play.act(act, saw.as_ref(), &mut pieces).await?;
        }
        ctx.set_state(&script.kept(saw.as_ref(), 0))?;
        if script.fails {
            return Err(AgentError::says(script.failure()));
        }
        let (id, padding) = (script.id, script.padding.clone());
        Ok(Content::json(&Output { script: id, saw, pieces, padding })?)
    }
}

struct Play<'a> {
    ctx: &'a Ctx,
    script: &'a Script,
    witness: &'a Witness,
}

impl Play<'_> {
    async fn act(&self, act: &Act, saw: Option<&Kept>, pieces: &mut Vec<String>) -> Result<(), AgentError> {
        match act {
            Act::Do(work) => pieces.push(self.step(self.ctx, work).await?),
            Act::Join(branches) => {
                let branches = branches.iter().zip(0_u32..).map(|(works, nth)| async move {
                    let scope = self.ctx.scope(&format!("branch-{nth}"))?;
                    let mut pieces = Vec::new();
                    for work in works {
                        pieces.push(self.step(&scope, work).await?);
                    }
                    Ok::<_, AgentError>(pieces)
                });
                for branch in join_all(branches).await {
                    pieces.extend(branch?);
                }
            }
            Act::Race(one, other) => {
                let one = std::pin::pin!(self.step(self.ctx, one));
                let other = std::pin::pin!(self.step(self.ctx, other));
                pieces.push(match select(one, other).await {
                    Either::Left((piece, _)) | Either::Right((piece, _)) => piece?,
                });
            }
            Act::Limit(millis, work) => {
                let work = self.step(self.ctx, work);
                let done = self.ctx.timeout(Duration::from_millis(*millis), work).await;
                pieces.push(done.transpose()?.unwrap_or_else(|| "late".to_owned()));
            }
            Act::Sleep(millis) => self.ctx.sleep(Duration::from_millis(*millis)).await,
            Act::Keep(bytes) => self.ctx.set_state(&self.script.kept(saw, *bytes))?,
            Act::Say(text) => self.ctx.preview(text),
        }
        Ok(())
    }

    async fn step(&self, ctx: &Ctx, work: &Work) -> Result<String, AgentError> {
        let mut options = StepOptions::new(work.key.name.as_str(), work.sort.effect()).calls(StepSort::Tool);
        if let Some(within) = work.within {
            options = options.within(Duration::from_millis(within));
        }
        let request = Request { script: self.script.id, at: ctx.now().0, draw: ctx.random() };
        let done = ctx.step_with(options, &request, |call| self.perform(work, call)).await;
        match done {
            Ok(value) => Ok(piece(&value)),
            Err(StepError::Failed { failure, .. }) => Ok(failed(failure.kind)),
            Err(error) => Err(error.into()),
        }
    }

    /// The work itself: it has happened as soon as the witness knows of it.
    async fn perform(&self, work: &Work, call: StepCall) -> Result<String, AgentError> {
        let fence = call.fence();
        let begun = Begun {
            life: self.witness.life(),
            run: self.ctx.facts().run,
            key: work.key.clone(),
            try_no: call.try_no(),
            attempt: fence.attempt,
            epoch: fence.epoch,
            idempotency_key: call.idempotency_key(),
        };
        let under_way = self.witness.begin(&begun).await?;
        tokio::time::sleep(Duration::from_millis(work.millis)).await;
        under_way.end().await?;
        call.used(Usage { tool_calls: 1, ..Usage::default() });
        if work.fails {
            return Err(AgentError::says(format!("{} fails", work.key)));
        }
        Ok(work.value(self.script.id))
    }
}
