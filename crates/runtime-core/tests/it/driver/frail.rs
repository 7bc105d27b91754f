//! An agent that fails and stands still as its input says, and a policy that decides by what it declares.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::{Builder, RuntimeManager};
use runtime_traits::agent::{Agent, AgentKind, SpecError, WaitFor};
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{AttemptEnded, AttemptEnding, Entry, EntryKind, RunView, StepSort};
use runtime_traits::model::Deltas;
use runtime_traits::recovery::{
    AgentRecovery, Failure, History, Quarantine, RecoveryPolicy, Remedy, RestartWhen, StallBounds,
    StallLimits,
};
use runtime_traits::runtime::{AgentRef, RunRequest, Runtime, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentError, AgentId, AgentSpec, Content, Ctx, Effect, Entropy, Name, RunId, SessionName, StepOptions,
};

use super::house::{House, World};

/// Fails and stands still as its input says.
#[derive(Debug)]
pub(crate) struct Frail {
    pub(crate) world: Arc<World>,
    pub(crate) spec: AgentSpec,
    /// The how-many-eth value of its kind it is.
    pub(crate) value: u32,
}

/// Builds [`Frail`], and counts.
#[derive(Debug)]
pub(crate) struct FrailKind(pub(crate) Arc<World>, pub(crate) AtomicU32);

/// Decides by what is declared, without chance: what is drawn is always the longest.
#[derive(Debug)]
pub(crate) struct ByTheBook;

impl RecoveryPolicy for ByTheBook {
    fn decide(
        &self,
        declared: &AgentRecovery,
        failure: &Failure,
        history: &History,
        now: UnixMillis,
        _: &dyn Entropy,
    ) -> Remedy {
        let pause = Duration::from_millis(declared.pause_ms);
        match failure {
            Failure::Stalled { phase } if phase.is_of_a_call() && history.retried() < declared.retries => {
                Remedy::Retry { at: now.after(pause) }
            }
            _ if history.attempts() + 1 >= declared.attempts => {
                Remedy::Quarantine(Quarantine { since: now, why: failure.clone() })
            }
            _ if declared.restart == RestartWhen::Never => Remedy::Leave,
            _ => {
                let most = NonZeroU32::new(declared.most).unwrap();
                let room = history.room_at(most, Duration::from_millis(declared.within_ms));
                Remedy::Restart { at: now.after(pause).max(room.unwrap_or(now)), counted: true }
            }
        }
    }
}

fn seconds(what: &str) -> impl Iterator<Item = Duration> + Send + use<'_> {
    what.split(',').filter_map(|piece| piece.parse().ok()).map(Duration::from_secs)
}

impl Frail {
    /// Works after these pauses, with a sign of life after each; for ever, if `what` does not end with `end`.
    async fn works(what: &str, sign: impl Fn()) {
        for pause in seconds(what) {
            tokio::time::sleep(pause).await;
            sign();
        }
        if !what.ends_with("end") {
            std::future::pending::<()>().await;
        }
    }

    async fn step(&self, ctx: &Ctx, verb: &str, what: &str) -> Result<String, AgentError> {
        let world = &self.world;
        let options = match verb {
            "model" | "model-once" => StepOptions::new("model", Effect::Repeatable).calls(StepSort::Model),
            "tool-once" => StepOptions::new("tool", Effect::AtMostOnce).calls(StepSort::Tool),
            _ => StepOptions::new("tool", Effect::Repeatable).calls(StepSort::Tool),
        };
        let (declared, what) = what.split_once('/').map_or((None, what), |(d, what)| (Some(d), what));
        let declared = declared.map(|declared| Duration::from_secs(declared.parse().unwrap()));
        let options = match (verb, declared) {
            ("quiet", Some(silence)) => options.silent_for(silence),
            ("within", Some(deadline)) => options.within(deadline),
            _ => options,
        };
        let value = ctx.step_with(options, what, |call| async move {
            world.begin(verb);
            // The first one stands still, and the others do not.
            if verb != "model-once" || world.times(verb) == 1 {
                Self::works(what, || if verb == "model" { call.text("x") } else { call.progress() }).await;
            }
            Ok("done".to_owned())
        });
        Ok(value.await?)
    }
}

#[async_trait]
impl Agent for Frail {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let mut said = Vec::new();
        for word in input.as_text()?.split_whitespace() {
            let (verb, what) = word.split_once(':').unwrap_or((word, ""));
            let (times, name) = what.split_once('/').unwrap_or((what, what));
            match verb {
                "model" | "model-once" | "tool" | "tool-once" | "quiet" | "within" => {
                    said.push(self.step(&ctx, verb, what).await?);
                }
                // What its step came to is its output.
                "heard" => {
                    let (verb, what) = what.split_once(':').unwrap_or((what, ""));
                    said.push(match self.step(&ctx, verb, what).await {
                        Ok(value) => value,
                        Err(error) => error.to_string(),
                    });
                }
                // One branch calls what must not be done twice, the other one stalls.
                "beside-once" => {
                    let (left, right) = (ctx.scope("left")?, ctx.scope("right")?);
                    let once = self.step(&left, "tool-once", "200,200,end");
                    let stalls = self.step(&right, "model", "");
                    let (once, stalls) = futures_util::future::join(once, stalls).await;
                    said.push(format!("{} and {}", once?, stalls.unwrap_err()));
                }
                // One branch waits for an answer, the other one stalls at first.
                "answer-beside" => {
                    let answer = ctx.wait_for(WaitFor::answer("?").named("word"));
                    let step = self.step(&ctx, "model-once", "");
                    let (answer, step) = futures_util::future::join(answer, step).await;
                    said.push(format!("{} {}", answer?, step?));
                }
                // A branch is under way when the agent fails.
                "fails-beside" => {
                    let fails = async {
                        if self.world.times("model-once") == 0 {
                            self.world.began("model-once").await;
                            if what == "panics" {
                                std::panic::resume_unwind(Box::new("a panic beside"));
                            }
                            return Err(AgentError::says("failed beside"));
                        }
                        Ok(())
                    };
                    let timer = async {
                        ctx.sleep(Duration::from_secs(1_000)).await;
                        Ok(())
                    };
                    let step = self.step(&ctx, "model-once", "");
                    let (value, (), ()) = futures_util::future::try_join3(step, fails, timer).await?;
                    said.push(value);
                }
                "panics" | "fails" | "gives-up" => {
                    self.world.begin(name);
                    if self.world.times(name) <= times.parse().unwrap_or(u32::MAX) {
                        match verb {
                            "panics" => std::panic::resume_unwind(Box::new("a panic")),
                            "fails" => return Err(AgentError::says("a failure")),
                            _ => return Err(AgentError::permanent("for good")),
                        }
                    }
                }
                "settle" => {
                    said.push(
                        ctx.step(what, Effect::Repeatable, what, |_| async { Ok(what.to_owned()) }).await?,
                    );
                }
                "held" => {
                    let world = &self.world;
                    let held = ctx.step(what, Effect::Repeatable, what, |_| async move {
                        world.begin(what);
                        world.pass(what).await;
                        Ok(what.to_owned())
                    });
                    said.push(held.await?);
                }
                "sleep" => ctx.sleep(Duration::from_secs(what.parse()?)).await,
                "answer" => said.push(ctx.wait_for(WaitFor::answer("?").named(what)).await?.to_string()),
                "deadlock" => std::future::pending().await,
                "deadlock-once" => {
                    self.world.begin("deadlock");
                    if self.world.times("deadlock") == 1 {
                        std::future::pending::<()>().await;
                    }
                }
                "cancelled" => ctx.cancelled().await,
                // A step whose work a thread does.
                "upload" => {
                    let (world, door, thread) = (Arc::clone(&self.world), what.to_owned(), ctx.clone());
                    let options = StepOptions::new("upload", Effect::AtMostOnce).calls(StepSort::Tool);
                    let value = ctx.step_with(options, what, |_| async move {
                        let call = thread.blocking(move || {
                            world.begin(&door);
                            world.block(&door);
                        });
                        Ok(call.await.map(|()| "uploaded".to_owned())?)
                    });
                    said.push(value.await?);
                }
                "block" => {
                    self.world.begin(what);
                    self.world.block(what);
                }
                "who" => said.push(format!("value {}", self.value)),
                other => said.push(other.to_owned()),
            }
        }
        Ok(Content::text(said.join(" ")))
    }
}

impl AgentKind for FrailKind {
    fn name(&self) -> Name {
        Name::new("frail").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        let value = self.1.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Arc::new(Frail { world: Arc::clone(&self.0), spec: spec.clone(), value }))
    }
}

pub(crate) fn spec() -> AgentSpec {
    AgentSpec::new("frail", "a").unwrap()
}

/// One that is restarted after a second, three times at most, as often as it fails.
pub(crate) fn recovery() -> AgentRecovery {
    AgentRecovery { most: 1_000, ..AgentRecovery::default() }
}

pub(crate) fn recovers() -> AgentSpec {
    spec().recovering(recovery())
}

pub(crate) fn builder(house: &House) -> Builder {
    let kind = FrailKind(Arc::clone(&house.world), AtomicU32::new(0));
    let builder = house.builder().kind(Arc::new(kind)).recovery(Arc::new(ByTheBook));
    builder.configure(|config| config.stall = StallBounds::default())
}

/// Opens a runtime with a started agent that declares this.
pub(crate) async fn open(house: &House, spec: AgentSpec) -> (RuntimeManager, AgentId) {
    let runtime = builder(house).open().await.unwrap();
    let agent = runtime.register_spec(spec).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

pub(crate) async fn submit_in(
    runtime: &RuntimeManager,
    agent: AgentId,
    session: &str,
    script: &str,
) -> RunId {
    let request = RunRequest::new(script).in_session(SessionName::new(session).unwrap());
    runtime.submit(&AgentRef::Id(agent), request).await.unwrap().run
}

/// The log of a run that is over, or waits for somebody.
pub(crate) async fn log(runtime: &RuntimeManager, run: RunId) -> Vec<Entry> {
    use futures_util::StreamExt;
    let count = runtime.run_status(&run).await.unwrap().entries as usize;
    let mut stream = runtime.stream(&run, Seq::FIRST).await.unwrap();
    let mut log = Vec::new();
    while log.len() < count
        && let Some(item) = stream.next().await
    {
        if let StreamItem::Entry { entry, .. } = item.unwrap() {
            log.push(*entry);
        }
    }
    log
}

/// How its attempts failed, and whether that counted.
pub(crate) fn failed(log: &[Entry]) -> Vec<(String, bool)> {
    let failed = log.iter().filter_map(|entry| match &entry.kind {
        EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Failed { error }, counted }) => {
            Some((error.clone(), *counted))
        }
        _ => None,
    });
    failed.collect()
}

/// Waits until a run is as a test wants it.
pub(crate) async fn until(runtime: &RuntimeManager, run: RunId, so: impl Fn(&RunView) -> bool) -> RunView {
    for _ in 0..100_000 {
        let view = runtime.run_status(&run).await.unwrap();
        if so(&view) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never is: {:?}", runtime.run_status(&run).await)
}

pub(crate) fn stalling(change: impl FnOnce(&mut StallLimits)) -> StallLimits {
    let mut stall = StallLimits::default();
    change(&mut stall);
    stall
}
