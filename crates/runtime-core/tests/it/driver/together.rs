//! What all agents of a tenant may use together: kept, told to whoever holds them to it, and changed while they work.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, Lets, MapStore, ReadFault, Turnstile};
use runtime_traits::log::{FailureKind, Phase};
use runtime_traits::resource::{LimitsBy, LimitsError, ResourceLimits};
use runtime_traits::runtime::Runtime;
use runtime_traits::store::{Batch, Then};
use runtime_traits::{AgentSpec, Pool, RuntimeError, Tenant, UnixMillis};

use super::house::{House, meddle, output, submit, until_phase};
use super::limits::{failure, governed};
use super::swept::Years;

fn in_all(tokens: u64) -> ResourceLimits {
    ResourceLimits { max_tokens_total: Some(tokens), ..ResourceLimits::default() }
}

async fn limit(runtime: &RuntimeManager, limits: ResourceLimits) {
    runtime.set_tenant_limits(limits, LimitsBy::Hand).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_is_limited_while_its_runs_are_open_counts_what_they_used_and_no_call_twice() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30 costs-held:100/50").await;
    house.world.began("100/50").await;

    limit(&runtime, in_all(1_000)).await;

    let past = turnstile.told_of_a_tenant().expect("it is told before it is limited");
    assert_eq!(past.tokens, 30, "the call under way is counted by whoever let it through");
    assert_eq!(turnstile.together(&Tenant::default()), Some(in_all(1_000)));
    house.world.open("100/50");
    assert_eq!(output(&runtime, run).await, "30 used 50 used");
}

#[tokio::test]
async fn what_was_set_holds_after_a_restart_from_the_first_call_on_with_what_was_used() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:1/0").await).await;

    assert_eq!(second.together(&Tenant::default()), Some(in_all(1_000)));
    assert_eq!(second.told_of_a_tenant().map(|past| past.tokens), Some(30));
}

#[tokio::test]
async fn what_runs_used_that_end_without_another_call_after_a_restart_is_kept_all_the_same() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    let run = submit(&runtime, agent, "costs:100/30 held:x").await;
    house.world.began("x").await;
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, _) = governed(&house, &second, ResourceLimits::default()).await;
    for _ in 0..2 {
        house.world.open("x");
    }
    assert_eq!(output(&runtime, run).await, "30 used x!");
    assert!(second.asked().is_empty(), "it asked for no call");
    drop(runtime);

    let third = Turnstile::default();
    let (runtime, agent) = governed(&house, &third, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:1/0").await).await;
    assert_eq!(third.told_of_a_tenant().map(|past| past.tokens), Some(30));
}

#[tokio::test]
async fn a_parked_run_looks_again_when_other_limits_are_set() {
    let (house, turnstile) = (House::new(), Turnstile::that(Lets::Wait(Some(UnixMillis(u64::MAX / 2)))));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    turnstile.set(Lets::Through);

    limit(&runtime, in_all(2_000)).await;

    assert_eq!(output(&runtime, run).await, "30 used");
}

#[tokio::test]
async fn limits_that_cannot_be_read_are_named_and_let_nothing_through_until_somebody_sets_others() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    let open = submit(&runtime, agent, "held:x costs:100/20").await;
    house.world.began("x").await;
    drop(runtime);
    let cell = keys::limits(Pool::MAIN, &Tenant::default());
    meddle(house.store.as_ref(), 1, Then::Put(cell.clone(), "no record".into())).await;

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, ResourceLimits::default()).await;
    for _ in 0..2 {
        house.world.open("x");
    }
    for run in [open, submit(&runtime, agent, "costs:100/30").await] {
        let (kind, message) = failure(&runtime, run).await;
        assert_eq!(kind, FailureKind::Limit);
        assert!(message.contains(&cell.to_string()), "{message}");
    }
    assert!(second.asked().is_empty());
    let shown = runtime.tenant_limits().await.unwrap();
    assert!(shown.damage.unwrap().contains(&cell.to_string()));
    // A server with a fleet file comes up, and lets nothing through.
    assert_eq!(runtime.set_tenant_limits(in_all(2_000), LimitsBy::FleetFile).await, Ok(()));
    assert_eq!(failure(&runtime, submit(&runtime, agent, "costs:9/9").await).await.0, FailureKind::Limit);

    limit(&runtime, in_all(2_000)).await;

    assert_eq!(output(&runtime, submit(&runtime, agent, "costs:100/30").await).await, "30 used");
    assert_eq!(runtime.tenant_limits().await.unwrap().limits, in_all(2_000));
}

#[tokio::test]
async fn what_was_used_that_cannot_be_read_is_shown_and_limits_by_hand_are_refused_but_lifting_them() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    drop(runtime);
    let cell = keys::used(agent.partition(), &Tenant::default(), "m-0000000001-tokens");
    meddle(house.store.as_ref(), 1, Then::Put(cell.clone(), "no number".into())).await;

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, ResourceLimits::default()).await;
    let shown = runtime.tenant_limits().await.unwrap();
    assert!(shown.damage.unwrap().contains(&cell.to_string()));
    assert_eq!(shown.limits, in_all(1_000), "what was set is known");
    let refused = runtime.set_tenant_limits(in_all(2_000), LimitsBy::Hand).await.unwrap_err();
    assert!(refused.to_string().contains(&cell.to_string()), "{refused}");
    assert_eq!(failure(&runtime, submit(&runtime, agent, "costs:9/9").await).await.0, FailureKind::Limit);
    // A server with a fleet file comes up, and lets nothing through.
    assert_eq!(runtime.set_tenant_limits(in_all(2_000), LimitsBy::FleetFile).await, Ok(()));
    assert_eq!(failure(&runtime, submit(&runtime, agent, "costs:9/9").await).await.0, FailureKind::Limit);

    limit(&runtime, ResourceLimits::default()).await;

    assert_eq!(output(&runtime, submit(&runtime, agent, "costs:100/30").await).await, "30 used");
}

#[tokio::test]
async fn nobody_is_limited_where_nobody_holds_anybody_to_limits() {
    let runtime = House::new().open().await;

    let refused = runtime.set_tenant_limits(in_all(5), LimitsBy::Hand).await;

    assert_eq!(refused, Err(RuntimeError::Limits(LimitsError::NobodyHolds)));
    assert_eq!(runtime.tenant_limits().await.unwrap(), Default::default());
}

#[tokio::test]
async fn tenants_have_limits_of_their_own() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, _) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let tenant = Tenant::new("acme").unwrap();
    let other = runtime.for_tenant(tenant.clone());

    limit(&other, in_all(7)).await;

    assert_eq!(runtime.tenant_limits().await.unwrap(), Default::default());
    assert_eq!(other.tenant_limits().await.unwrap().limits, in_all(7));
    let told = [&tenant, &Tenant::default()].map(|tenant| turnstile.together(tenant));
    assert_eq!(told, [Some(in_all(7)), None]);
}

#[tokio::test]
async fn an_agent_is_checked_against_what_was_set_for_all_before_this_process() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    drop(runtime);
    let open = async |turnstile: &Turnstile| {
        house.builder().governor(Arc::new(turnstile.clone())).open().await.unwrap()
    };
    let none = ResourceLimits::default();

    let second = Turnstile::default();
    let runtime = open(&second).await;
    runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
    assert_eq!(second.checked(), [(Tenant::default(), none)]);
    assert_eq!(second.together(&Tenant::default()), Some(in_all(1_000)));
    drop(runtime);

    let third = Turnstile::default();
    let runtime = open(&third).await;
    runtime.set_limits(&agent.into(), none).await.unwrap();
    assert_eq!(third.checked(), [(Tenant::default(), none)]);
}

#[tokio::test]
async fn since_when_all_is_counted_is_since_it_was_limited_first_also_if_that_was_lifted_in_between() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = governed(&years.house, &Turnstile::default(), ResourceLimits::default()).await;
    limit(&runtime, in_all(1_000)).await;
    let first = runtime.tenant_limits().await.unwrap();
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    years.clock.advance(Duration::from_secs(60));

    limit(&runtime, ResourceLimits::default()).await;
    assert_eq!(runtime.tenant_limits().await.unwrap().counted_since, None, "nothing is");
    years.clock.advance(Duration::from_secs(60));
    limit(&runtime, in_all(500)).await;

    let again = runtime.tenant_limits().await.unwrap();
    assert_eq!(again.counted_since, first.since, "what was used then counts");
    assert_eq!(again.since.map(|since| since.0), first.since.map(|since| since.0 + 120_000));
}

#[tokio::test]
async fn what_is_used_while_all_agents_are_being_limited_is_not_forgotten() {
    let store = Arc::new(FaultyStore::scripted(Arc::new(MapStore::new()), []));
    let (house, turnstile) = (House::over(store.clone()), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "used-held:70").await;
    house.world.began("70").await;
    let used = keys::used(agent.partition(), &Tenant::default(), "").path;
    let mut holds = [ReadFault::HoldAnswer].into_iter();
    store.decide_scans_by(move |under| match under.path == used {
        true => holds.next().unwrap_or_default(),
        false => ReadFault::Pass,
    });
    let meanwhile = async {
        store.until_read_held().await;
        assert!(turnstile.together(&Tenant::default()).is_some(), "it is counted by now");
        house.world.open("70");
        output(&runtime, run).await;
        store.release_read();
    };

    futures_util::join!(limit(&runtime, in_all(1_000)), meanwhile);

    let recorded: Vec<_> = turnstile.recorded().iter().map(|call| call.most.input_tokens).collect();
    assert_eq!(recorded, [70], "it is told while what was used before is being read");
    assert_eq!(turnstile.together(&Tenant::default()), Some(in_all(1_000)));
}

#[tokio::test]
async fn limiting_all_agents_in_vain_forgets_nothing_of_what_they_used() {
    let store = Arc::new(FaultyStore::scripted(Arc::new(MapStore::new()), []));
    let (house, turnstile) = (House::over(store.clone()), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30 held:x costs:100/50 held:y").await;
    house.world.began("x").await;
    let limits = keys::limits(Pool::MAIN, &Tenant::default());
    let sets = move |batch: &Batch| {
        batch.then.iter().any(|then| matches!(then, Then::Put(key, _) if *key == limits))
    };
    store.decide_by(move |batch| if sets(batch) { Fault::TooLarge } else { Fault::Pass });
    assert!(runtime.set_tenant_limits(in_all(1_000), LimitsBy::Hand).await.is_err());
    assert_eq!(turnstile.together(&Tenant::default()), None, "nobody is limited");
    house.world.open("x");
    house.world.began("y").await;

    store.decide_by(|_| Fault::Pass);
    limit(&runtime, in_all(1_000)).await;

    assert_eq!(turnstile.told_of_a_tenant().map(|past| past.tokens), Some(80), "it is told anew");
    house.world.open("y");
    output(&runtime, run).await;
}
