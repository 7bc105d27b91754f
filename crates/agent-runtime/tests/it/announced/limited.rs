//! Whoever finds no room under a limit is told of on the bus: once, with the limit, and whose it is.

use agent_runtime::events::catalogue::{Announced, BudgetExhausted, LimitReached};
use agent_runtime::log::Phase;
use agent_runtime::resource::{OnLimit, ResourceLimits};
use agent_runtime::resources::{Budgets, QuotaRule, ResourceManager};
use agent_runtime::runtime::Joined;
use agent_runtime::{Gate, ResourceGovernor, ScriptedModel, Tenant, Turn};
use runtime_testkit::fakes::{Lets, Turnstile};

use super::*;

/// A runtime that keeps what happens to agents, and its worker, which asks a model; each answer takes ten tokens.
async fn limited(
    store: Arc<dyn StateStore>,
    governor: Arc<dyn ResourceGovernor>,
    limits: ResourceLimits,
    turns: Vec<Turn>,
) -> (RuntimeManager, AgentId) {
    let builder = RuntimeManager::builder(store).governor(governor);
    let builder = builder.keep("agents/**", Retention::default()).unwrap();
    let runtime = builder.configure(|config| config.park_after = Duration::from_millis(5)).open().await;
    let runtime: RuntimeManager = runtime.unwrap().into();
    let agent = LlmAgent::new("worker", ScriptedModel::in_order("worker", turns)).max_tokens(40);
    let agent = runtime.register_agent(agent.build().unwrap()).await.unwrap();
    runtime.set_limits(&agent.into(), limits).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    (runtime, agent)
}

async fn in_memory(
    manager: &ResourceManager,
    limits: ResourceLimits,
    turns: Vec<Turn>,
) -> (RuntimeManager, AgentId) {
    limited(Arc::new(MapStore::new()), Arc::new(manager.clone()), limits, turns).await
}

fn yes(count: usize) -> Vec<Turn> {
    (0..count).map(|_| Turn::from("yes").used(4, 6)).collect()
}

fn refuse() -> ResourceLimits {
    ResourceLimits { on_limit: OnLimit::Refuse, ..ResourceLimits::default() }
}

async fn submit(runtime: &RuntimeManager, agent: AgentId, session: &str) -> RunId {
    let request = RunRequest::new("x").in_session(SessionName::new(session).unwrap());
    runtime.submit(&agent.into(), request).await.unwrap().run
}

async fn failed(runtime: &RuntimeManager, run: RunId) {
    let Joined::Ended(finished) = runtime.join(&run, LONG).await.unwrap() else { panic!("it is open") };
    assert!(finished.failure().is_some(), "{finished:?}");
}

/// What a topic of the worker's tells when so many are told, and nothing more is on its way.
async fn said<A: Announced>(runtime: &RuntimeManager, agent: AgentId, count: usize) -> Vec<A> {
    until_kept(runtime, A::NAME, |events| events.len() >= count).await;
    // What is told after the others.
    runtime.stop_agent(agent).await.unwrap();
    until_kept(runtime, "agent.stopped", |events| !events.is_empty()).await;
    let events = kept(runtime, A::NAME).await;
    events.iter().map(|event| event.json().unwrap()).collect()
}

#[tokio::test]
async fn a_call_that_waits_is_told_of_once_with_the_limit_and_when_there_is_room() {
    let one = ResourceLimits { max_requests_per_minute: Some(1), ..ResourceLimits::default() };
    let (runtime, agent) = in_memory(&ResourceManager::default(), one, yes(2)).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let run = submit(&runtime, agent, "other").await;
    while runtime.run_status(&run).await.unwrap().phase != Phase::Waiting {
        tokio::task::yield_now().await;
    }

    let more = ResourceLimits { max_requests_per_minute: Some(2), ..one };
    runtime.set_limits(&agent.into(), more).await.unwrap();
    assert!(matches!(runtime.join(&run, LONG).await, Ok(Joined::Ended(_))));

    let said: Vec<LimitReached> = said(&runtime, agent, 1).await;
    let until = said[0].until.expect("time makes room");
    let expected = LimitReached {
        agent: "worker".into(),
        run: Some(run.to_string()),
        limit: "max_requests_per_minute".into(),
        whose: "agent".into(),
        allowed: Some(1),
        waits: true,
        until: Some(until),
    };
    assert_eq!(said, [expected], "once, though it was looked at often, and the log says that it waited");
    assert!(kept(&runtime, BudgetExhausted::NAME).await.is_empty());
}

#[tokio::test]
async fn a_wait_that_the_log_has_is_not_told_of_again_after_a_restart() {
    let store: Arc<dyn StateStore> = Arc::new(MapStore::new());
    let full = Turnstile::that(Lets::Wait(None));
    let limits = ResourceLimits::default();
    let (runtime, agent) = limited(Arc::clone(&store), Arc::new(full), limits, yes(1)).await;
    let run = submit(&runtime, agent, "one").await;
    while runtime.run_status(&run).await.unwrap().phase != Phase::Waiting {
        tokio::task::yield_now().await;
    }
    until_kept(&runtime, BudgetExhausted::NAME, |events| !events.is_empty()).await;
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    let full = Turnstile::that(Lets::Wait(None));
    let (runtime, agent) = limited(store, Arc::new(full.clone()), limits, yes(1)).await;
    while full.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    full.set(Lets::Through);
    assert!(matches!(runtime.join(&run, LONG).await, Ok(Joined::Ended(_))));

    assert_eq!(said::<BudgetExhausted>(&runtime, agent, 1).await.len(), 1);
}

#[tokio::test]
async fn a_tenants_budget_is_told_as_the_tenants_and_nobody_says_what_it_is() {
    let manager = ResourceManager::default();
    manager.limit_tenant(&Tenant::default(), Budgets { tokens_total: Some(50), ..Budgets::default() });
    let (runtime, agent) = in_memory(&manager, ResourceLimits::default(), yes(2)).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let run = submit(&runtime, agent, "other").await;

    let said: Vec<BudgetExhausted> = said(&runtime, agent, 1).await;
    let expected = BudgetExhausted {
        agent: "worker".into(),
        run: Some(run.to_string()),
        budget: "max_tokens_total".into(),
        whose: "tenant".into(),
        allowed: None,
        waits: true,
    };
    assert_eq!(said, [expected]);
}

#[tokio::test]
async fn a_providers_quota_is_told_as_the_providers() {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule { requests_per_minute: Some(1), ..QuotaRule::of_models(["scripted/*"]) });
    let (runtime, agent) = in_memory(&manager, refuse(), yes(2)).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let run = submit(&runtime, agent, "other").await;
    failed(&runtime, run).await;

    let said: Vec<LimitReached> = said(&runtime, agent, 1).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].whose.as_str(), said[0].allowed, said[0].waits), ("provider", None, false));
    assert_eq!(said[0].run, Some(run.to_string()));
}

#[tokio::test]
async fn a_call_that_is_refused_is_told_of_in_the_batch_that_says_so_and_a_run_from_memory() {
    let most = |tokens| ResourceLimits { max_tokens_total: Some(tokens), ..refuse() };
    let turns = vec![Turn::from("yes").used(4, 16), Turn::from("yes").used(4, 76)];
    let (runtime, agent) = in_memory(&ResourceManager::default(), most(60), turns).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let refused = submit(&runtime, agent, "refused").await;
    failed(&runtime, refused).await;
    let events = until_kept(&runtime, BudgetExhausted::NAME, |events| !events.is_empty()).await;
    let settled = kept(&runtime, "step.settled").await;
    let of_run = settled.iter().find(|event| event.run == Some(refused)).unwrap();
    assert_eq!(events[0].time, of_run.time, "it is of the moment of the entry");

    runtime.set_limits(&agent.into(), most(100)).await.unwrap();
    runtime.run_agent(&agent, "x").await.unwrap();
    let error = runtime.submit(&agent.into(), "x".into()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::AtLimit { .. }), "{error}");

    let said: Vec<BudgetExhausted> = said(&runtime, agent, 2).await;
    let of = |run: Option<RunId>, allowed| BudgetExhausted {
        agent: "worker".into(),
        run: run.map(|run| run.to_string()),
        budget: "max_tokens_total".into(),
        whose: "agent".into(),
        allowed: Some(allowed),
        waits: false,
    };
    assert_eq!(said, [of(Some(refused), 60), of(None, 100)]);
}

#[tokio::test]
async fn runs_that_wait_to_be_worked_and_runs_for_which_no_queue_is_left_are_told_of() {
    let gate = Gate::new();
    let limits =
        ResourceLimits { max_concurrent_requests: Some(1), max_queued: Some(1), ..ResourceLimits::default() };
    let turns = vec![Turn::from("yes").waits(&gate), Turn::from("yes")];
    let (runtime, agent) = in_memory(&ResourceManager::default(), limits, turns).await;
    let first = submit(&runtime, agent, "one").await;
    gate.reached().await;

    let second = submit(&runtime, agent, "two").await;
    until_kept(&runtime, LimitReached::NAME, |events| !events.is_empty()).await;
    let again = RunRequest::new("x").in_session(SessionName::new("one").unwrap());
    assert!(matches!(runtime.submit(&agent.into(), again).await, Err(RuntimeError::Busy { .. })));
    until_kept(&runtime, LimitReached::NAME, |events| events.len() >= 2).await;
    gate.open();
    for run in [first, second] {
        assert!(matches!(runtime.join(&run, LONG).await, Ok(Joined::Ended(_))));
    }

    let said: Vec<LimitReached> = said(&runtime, agent, 2).await;
    let said: Vec<_> = said.iter().map(|said| (&*said.limit, said.run.clone(), said.allowed)).collect();
    let waits = ("max_concurrent_requests", Some(second.to_string()), Some(1));
    assert_eq!(said, [waits, ("max_queued", None, Some(1))]);
}

#[tokio::test]
async fn a_step_too_many_is_told_of_with_the_end_of_its_run() {
    let one = ResourceLimits { max_steps_per_run: Some(1), ..ResourceLimits::default() };
    let builder =
        RuntimeManager::builder(Arc::new(MapStore::new())).governor(Arc::<ResourceManager>::default());
    let builder = builder.keep("agents/**", Retention::default()).unwrap();
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let (runtime, agent) = started(runtime).await;
    runtime.set_limits(&agent.into(), one).await.unwrap();
    let run = runtime.submit(&agent.into(), "steps".into()).await.unwrap().run;
    failed(&runtime, run).await;

    let said: Vec<BudgetExhausted> = said(&runtime, agent, 1).await;
    let said: Vec<_> = said.iter().map(|said| (&*said.budget, &*said.whose, said.allowed)).collect();
    assert_eq!(said, [("max_steps_per_run", "run", Some(1))]);
}
