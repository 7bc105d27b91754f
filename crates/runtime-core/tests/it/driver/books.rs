//! Counters that are damaged keep no run from its end, loosen no limit, and are named.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeMap;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_core::engine::keys;
use runtime_testkit::fakes::Turnstile;
use runtime_testkit::recount::{counted, recount};
use runtime_traits::agent::StorageLimits;
use runtime_traits::id::AgentId;
use runtime_traits::name::SessionName;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::{AgentRef, Joined, Readiness, RunRequest, Runtime};
use runtime_traits::store::{Key, LARGEST_SUM, StateStore, Then};
use runtime_traits::{AgentSpec, RuntimeError, Tenant};

use super::house::{House, meddle, output, submit};
use super::limits::governed;
use super::warnings::Warnings;

const DAMAGED: &str = "no number";

/// The counters under a prefix, by the last parts of their paths.
async fn counters(store: &dyn StateStore, under: &Key) -> BTreeMap<String, String> {
    let cells = store.scan(under, None, 1_000).await.unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    cells.iter().map(|(key, cell)| (keys::last_part(key).unwrap().to_owned(), text(&cell.value))).collect()
}

/// Overwrites all counters under a prefix by hand. How many.
async fn damage(store: &dyn StateStore, under: &Key, number: u128) -> usize {
    damage_some(store, under, number, |_| true).await
}

/// Overwrites those that end so. How many.
async fn damage_some(store: &dyn StateStore, under: &Key, number: u128, which: fn(&str) -> bool) -> usize {
    let cells = store.scan(under, None, 1_000).await.unwrap();
    let those = cells.iter().map(|(key, _)| key).filter(|key| keys::last_part(key).is_some_and(which));
    let mut done = 0;
    for (key, nth) in those.zip(number..) {
        meddle(store, nth, Then::Put(key.clone(), DAMAGED.into())).await;
        done += 1;
    }
    done
}

async fn damage_named(runtime: &RuntimeManager, agent: AgentId) -> Option<String> {
    Runtime::agent(runtime, &AgentRef::Id(agent)).await.unwrap().damage
}

#[tokio::test]
async fn a_run_ends_where_what_its_agent_used_is_damaged_and_the_damage_is_named() {
    let (house, turnstile, warnings) = (House::new(), Turnstile::default(), Warnings::begin());
    turnstile.limit_tenants();
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let (tenant, store) = (Tenant::default(), house.store.as_ref());
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    let own = keys::usage(&tenant, &agent, "");
    let together = keys::used(agent.partition(), &tenant, "");
    let own_count = damage(store, &own, 100).await;
    assert!(own_count >= 5 && damage(store, &together, 200).await >= 5);

    for _ in 0..2 {
        assert_eq!(output(&runtime, submit(&runtime, agent, "costs:100/30").await).await, "30 used");
    }

    let named = damage_named(&runtime, agent).await.unwrap();
    assert!(named.contains(&agent.unique().simple().to_string()) && named.contains("/usage/"), "{named}");
    assert_eq!(
        runtime.status().await.unwrap().readiness,
        Readiness::Ready,
        "the store takes what it is given"
    );
    let told = warnings.about("what was used is damaged");
    let of_agent = told.iter().filter(|told| told.contains(&format!("agent=\"{agent}\""))).count();
    assert_eq!(of_agent, own_count, "each cell once: {told:?}");
    for (under, total) in [(&own, "output-tokens"), (&together, "tokens")] {
        let now = counters(store, under).await;
        assert_eq!(now["micros"], DAMAGED, "what is there stays for who repairs it");
        assert_eq!((now["more-micros"].as_str(), now[&format!("more-{total}")].as_str()), ("60", "60"));
    }
    drop(runtime);

    // After a restart nothing is let through under limits, until somebody has seen to it.
    let limited = ResourceLimits { max_tokens_total: Some(900), ..ResourceLimits::default() };
    let second = Turnstile::default();
    let (runtime, _) = governed(&house, &second, limited).await;
    let Joined::Ended(refused) =
        runtime.join(&submit(&runtime, agent, "costs:100/30").await, Duration::from_secs(20)).await.unwrap()
    else {
        unreachable!("it is refused")
    };
    let refused = refused.failure().unwrap().message.clone();
    assert!(refused.contains("/usage/") && refused.contains("no number"), "{refused}");
    assert_eq!(second.asked(), []);
    drop(runtime);
    for (what, nth) in counters(store, &own).await.keys().filter(|what| !what.starts_with("more-")).zip(300..)
    {
        meddle(store, nth, Then::Put(keys::usage(&tenant, &agent, what), "30".into())).await;
    }
    let third = Turnstile::default();
    let (runtime, _) = governed(&house, &third, limited).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    let past = third.told(&agent).unwrap();
    assert_eq!((past.tokens, past.micros, past.month_micros), (90, 90, 90), "nothing was lost");
    assert_eq!(past.minutes.iter().map(|minute| minute.tokens).sum::<u64>(), 90);
    assert_eq!(damage_named(&runtime, agent).await, None);
}

#[tokio::test]
async fn a_run_that_reports_more_than_anybody_counts_ends() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let much = format!("costs:100/{0} costs:200/{0}", u64::MAX);
    output(&runtime, submit(&runtime, agent, &much).await).await;
    let full = keys::usage(&Tenant::default(), &agent, "output-tokens");
    meddle(house.store.as_ref(), 1, Then::Put(full, (LARGEST_SUM - 7).to_string().into())).await;

    output(&runtime, submit(&runtime, agent, &much).await).await;

    let cells = counters(house.store.as_ref(), &keys::usage(&Tenant::default(), &agent, "")).await;
    assert_eq!(cells["output-tokens"], LARGEST_SUM.to_string(), "as much as fits");
    assert_eq!(damage_named(&runtime, agent).await, None, "and nothing is damaged");
}

#[tokio::test]
async fn a_run_ends_where_counts_of_bytes_are_damaged_and_they_are_counted_anew() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let (a, store, tenant) = (AgentRef::Id(agent), house.store.as_ref(), Tenant::default());
    let one = SessionName::new("one").unwrap();
    let in_one = |script: &str| RunRequest { session: one.clone(), ..RunRequest::new(script) };
    runtime.run(&a, in_one("state:x keep:9000")).await.unwrap();
    let prefixes = [keys::sizes(&tenant, &agent), keys::session_sizes(&tenant, &agent, &one)];
    for (under, nth) in [&prefixes[..1], &prefixes[1..], &prefixes[..]].into_iter().zip(1..) {
        for (prefix, place) in under.iter().zip(1..) {
            assert!(damage(store, prefix, nth * 1_000 + place * 100).await > 0);
        }

        runtime.run(&a, in_one("more")).await.unwrap();

        let all: i64 = recount(store).await.values().sum();
        assert_eq!(Runtime::agent(&runtime, &a).await.unwrap().stored.bytes as i64, all);
        assert_eq!(runtime.sessions(&a, None, 0).await.unwrap().items[0].stored.bytes as i64, all);
        assert_eq!(runtime.status().await.unwrap().readiness, Readiness::Ready);
        assert_eq!(counted(store).await, recount(store).await);
    }
}

/// What lets nothing in above a limit of all of an agent, and of a conversation, though such counts are damaged.
async fn lets_nothing_in(damaged: fn(&str) -> bool) {
    let hard = StorageLimits { hard: Some(15_000), ..StorageLimits::default() };
    let session_hard = StorageLimits { session_hard: Some(15_000), ..StorageLimits::default() };
    for limits in [hard, session_hard] {
        let house = House::new();
        let (runtime, agent) = house.with_agent().await;
        let (a, store, tenant) = (AgentRef::Id(agent), house.store.as_ref(), Tenant::default());
        runtime.run_agent(agent, "keep:20000").await.unwrap();
        let spec = AgentSpec::new("scripted", "a").unwrap().storing(limits);
        runtime.register_spec(spec).await.unwrap();
        let counts = match limits.hard {
            Some(_) => keys::sizes(&tenant, &agent),
            None => keys::session_sizes(&tenant, &agent, &SessionName::default()),
        };
        assert!(damage_some(store, &counts, 100, damaged).await > 0);

        let refused = runtime.submit(&a, RunRequest::new("more")).await.unwrap_err();

        assert!(matches!(refused, RuntimeError::StorageFull { .. }), "{refused}");
        assert_eq!(counted(store).await, recount(store).await, "they are counted anew");
    }
}

#[tokio::test]
async fn damaged_counts_of_bytes_let_nothing_in_above_a_hard_limit() {
    lets_nothing_in(|_| true).await;
}

#[tokio::test]
async fn a_damaged_count_of_a_later_day_alone_lets_nothing_in_above_a_hard_limit() {
    lets_nothing_in(|day| day.parse() != Ok(keys::DAYS_BEFORE)).await;
}
