//! What the runtime does about failures and stalls, by the policy that comes with it.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_runtime::fleet::Fleet;
use agent_runtime::log::{AttemptEnded, EntryKind, WaitOn};
use agent_runtime::model::Deltas;
use agent_runtime::prelude::*;
use agent_runtime::recovery::{AgentRecovery, Phase};
use agent_runtime::runtime::{Joined, StreamItem};
use agent_runtime::store::Seq;
use agent_runtime::{
    AgentKind, Clock, MemoryStore, Model, ModelError, ModelReply, ModelRequest, Name, RuntimeManager,
    SpecError, UnixMillis,
};
use async_trait::async_trait;
use futures_util::StreamExt;

const LONG: Duration = Duration::from_secs(100_000);

/// The executor's time, which passes as soon as nothing else can be done.
#[derive(Debug)]
struct ExecutorClock(tokio::time::Instant);

impl Clock for ExecutorClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000).after(self.0.elapsed())
    }
}

/// Fails as often as its settings say.
#[derive(Debug)]
struct Shaky {
    spec: AgentSpec,
    failed: Arc<AtomicU32>,
}

/// Builds it, and counts.
#[derive(Debug, Default)]
struct ShakyKind {
    failed: Arc<AtomicU32>,
    built: Arc<AtomicU32>,
}

#[async_trait]
impl Agent for Shaky {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let first: String =
            ctx.step("first", Effect::Pure, "first", |_| async { Ok("first".to_owned()) }).await?;
        if self.failed.fetch_add(1, Ordering::SeqCst) < input.as_text()?.parse()? {
            return Err(AgentError::says("shaky"));
        }
        Ok(Content::text(first))
    }
}

impl AgentKind for ShakyKind {
    fn name(&self) -> Name {
        Name::new("shaky").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.built.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Shaky { spec: spec.clone(), failed: Arc::clone(&self.failed) }))
    }
}

/// A model that sends this at each of its calls, with pauses, and then stands still or answers.
#[derive(Debug)]
struct Slow {
    calls: Arc<AtomicU32>,
    hangs: u32,
    pieces: u32,
}

#[async_trait]
impl Model for Slow {
    fn name(&self) -> &str {
        "test/slow"
    }

    async fn reply(&self, _: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        for _ in 0..self.pieces {
            tokio::time::sleep(Duration::from_secs(100)).await;
            deltas.progress();
        }
        if call < self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(ModelReply { text: "Here I am.".to_owned(), ..ModelReply::default() })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
async fn open(kind: ShakyKind) -> RuntimeManager {
    let clock = Arc::new(ExecutorClock(tokio::time::Instant::now()));
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).clock(clock).kind(Arc::new(kind));
    builder.open().await.unwrap().into()
}

async fn submit(runtime: &RuntimeManager, agent: AgentId, input: &str) -> RunId {
    runtime.submit(&AgentRef::Id(agent), RunRequest::new(input)).await.unwrap().run
}

async fn log(runtime: &RuntimeManager, run: RunId) -> Vec<EntryKind> {
    let count = runtime.run_status(&run).await.unwrap().entries as usize;
    let mut stream = runtime.stream(&run, Seq::FIRST).await.unwrap();
    let mut log = Vec::new();
    while log.len() < count
        && let Some(item) = stream.next().await
    {
        if let StreamItem::Entry { entry, .. } = item.unwrap() {
            log.push(entry.kind);
        }
    }
    log
}

#[tokio::test(start_paused = true)]
async fn a_fleet_file_has_its_runs_begun_again_and_set_aside() {
    let (kind, failed, built) = {
        let kind = ShakyKind::default();
        let (failed, built) = (Arc::clone(&kind.failed), Arc::clone(&kind.built));
        (kind, failed, built)
    };
    let runtime = open(kind).await;
    let fleet =
        Fleet::parse("[agents.a]\nkind = \"shaky\"\nrecovery = { attempts = 3, most = 100 }").unwrap();
    fleet.apply(runtime.as_runtime()).await.unwrap();
    let agent = runtime.agent(&AgentRef::Name(Name::new("a").unwrap())).await.unwrap().id;
    let before = built.load(Ordering::SeqCst);

    let run = submit(&runtime, agent, "2").await;
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };
    assert_eq!(finished.output.unwrap().to_string(), "first");
    assert_eq!(built.load(Ordering::SeqCst), before + 2, "built anew before each further attempt");

    failed.store(0, Ordering::SeqCst);
    let run = submit(&runtime, agent, "99").await;
    let Joined::Open(view) = runtime.join(&run, Duration::from_secs(3_600)).await.unwrap() else {
        panic!("it ended")
    };
    assert!(matches!(view.waits[0].on, WaitOn::Operator { .. }));
    let counted =
        |kind: &EntryKind| matches!(kind, EntryKind::AttemptEnded(AttemptEnded { counted: true, .. }));
    assert_eq!(log(&runtime, run).await.iter().filter(|kind| counted(kind)).count(), 3);
    assert_eq!(failed.load(Ordering::SeqCst), 3);
}

async fn asks(model: Slow, recovery: Option<AgentRecovery>) -> (RuntimeManager, RunId) {
    let runtime = open(ShakyKind::default()).await;
    let agent = LlmAgent::new("clerk", model).build().unwrap();
    let agent = Declared { agent, recovery };
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = submit(&runtime, agent, "Are you there?").await;
    (runtime, run)
}

/// An agent that declares its recovery.
#[derive(Debug)]
struct Declared<A> {
    agent: A,
    recovery: Option<AgentRecovery>,
}

#[async_trait]
impl<A: Agent> Agent for Declared<A> {
    fn spec(&self) -> AgentSpec {
        AgentSpec { recovery: self.recovery, ..self.agent.spec() }
    }

    fn remembers(&self) -> usize {
        self.agent.remembers()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        self.agent.run(ctx, input).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stands_still_is_asked_again() {
    for pieces in [0, 2] {
        let calls = Arc::new(AtomicU32::new(0));
        let model = Slow { calls: Arc::clone(&calls), hangs: 2, pieces };
        let (runtime, run) = asks(model, Some(AgentRecovery::default())).await;
        let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else {
            panic!("it never ends")
        };

        assert_eq!(finished.into_result().unwrap().output.to_string(), "Here I am.", "{pieces} pieces");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_thinks_for_an_hour_and_says_so_is_let_think() {
    let calls = Arc::new(AtomicU32::new(0));
    let model = Slow { calls: Arc::clone(&calls), hangs: 0, pieces: 36 };
    let (runtime, run) = asks(model, Some(AgentRecovery::default())).await;
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(runtime.run_status(&run).await.unwrap().stands.unwrap().phase, Phase::BetweenTokens);

    assert!(matches!(runtime.join(&run, LONG).await.unwrap(), Joined::Ended(_)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn without_recovery_a_model_that_stands_still_fails_its_run_and_says_how_long_it_stood() {
    let model = Slow { calls: Arc::default(), hangs: 9, pieces: 0 };
    let (runtime, run) = asks(model, None).await;
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it never ends") };

    let told = finished.failure().unwrap().message.clone();
    assert!(told.contains("180 s (first byte)"), "{told}");
}
