//! What an agent used over time is kept in the batch that ends a run, is told as it was, and goes when nobody needs it any more.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, Turnstile};
use runtime_testkit::recount::cells;
use runtime_traits::id::AgentId;
use runtime_traits::resource::{ResourceLimits, UsageHistory, UsedIn};
use runtime_traits::runtime::{AgentRef, Runtime};
use runtime_traits::store::{Key, Then};
use runtime_traits::{RuntimeError, Tenant};

use super::house::{House, meddle, output, submit};
use super::limits::governed;
use super::swept::Years;

const LONG: Duration = Duration::from_secs(20);

async fn told(runtime: &RuntimeManager, agent: AgentId) -> Result<UsageHistory, RuntimeError> {
    runtime.usage_history(&AgentRef::Id(agent)).await
}

/// Tokens in all minutes and in all hours.
async fn tokens(runtime: &RuntimeManager, agent: AgentId) -> (u64, u64) {
    let UsageHistory { minutes, hours } = told(runtime, agent).await.unwrap();
    (UsedIn::sum(&minutes).tokens(), UsedIn::sum(&hours).tokens())
}

fn path(key: &Key) -> String {
    String::from_utf8_lossy(key.path.as_bytes()).into_owned()
}

fn is_dated(key: &Key) -> bool {
    path(key).contains("/usage/m-") || path(key).contains("/usage/h-")
}

#[tokio::test]
async fn what_a_run_used_is_kept_in_the_batch_of_its_end_and_in_no_other() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let store = FaultyStore::new(Arc::new(MapStore::new()), move |batch| {
        sees.lock().unwrap().push(batch.then.clone());
        Fault::Pass
    });
    let house = House::over(Arc::new(store));
    let turnstile = Turnstile::default();
    turnstile.limit_tenants();
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30 costs:100/12").await;
    output(&runtime, run).await;

    let batches = seen.lock().unwrap().clone();
    let counts =
        |then: &&Vec<Then>| then.iter().any(|then| matches!(then, Then::Add(key, _) if is_dated(key)));
    let counting: Vec<_> = batches.iter().filter(counts).collect();
    assert_eq!(counting.len(), 1);
    assert!(counting[0].contains(&Then::Delete(keys::open(&run))), "{:?}", counting[0]);
    let of_tenant = |then: &Then| match then {
        Then::Add(key, _) => path(key).contains("/used/") && path(key).ends_with("-written"),
        _ => false,
    };
    assert!(!counting[0].iter().any(of_tenant), "what only agents are asked for is not kept of tenants");
}

#[tokio::test]
async fn a_call_is_told_once_it_is_over_and_not_while_it_may_take_anything() {
    let house = House::new();
    let (runtime, agent) = governed(&house, &Turnstile::default(), ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30 costs-held:200/12").await;
    house.world.began("200/12").await;

    assert_eq!(tokens(&runtime, agent).await, (30, 30), "200 are held");
    house.world.open("200/12");
    output(&runtime, run).await;
    assert_eq!(tokens(&runtime, agent).await, (42, 42));
}

#[tokio::test]
async fn what_is_damaged_is_named_as_long_as_it_is_of_use() {
    let Years { house, .. } = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = governed(&house, &Turnstile::default(), ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    let counter = |what: &str| keys::usage(&Tenant::default(), &agent, what);
    for (what, nth) in ["micros", "m-0000000001-tokens"].into_iter().zip(1..) {
        meddle(house.store.as_ref(), nth, Then::Put(counter(what), "no number".into())).await;
    }
    assert_eq!(tokens(&runtime, agent).await, (30, 30), "that is nothing of these times");

    let minute = counter(&format!("m-{:010}-written", 1_800_000_000 / 60));
    meddle(house.store.as_ref(), 7, Then::Put(minute.clone(), "no number".into())).await;

    let refused = told(&runtime, agent).await.unwrap_err();
    assert!(refused.to_string().contains(&minute.to_string()), "{refused}");
    meddle(house.store.as_ref(), 8, Then::Delete(minute)).await;
    assert_eq!(tokens(&runtime, agent).await, (30, 30));
}

#[tokio::test]
async fn what_was_counted_before_a_restart_goes_with_the_end_of_a_process_that_looked_at_it() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = governed(&years.house, &Turnstile::default(), ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    runtime.shutdown(LONG).await.unwrap();
    let kept = async || {
        let cells = cells(years.house.store.as_ref(), agent.partition()).await;
        cells.iter().filter(|(key, _)| is_dated(key)).count()
    };
    assert_eq!(kept().await, 8, "calls, tokens, written ones and money, of a minute and of an hour");

    years.clock.advance(Duration::from_secs(2 * 60 * 60));
    for (later, still) in [(0, 4), (25 * 60 * 60, 0)] {
        years.clock.advance(Duration::from_secs(later));
        let (runtime, _) = governed(&years.house, &Turnstile::default(), ResourceLimits::default()).await;
        let (minutes, hours) = tokens(&runtime, agent).await;
        assert_eq!((minutes, hours), (0, if still == 0 { 0 } else { 30 }));
        runtime.shutdown(LONG).await.unwrap();
        assert_eq!(kept().await, still);
    }
}

#[tokio::test]
async fn where_nobody_counts_nothing_is_told_or_kept() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;

    assert_eq!(told(&runtime, agent).await, Ok(UsageHistory::default()));
    let kept = cells(house.store.as_ref(), agent.partition()).await;
    assert!(!kept.iter().any(|(key, _)| is_dated(key)), "{kept:?}");
}
