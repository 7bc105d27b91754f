//! Limits hold against a server of models that counts what it is asked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::clock::Clock;
use agent_runtime::error::Cause;
use agent_runtime::log::Usage;
use agent_runtime::prelude::*;
use agent_runtime::resource::{Limit, Money, OnLimit, ResourceLimits};
use agent_runtime::resources::{Budgets, PriceTable, ResourceManager};
use agent_runtime::runtime::Joined;
use agent_runtime::{
    Gate, MemoryStore, ModelError, Outcome, Retrying, ScriptedModel, StepOptions, Tenant, Turn,
};
use async_trait::async_trait;
use futures_util::StreamExt;
use runtime_testkit::fakes::Turnstile;
use runtime_testkit::peers::Aimock;
use serde_json::{Value, json};

const AGENTS: usize = 50;
const RUNS: usize = 1_000;
const MAX_TOKENS: u32 = 40;
/// What the server bills for each question, read and written; no more than what is held for it: ten bytes are four tokens.
const BILLED: [(u64, u64); 3] = [(4, 40), (2, 25), (3, 33)];

/// A server that answers one of three questions, each at its price in tokens.
fn server() -> Aimock {
    let fixtures = BILLED.iter().enumerate().map(|(nth, (read, written))| {
        json!({"match": {"userMessage": format!("question {nth}")},
               "response": {"content": "It is 42.", "usage": {
                   "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}}})
    });
    Aimock::start(&Value::Array(fixtures.collect()))
}

/// What the server billed in all.
async fn billed(server: &Aimock) -> u64 {
    let journal = server.journal().await;
    let tokens = journal.iter().map(|entry| {
        assert_eq!(entry["response"]["status"], 200, "{entry}");
        let asked = entry["body"]["messages"].to_string();
        let nth = (0..3).find(|nth| asked.contains(&format!("question {nth}"))).expect("one of three");
        BILLED[nth].0 + BILLED[nth].1
    });
    tokens.sum()
}

/// A runtime with so many agents, held to limits by `manager`.
async fn fleet(
    server: &Aimock,
    manager: &ResourceManager,
    agents: usize,
    limits: ResourceLimits,
) -> (RuntimeManager, Vec<AgentId>) {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(b"sk-nobody").unwrap();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(manager.clone()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let mut ids = Vec::new();
    for nth in 0..agents {
        let model = GenaiModel::named("openai/gpt-4o")
            .key(format!("file:{}", key.path().display()))
            .base_url(format!("{}/v1", server.url()))
            .build()
            .unwrap();
        let agent = LlmAgent::new(format!("agent-{nth}"), model).max_tokens(MAX_TOKENS).build().unwrap();
        let agent = runtime.register_agent(agent).await.unwrap();
        runtime.set_limits(&agent.into(), limits).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        ids.push(agent);
    }
    (runtime, ids)
}

/// A runtime with an agent whose model fails in turn with these before it answers, and asks it often.
async fn stumbling(
    manager: &ResourceManager,
    limits: ResourceLimits,
    fails: impl IntoIterator<Item = ModelError>,
) -> (RuntimeManager, AgentId, Arc<ScriptedModel>) {
    let turns =
        fails.into_iter().map(|error| Turn::default().fails(error)).chain([Turn::from("yes").used(4, 6)]);
    let model = Arc::new(ScriptedModel::in_order("stumbling", turns));
    let retrying =
        Retrying::new(Arc::clone(&model), 9).waits(Duration::from_millis(1), Duration::from_millis(2));
    let agent = LlmAgent::new("stumbling", retrying).max_tokens(MAX_TOKENS).build().unwrap();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(manager.clone()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.set_limits(&agent.into(), limits).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent, model)
}

fn busy() -> ModelError {
    ModelError::RateLimited { model: "scripted/stumbling".into(), retry_after: None }
}

fn cut() -> ModelError {
    ModelError::Cut { model: "scripted/stumbling".into(), cause: Cause::says("reset") }
}

#[tokio::test]
async fn a_call_that_is_made_once_more_is_held_to_the_limits_like_the_first() {
    let refuse = ResourceLimits { on_limit: OnLimit::Refuse, ..ResourceLimits::default() };
    // A call that the provider refuses is a request, and takes no tokens.
    let requests = ResourceLimits { max_requests_per_minute: Some(3), ..refuse };
    let (runtime, agent, model) =
        stumbling(&ResourceManager::default(), requests, [busy(), busy(), busy()]).await;
    assert!(!run_with(&runtime, agent, "`max_requests_per_minute` is reached").await);
    assert_eq!(model.asked(), 3);
    let usage = runtime.get_resource_usage(agent).await.unwrap();
    assert_eq!((usage.requests_last_minute, usage.tokens_total), (3, 0));

    // One that broke off may be billed: 4 + 40 tokens are charged, and 44 more are no more than 87.
    let tokens = |most| ResourceLimits { max_tokens_total: Some(most), ..refuse };
    let (runtime, agent, model) = stumbling(&ResourceManager::default(), tokens(87), [cut()]).await;
    assert!(!run_with(&runtime, agent, "`max_tokens_total` is reached").await);
    assert_eq!((model.asked(), runtime.get_resource_usage(agent).await.unwrap().tokens_total), (1, 44));
    let (runtime, agent, model) = stumbling(&ResourceManager::default(), tokens(88), [cut()]).await;
    assert!(run_with(&runtime, agent, "nothing").await);
    assert_eq!((model.asked(), runtime.get_resource_usage(agent).await.unwrap().tokens_total), (2, 54));
}

#[tokio::test]
async fn runs_that_had_begun_count_when_their_agent_is_limited_in_how_many_are_worked() {
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let turns = gates.iter().map(|gate| Turn::from("yes").waits(gate));
    let model = ScriptedModel::in_order("held", turns);
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new()));
    let builder = builder.governor(Arc::new(ResourceManager::default()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = runtime.register_agent(LlmAgent::new("held", model).build().unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let submit = async |session: &str| {
        let request = RunRequest::new("x").in_session(SessionName::new(session).unwrap());
        runtime.submit(&agent.into(), request).await.unwrap().run
    };
    let mut runs = Vec::new();
    for (session, gate) in ["one", "two"].into_iter().zip(&gates) {
        runs.push(submit(session).await);
        gate.reached().await;
    }

    let two = ResourceLimits { max_concurrent_requests: Some(2), ..ResourceLimits::default() };
    runtime.set_limits(&agent.into(), two).await.unwrap();
    runs.push(submit("three").await);

    while runtime.run_status(&runs[2]).await.unwrap().room.is_none() {
        tokio::task::yield_now().await;
    }
    let room = runtime.run_status(&runs[2]).await.unwrap().room.unwrap();
    assert_eq!(room.limit, Limit::MaxConcurrentRequests);
    let usage = runtime.get_resource_usage(agent).await.unwrap();
    let worked = usage.limits.iter().find(|used| used.limit == Limit::MaxConcurrentRequests).unwrap();
    assert_eq!((worked.used, worked.max), (2, Some(2)));
    gates[0].open();
    gates[2].reached().await;
    gates[1].open();
    gates[2].open();
    for run in runs {
        assert!(matches!(runtime.join(&run, Duration::from_secs(20)).await.unwrap(), Joined::Ended(_)));
    }
    let usage = runtime.get_resource_usage(agent).await.unwrap();
    let worked = usage.limits.iter().find(|used| used.limit == Limit::MaxConcurrentRequests).unwrap();
    assert_eq!(worked.used, 0, "and nothing is left");
}

/// Calls a model for ten tokens, and goes on as a new run, for ever.
#[derive(Debug)]
struct Relay;

#[async_trait]
impl Agent for Relay {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("relay", "relay").unwrap()
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        let ten = Usage { output_tokens: 10, model_calls: 1, ..Usage::default() };
        let options = StepOptions::new("model", Effect::Repeatable).reserving(ten).of_model("test/relay");
        let call = ctx.step_with(options, "ten", |call| async move {
            call.used(ten);
            Ok(())
        });
        call.await?;
        ctx.continue_as("on")
    }
}

#[tokio::test]
async fn a_run_that_goes_on_as_another_takes_its_limits_with_it() {
    let manager = ResourceManager::default();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(manager));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = runtime.register_agent(Relay).await.unwrap();
    let limits = ResourceLimits {
        max_tokens_per_run: Some(35),
        on_limit: OnLimit::Refuse,
        ..ResourceLimits::default()
    };
    runtime.set_limits(&agent.into(), limits).await.unwrap();
    runtime.start_agent(agent).await.unwrap();

    let mut run = runtime.submit(&agent.into(), "on".into()).await.unwrap().run;
    let failure = loop {
        let Joined::Ended(finished) = runtime.join(&run, Duration::from_secs(20)).await.unwrap() else {
            panic!("`{run}` is open")
        };
        match finished.outcome {
            Outcome::Continued(next) => run = next,
            Outcome::Failed(failure) => break failure,
            other => panic!("{other:?}"),
        }
    };

    assert!(failure.message.contains("`max_tokens_per_run` is reached"), "{failure}");
    assert_eq!(runtime.get_resource_usage(agent).await.unwrap().tokens_total, 30);
}

/// Runs an agent once. Whether it completed; otherwise it failed and said this.
async fn run_with(runtime: &RuntimeManager, agent: AgentId, says: &str) -> bool {
    let run = runtime.submit(&agent.into(), "question 0".into()).await.unwrap().run;
    match runtime.join(&run, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            Outcome::Completed(_) => true,
            Outcome::Failed(failure) => {
                assert!(failure.message.contains(says), "{failure}");
                false
            }
            other => panic!("{other:?}"),
        },
        Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

/// Runs an agent once, in a session of its own. Whether it completed; otherwise it failed for a limit.
async fn run(runtime: &RuntimeManager, agent: AgentId, nth: usize) -> bool {
    let request = RunRequest::new(format!("question {}", nth % 3));
    let request = request.in_session(SessionName::new(format!("session-{nth}")).unwrap());
    let run = match runtime.submit(&agent.into(), request).await {
        Ok(submitted) => submitted.run,
        Err(RuntimeError::AtLimit { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    match runtime.join(&run, Duration::from_secs(60)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            Outcome::Completed(_) => true,
            Outcome::Failed(failure) => {
                assert!(failure.message.contains("`max_tokens_total` is reached"), "{failure}");
                false
            }
            other => panic!("{other:?}"),
        },
        Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

fn tokens(total: u64) -> Budgets {
    Budgets { tokens_total: Some(total), ..Budgets::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_of_fifty_agents_take_no_more_than_their_tenants_budget() {
    const BUDGET: u64 = 15_000;
    let (server, manager) = (server(), ResourceManager::default());
    manager.limit_tenant(&Tenant::default(), tokens(BUDGET));
    let refuse = ResourceLimits { on_limit: OnLimit::Refuse, ..ResourceLimits::default() };
    let (runtime, agents) = fleet(&server, &manager, AGENTS, refuse).await;

    let runs = (0..RUNS).map(|nth| run(&runtime, agents[nth % AGENTS], nth));
    let completed = futures_util::stream::iter(runs).buffer_unordered(RUNS).collect::<Vec<_>>().await;
    let completed = completed.into_iter().filter(|completed| *completed).count();

    let billed = billed(&server).await;
    assert!(billed <= BUDGET, "{billed} tokens were billed of {BUDGET}");
    let used = manager.tenant_usage(&Tenant::default(), agent_runtime::SystemClock::default().now());
    let used = used.iter().find(|used| used.limit == Limit::MaxTokensTotal).unwrap().used;
    assert_eq!(used, billed, "the books say what the bill says, and nothing stays held");
    assert!(completed < RUNS && completed > 300, "{completed} of {RUNS} runs found room");
    assert_eq!(server.journal().await.len(), completed, "who was refused has sent nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_wait_go_on_when_the_budget_is_raised() {
    let (server, manager) = (server(), ResourceManager::default());
    manager.limit_tenant(&Tenant::default(), tokens(600));
    let (runtime, agents) = fleet(&server, &manager, 4, ResourceLimits::default()).await;
    let first = run(&runtime, agents[0], 0).await;
    assert!(first, "there is room for the first");
    let runs = (1..40).map(|nth| run(&runtime, agents[nth % 4], nth));
    let runs = futures_util::future::join_all(runs);
    let raised = async {
        loop {
            let waiting: u32 = {
                let mut waiting = 0;
                for agent in &agents {
                    waiting += runtime.get_resource_usage(*agent).await.unwrap().waiting;
                }
                waiting
            };
            if waiting > 0 && billed(&server).await > 400 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(billed(&server).await <= 600);

        manager.limit_tenant(&Tenant::default(), tokens(100_000));
    };
    let (runs, ()) = futures_util::future::join(runs, raised).await;
    assert!(runs.into_iter().all(|completed| completed), "all of them go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_limited_only_where_prices_are_known_and_what_a_run_cost_is_told() {
    let server = server();
    let money = |micros| ResourceLimits {
        max_cost_per_run: Some(Money::from_micros(micros)),
        on_limit: OnLimit::Refuse,
        ..ResourceLimits::default()
    };
    let nobody = ResourceManager::default();
    let (runtime, agents) = fleet(&server, &nobody, 1, ResourceLimits::default()).await;
    let refused = runtime.set_limits(&agents[0].into(), money(1_000)).await.unwrap_err();
    assert!(refused.to_string().contains("nobody knows what `openai/gpt-4o` costs"), "{refused}");

    let prices = r#"{ "openai/*": { "input": "2.50", "output": "10" } }"#;
    let manager = ResourceManager::new(serde_json::from_str::<PriceTable>(prices).unwrap());
    let (runtime, agents) = fleet(&server, &manager, 1, money(1_000)).await;
    let low = runtime.set_limits(&agents[0].into(), money(300)).await.unwrap_err();
    assert!(low.to_string().contains("`max_cost_per_run` is 0.0003, and one call may take 0.0004"), "{low}");
    let run = runtime.submit(&agents[0].into(), "question 0".into()).await.unwrap().run;
    runtime.join(&run, Duration::from_secs(20)).await.unwrap();

    let view = runtime.run_status(&run).await.unwrap();
    // 4 tokens at 2.50 and 40 at 10 dollars a million.
    assert_eq!(view.price.micros, Some(410), "{view:?}");
    let usage = runtime.get_resource_usage(agents[0]).await.unwrap();
    assert_eq!((usage.tokens_total, usage.tokens_used_last_minute, usage.requests_last_minute), (44, 44, 1));
}

#[tokio::test]
async fn each_refusal_of_a_provider_is_told_with_its_call_once() {
    let turnstile = Turnstile::default();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(turnstile.clone()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let busy = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        Turn::default().fails(ModelError::RateLimited { model: "scripted/busy".into(), retry_after })
    };
    // One that is made once more, and one that is not.
    let model = Retrying::new(ScriptedModel::in_order("busy", [busy(0), busy(121)]), 5);
    let agent = runtime.register_agent(LlmAgent::new("busy", model).build().unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let run = runtime.submit(&agent.into(), "Are you there?".into()).await.unwrap().run;
    let joined = runtime.join(&run, Duration::from_secs(20)).await.unwrap();
    assert!(matches!(joined, Joined::Ended(ref ended) if matches!(ended.outcome, Outcome::Failed(_))));

    let [call, again] = &turnstile.asked()[..] else { panic!("each was asked for") };
    let (call, again) = (call.id, again.id);
    let told = [(call, Some(Duration::ZERO)), (again, Some(Duration::from_secs(121)))];
    assert_eq!(turnstile.throttlings(), told);
}
