//! What an agent used is told by the minute and by the hour, and adds up to what its status says.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::prelude::*;
use agent_runtime::resource::{UsageHistory, UsedIn};
use agent_runtime::resources::{PriceTable, ResourceManager};
use agent_runtime::runtime::Joined;
use agent_runtime::{Gate, MemoryStore, ScriptedModel, Turn, UnixMillis};
use runtime_testkit::fakes::ManualClock;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
/// The last moment of a minute.
const EDGE: UnixMillis = UnixMillis(500_000 * HOUR + 30 * MINUTE - 1);
const LONG: Duration = Duration::from_secs(20);

struct Place {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    prices: PriceTable,
}

impl Place {
    /// A place whose model costs a dollar for a million tokens, if it has a price at all.
    fn new(priced: bool) -> Self {
        let price = serde_json::json!({"scripted/worker": {"input": "1.00", "output": "1.00"}});
        let price = if priced { price } else { serde_json::json!({}) };
        let prices = serde_json::from_value(price).unwrap();
        Self { clock: Arc::new(ManualClock::at(EDGE)), store: Arc::new(MemoryStore::new()), prices }
    }

    async fn open(&self, turns: Vec<Turn>) -> (RuntimeManager, AgentId) {
        let manager = ResourceManager::new(self.prices.clone());
        let builder = RuntimeManager::builder(self.store.clone()).governor(Arc::new(manager));
        let runtime: RuntimeManager = builder.clock(self.clock.clone()).open().await.unwrap().into();
        let agent = LlmAgent::new("worker", ScriptedModel::in_order("worker", turns)).max_tokens(40);
        let agent = runtime.register_agent(agent.build().unwrap()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        (runtime, agent)
    }
}

fn answers(count: usize) -> Vec<Turn> {
    (0..count).map(|_| Turn::from("yes").used(4, 6)).collect()
}

async fn history(runtime: &RuntimeManager, agent: AgentId) -> UsageHistory {
    runtime.as_runtime().usage_history(&agent.into()).await.unwrap()
}

fn tokens(spans: &[UsedIn]) -> u64 {
    UsedIn::sum(spans).tokens()
}

#[tokio::test]
async fn what_was_used_is_in_its_minute_and_gone_an_hour_later_and_its_hour_stays_for_a_day() {
    let place = Place::new(true);
    let (runtime, agent) = place.open(answers(3)).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    place.clock.advance(Duration::from_millis(1));
    runtime.run_agent(&agent, "x").await.unwrap();
    runtime.run_agent(&agent, "x").await.unwrap();

    let told = history(&runtime, agent).await;
    let last = told.minutes[59];
    assert_eq!((last.from, last.requests), (UnixMillis(EDGE.0 + 1), 2));
    assert_eq!((last.input_tokens, last.output_tokens, last.micros), (8, 12, Some(20)));
    assert_eq!((told.minutes[58].tokens(), tokens(&told.minutes[..58])), (10, 0));
    assert_eq!(told.hours[23].micros, Some(30));

    place.clock.advance(Duration::from_millis(HOUR - MINUTE));
    assert_eq!(tokens(&history(&runtime, agent).await.minutes), 20, "the first is gone");
    place.clock.advance(Duration::from_millis(MINUTE));
    let told = history(&runtime, agent).await;
    assert_eq!((tokens(&told.minutes), tokens(&told.hours)), (0, 30));
    place.clock.advance(Duration::from_millis(23 * HOUR));
    assert_eq!(tokens(&history(&runtime, agent).await.hours), 0);
}

#[tokio::test]
async fn the_sums_are_what_the_status_says_and_calls_under_way_are_told_once_they_are_over() {
    let (place, gate) = (Place::new(true), Gate::new());
    let mut turns = answers(1);
    turns.push(Turn::from("yes").used(4, 6).waits(&gate));
    let (runtime, agent) = place.open(turns).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let run = runtime.submit(&agent.into(), "x".into()).await.unwrap().run;
    gate.reached().await;

    assert!(runtime.get_resource_usage(agent).await.unwrap().tokens_total > 10, "something is held");
    let told = history(&runtime, agent).await;
    assert_eq!((tokens(&told.minutes), tokens(&told.hours)), (10, 10));

    gate.open();
    assert!(matches!(runtime.join(&run, LONG).await, Ok(Joined::Ended(_))));
    let told = history(&runtime, agent).await;
    assert_eq!(runtime.get_resource_usage(agent).await.unwrap().tokens_total, 20);
    assert_eq!((tokens(&told.minutes), tokens(&told.hours)), (20, 20));
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);
    let (runtime, agent) = place.open(vec![]).await;
    assert_eq!(history(&runtime, agent).await, told, "it is the store that says so");
}

#[tokio::test]
async fn what_has_no_price_is_told_apart_also_when_others_have_one_later() {
    let place = Place::new(false);
    let (runtime, agent) = place.open(answers(1)).await;
    runtime.run_agent(&agent, "x").await.unwrap();

    let told = history(&runtime, agent).await;
    assert_eq!((told.minutes[59].micros, told.minutes[59].unpriced), (None, 1));
    assert_eq!((told.minutes[58].micros, told.minutes[58].unpriced), (Some(0), 0));
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    let place = Place { prices: Place::new(true).prices, ..place };
    let (runtime, agent) = place.open(answers(1)).await;
    runtime.run_agent(&agent, "x").await.unwrap();
    let hour = history(&runtime, agent).await.hours[23];
    assert_eq!((hour.requests, hour.tokens(), hour.micros, hour.unpriced), (2, 20, Some(10), 1));
}
