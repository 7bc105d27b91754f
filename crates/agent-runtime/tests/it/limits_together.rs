//! What all agents may use together, changed while they work, and what a fleet file says about it.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::{Applied, Change, Fleet};
use agent_runtime::prelude::*;
use agent_runtime::resource::{LimitsBy, LimitsChange, ResourceLimits, TenantLimits};
use agent_runtime::resources::ResourceManager;
use agent_runtime::runtime::Joined;
use agent_runtime::store::StateStore;
use agent_runtime::{Gate, MemoryStore, Outcome, ScriptedModel, Tenant, Turn, llm_kind};
use runtime_testkit::fakes::Turnstile;

/// With what a call reads, 44 are held for it; it takes 10.
const MAX_TOKENS: u32 = 40;

fn in_all(tokens: u64) -> ResourceLimits {
    ResourceLimits { max_tokens_total: Some(tokens), ..ResourceLimits::default() }
}

async fn limit(runtime: &RuntimeManager, limits: ResourceLimits) {
    runtime.as_runtime().set_tenant_limits(limits, LimitsBy::Hand).await.unwrap();
}

async fn shown(runtime: &RuntimeManager) -> TenantLimits {
    runtime.as_runtime().tenant_limits().await.unwrap()
}

/// A runtime over `store` with an agent that answers as often as it is asked; its first answer waits for the gate.
async fn open(store: &Arc<dyn StateStore>, name: &str, gate: Option<&Gate>) -> (RuntimeManager, AgentId) {
    let builder = RuntimeManager::builder(Arc::clone(store)).governor(Arc::new(ResourceManager::default()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = register(&runtime, name, gate).await;
    (runtime, agent)
}

async fn register(runtime: &RuntimeManager, name: &str, gate: Option<&Gate>) -> AgentId {
    let first = gate.map(|gate| Turn::from("yes").used(4, 6).waits(gate));
    let turns = first.into_iter().chain((0..9).map(|_| Turn::from("yes").used(4, 6)));
    let model = ScriptedModel::in_order(name, turns);
    let agent = LlmAgent::new(name, model).max_tokens(MAX_TOKENS).build().unwrap();
    let agent = runtime.register_agent(agent).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    agent
}

/// Begins a run in a conversation of its own.
async fn begin(runtime: &RuntimeManager, agent: AgentId, session: &str) -> RunId {
    // Ten bytes are four tokens.
    let request = RunRequest::new("question 0").in_session(SessionName::new(session).unwrap());
    runtime.submit(&agent.into(), request).await.unwrap().run
}

async fn completes(runtime: &RuntimeManager, run: RunId) {
    let joined = runtime.join(&run, Duration::from_secs(20)).await.unwrap();
    assert!(
        matches!(&joined, Joined::Ended(finished) if matches!(finished.outcome, Outcome::Completed(_))),
        "{joined:?}"
    );
}

/// Waits until a run waits for room.
async fn waits(runtime: &RuntimeManager, run: RunId) {
    while runtime.run_status(&run).await.unwrap().room.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn limits_that_are_set_raised_lowered_and_lifted_hold_for_calls_that_wait_and_over_restarts() {
    let (store, gate): (Arc<dyn StateStore>, _) = (Arc::new(MemoryStore::new()), Gate::new());
    let (runtime, first) = open(&store, "first", Some(&gate)).await;
    let second = register(&runtime, "second", None).await;
    let under_way = begin(&runtime, first, "one").await;
    gate.reached().await;

    limit(&runtime, in_all(60)).await;
    let set = shown(&runtime).await;
    assert_eq!((set.limits, set.usage.tokens_total, set.by), (in_all(60), 44, Some(LimitsBy::Hand)));
    let waiting = begin(&runtime, second, "two").await;
    waits(&runtime, waiting).await;
    assert_eq!(
        shown(&runtime).await.usage.waiting,
        1,
        "44 are held for the call under way, and 44 more are more than 60"
    );
    limit(&runtime, in_all(88)).await;
    completes(&runtime, waiting).await;
    gate.open();
    completes(&runtime, under_way).await;
    let used = shown(&runtime).await.usage;
    assert_eq!(used.tokens_total, 20, "each counts with what it took");
    assert_eq!((used.limits[0].used, used.limits[0].max), (20, Some(88)));

    limit(&runtime, in_all(63)).await;
    let waiting = begin(&runtime, second, "three").await;
    waits(&runtime, waiting).await;
    let before = shown(&runtime).await;
    runtime.shutdown(Duration::ZERO).await.unwrap();
    let (runtime, _) = open(&store, "first", None).await;
    let second = register(&runtime, "second", None).await;
    waits(&runtime, waiting).await;
    let after = shown(&runtime).await;
    assert_eq!((after.limits, after.since, after.usage.tokens_total), (before.limits, before.since, 20));
    limit(&runtime, in_all(64)).await;
    completes(&runtime, waiting).await;

    limit(&runtime, in_all(50)).await;
    let waiting = begin(&runtime, second, "four").await;
    waits(&runtime, waiting).await;
    limit(&runtime, ResourceLimits::default()).await;
    completes(&runtime, waiting).await;
    let lifted = shown(&runtime).await;
    assert_eq!((lifted.limits, lifted.counted_since), (ResourceLimits::default(), None));
    limit(&runtime, in_all(100)).await;
    assert_eq!(
        shown(&runtime).await.usage.tokens_total,
        30,
        "what was kept counts; what was used while nothing was limited does not"
    );
}

#[tokio::test]
async fn whoever_changes_one_limit_does_not_undo_what_others_change_at_the_same_time() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let (runtime, agent) = open(&store, "first", None).await;
    let agent = agent.into();
    let change =
        |field: &str| -> LimitsChange { serde_json::from_str(&format!("{{\"{field}\": 70}}")).unwrap() };
    let (one, other) = ("max_tokens_total", "max_requests_per_minute");
    let all = ResourceLimits {
        max_tokens_total: Some(70),
        max_requests_per_minute: Some(70),
        ..Default::default()
    };

    let control = runtime.as_runtime();
    let together =
        tokio::join!(control.change_tenant_limits(change(one)), control.change_tenant_limits(change(other)));
    assert_eq!(together, (Ok(()), Ok(())));
    let of_one = tokio::join!(
        control.change_limits(&agent, change(one)),
        control.change_limits(&agent, change(other))
    );
    assert_eq!(of_one, (Ok(()), Ok(())));

    assert_eq!(shown(&runtime).await.limits, all);
    assert_eq!(control.agent(&agent).await.unwrap().limits, all);
}

#[tokio::test]
async fn limits_of_whoever_put_the_runtime_together_are_shown_as_well() {
    let manager = ResourceManager::default();
    manager.limit_tenant(&Tenant::default(), agent_runtime::resources::Budgets::of_agent(&in_all(70)));
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(manager));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();

    let set = shown(&runtime).await;

    assert_eq!((set.limits, set.since, set.usage.limits.len()), (in_all(70), None, 1));
}

fn fleet(limits: &str) -> Fleet {
    Fleet::parse(limits).unwrap()
}

/// What applying a fleet does to what all may use together, and what they may use then.
async fn serve(runtime: &RuntimeManager, file: &str) -> (Option<Change>, ResourceLimits) {
    let Applied { limits, .. } = fleet(file).apply(runtime.as_runtime()).await.unwrap();
    (limits, shown(runtime).await.limits)
}

/// The same of a command that uses the store for a moment.
async fn look(runtime: &RuntimeManager, file: &str) -> (Option<Change>, ResourceLimits) {
    let Applied { limits, .. } = fleet(file).attach(runtime.as_runtime()).await.unwrap();
    (limits, shown(runtime).await.limits)
}

#[tokio::test]
async fn a_fleet_file_sets_its_limits_again_with_the_next_serve_and_one_without_leaves_what_was_set_by_hand()
{
    let runtime = RuntimeManager::new().await.unwrap();
    let (nine, eight) = ("limits = { max_tokens_total = 9 }", "limits = { max_tokens_total = 8 }");
    let none = ResourceLimits::default();

    assert_eq!(serve(&runtime, "").await, (None, none));
    assert_eq!(shown(&runtime).await.by, None, "a file that says nothing writes nothing");
    assert_eq!(look(&runtime, nine).await, (Some(Change::Added), in_all(9)));
    let since = shown(&runtime).await.since;
    assert_eq!(serve(&runtime, nine).await, (Some(Change::Kept), in_all(9)));
    assert_eq!(shown(&runtime).await.since, since, "what is so already is not set again");
    assert_eq!(
        look(&runtime, eight).await,
        (Some(Change::Changed), in_all(8)),
        "a command takes the file that there is"
    );

    limit(&runtime, in_all(5)).await;
    assert_eq!(
        look(&runtime, nine).await,
        (None, in_all(5)),
        "a command does not undo what somebody changed"
    );
    assert_eq!(serve(&runtime, nine).await, (Some(Change::Changed), in_all(9)), "the next server does");
    assert_eq!(
        serve(&runtime, "").await,
        (Some(Change::Changed), none),
        "what the file says no more is lifted"
    );

    limit(&runtime, in_all(5)).await;
    assert_eq!(
        serve(&runtime, "").await,
        (None, in_all(5)),
        "what was set by hand stays where the file says nothing"
    );
    assert_eq!(shown(&runtime).await.by, Some(LimitsBy::Hand));
}

#[tokio::test]
async fn a_command_that_asks_for_no_call_reads_nothing_of_what_was_used_together() {
    let text = "limits = { max_tokens_total = 1000 }\n[agents.a]\nkind = \"llm\"\nmodel = \"scripted/a\"\nreplies = [\"yes\"]";
    let (fleet, store): (_, Arc<dyn StateStore>) =
        (Fleet::parse(text).unwrap(), Arc::new(MemoryStore::new()));
    let open = async |turnstile: &Turnstile| -> RuntimeManager {
        turnstile.limit_tenants();
        let builder = RuntimeManager::builder(Arc::clone(&store)).governor(Arc::new(turnstile.clone()));
        builder.kind(Arc::new(llm_kind())).open().await.unwrap().into()
    };
    let first = open(&Turnstile::default()).await;
    let applied = fleet.apply(first.as_runtime()).await.unwrap();
    assert_eq!(applied.limits, Some(Change::Added));
    drop(first);

    let turnstile = Turnstile::default();
    let runtime = open(&turnstile).await;
    let attached = fleet.attach(runtime.as_runtime()).await.unwrap();
    assert_eq!(attached.limits, Some(Change::Kept));
    assert!(turnstile.told_of_a_tenant().is_none(), "nobody asked for a call");

    let agent: AgentRef = "a".parse().unwrap();
    let run = runtime.submit(&agent, "x".into()).await.unwrap().run;
    completes(&runtime, run).await;
    assert!(turnstile.told_of_a_tenant().is_some(), "it is told before the first call");
}
