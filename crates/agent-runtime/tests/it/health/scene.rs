//! A runtime in simulated time, and an agent that hangs in whatever way it is told to.

#![expect(clippy::unwrap_used, reason = "a scene that cannot be set ends its test")]

use std::sync::Arc;

use agent_runtime::health::checks::PhaseBounds;
use agent_runtime::health::{Health, HealthReport, Verdict, Watched};
use agent_runtime::log::StepSort;
use agent_runtime::prelude::*;
use agent_runtime::recovery::StallBounds;
use agent_runtime::{
    Builder, Clock, HealthSettings, MemoryStore, StateStore, StepOptions, UnixMillis, Usage,
};

/// The clock of the executor, which goes on by itself when nothing else does.
#[derive(Debug)]
struct Simulated(tokio::time::Instant);

impl Clock for Simulated {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_764_000_000_000).after(self.0.elapsed())
    }
}

/// An agent that hangs where its input says: `first_byte`, `between_tokens`, `tool`, `step`, `answer`, `sleep`; or gives it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hanging(pub(super) &'static str);

#[expect(clippy::disallowed_methods, reason = "this clock is the executor's")]
pub(super) fn simulated() -> Arc<dyn Clock> {
    Arc::new(Simulated(tokio::time::Instant::now()))
}

pub(super) fn builder(store: Arc<dyn StateStore>) -> Builder {
    let health = HealthSettings { progress: Some(bounds()), ..HealthSettings::default() };
    let far = Duration::from_secs(1_000_000_000);
    // What hangs stays so: the runtime's own watch would give it up.
    let stall = StallBounds { first_byte: far, between_tokens: far, tool: far, step: far };
    RuntimeManager::builder(store).clock(simulated()).health(health).configure(|config| config.stall = stall)
}

/// A tool may take longer than a queue.
pub(super) fn bounds() -> PhaseBounds {
    PhaseBounds { tool: Duration::from_secs(600), ..PhaseBounds::default() }
}

pub(super) async fn runtime() -> RuntimeManager {
    builder(Arc::new(MemoryStore::new())).open().await.unwrap().into()
}

pub(super) async fn started(runtime: &RuntimeManager, name: &'static str) -> AgentId {
    let agent = runtime.register_agent(Hanging(name)).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    agent
}

/// Gives an agent a run, and lets it get to where it hangs.
pub(super) async fn submit(runtime: &RuntimeManager, agent: AgentId, input: &str) -> RunId {
    let run = runtime.submit(&AgentRef::from(agent), input.into()).await.unwrap().run;
    tokio::time::sleep(Duration::from_millis(20)).await;
    run
}

pub(super) async fn report(runtime: &RuntimeManager, agent: AgentId) -> HealthReport {
    runtime.agent_health(&AgentRef::from(agent)).await.unwrap()
}

pub(super) async fn health(runtime: &RuntimeManager, agent: AgentId) -> Health {
    report(runtime, agent).await.health
}

/// What one check shows now.
pub(super) async fn look(runtime: &RuntimeManager, agent: AgentId, check: &str) -> Health {
    let monitor = runtime.health_monitor();
    monitor.check_now(&Watched::Agent(agent), check).await.unwrap().looked.unwrap().found
}

#[track_caller]
pub(super) fn is(health: &Health, verdict: Verdict, says: &str) {
    assert!(health.verdict == verdict && health.reason.contains(says), "{health}");
}

async fn for_ever<T>() -> T {
    std::future::pending().await
}

#[async_trait]
impl Agent for Hanging {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("hanging", self.0).expect("names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let asked = Usage { input_tokens: 1, output_tokens: 1, model_calls: 1, ..Usage::default() };
        let model = || StepOptions::new("model", Effect::Repeatable).calls(StepSort::Model).reserving(asked);
        match input.as_text().unwrap_or_default() {
            "first_byte" => {
                let _: String =
                    ctx.step_with(model(), &(), |_| for_ever::<Result<String, AgentError>>()).await?;
            }
            "between_tokens" => {
                let says = |call: StepCall| async move {
                    agent_runtime::Deltas::text(&call, "It is");
                    for_ever::<Result<String, AgentError>>().await
                };
                let _: String = ctx.step_with(model(), &(), says).await?;
            }
            "tool" => {
                let tool = |_| for_ever::<Result<String, AgentError>>();
                let _: String = ctx.step("tool", Effect::AtMostOnce, &(), tool).await?;
            }
            // It waits for what it holds itself.
            "step" => {
                let own = tokio::sync::Mutex::new(());
                let _held = own.lock().await;
                let _never = own.lock().await;
            }
            "answer" => {
                let _ = ctx.wait_for(WaitFor::answer("go on?")).await?;
            }
            "sleep" => ctx.sleep(Duration::from_secs(30 * 60)).await,
            "fail" => return Err(AgentError::says("it fails")),
            _ => {}
        }
        Ok(input)
    }
}
