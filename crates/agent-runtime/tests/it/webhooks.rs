//! Webhooks, at receivers on this machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

mod endpoint;
mod kept;
mod refusing;
mod sha256;
mod telling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::bus::{DeadLetters, Kept, Position, Topic};
use agent_runtime::prelude::*;
use agent_runtime::store::StateStore;
use agent_runtime::webhooks::{Redelivery, Webhook, WebhookSecret, WebhookState, Webhooks, state_topic};
use runtime_testkit::fakes::MapStore;
use tokio::time::timeout;

use endpoint::{Endpoint, Says, between};

pub(crate) const LONG: Duration = Duration::from_secs(30);
const KEY: [u8; 32] = [7; 32];

/// Answers what it was asked; fails at `fail`; at `large` it answers more than a webhook tells.
#[derive(Debug)]
struct Worker(&'static str);

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("worker", self.0).unwrap()
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        match input.as_text()? {
            "fail" => Err(AgentError::says("no luck")),
            "large" => Ok(Content::text("x".repeat(100_000))),
            "blob" => Ok(Content::text("y".repeat(20_000))),
            "json" => Ok(Content::json(&serde_json::json!({ "found": [1, 2] })).unwrap()),
            text => Ok(Content::text(text)),
        }
    }
}

fn secret(key: [u8; 32]) -> WebhookSecret {
    WebhookSecret::parse(&format!("whsec_{}", sha256::base64(&key))).unwrap()
}

/// Tries again at once, so that a test need not wait.
fn soon(attempts: u32) -> Redelivery {
    let (first, longest) = (Duration::from_millis(10), Duration::from_millis(40));
    Redelivery { attempts, first, longest, ..Redelivery::default() }
}

fn webhook(name: &str, url: &str) -> Webhook {
    Webhook::new(name, url).unwrap().secret(secret(KEY)).allow_private().redelivery(soon(8))
}

/// A runtime over `store` with an agent `worker` that is started, and its webhooks.
async fn telling(store: Arc<dyn StateStore>, webhooks: &[Webhook]) -> (RuntimeManager, Webhooks) {
    let builder = RuntimeManager::builder(store).keep_for_webhooks(webhooks).unwrap();
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = runtime.register_agent(Worker("worker")).await.unwrap();
    runtime.start_agent(&agent).await.unwrap();
    let working = Webhooks::of(&runtime).all(webhooks.iter().cloned()).start().await.unwrap();
    (runtime, working)
}

async fn run(runtime: &RuntimeManager, input: &str) -> RunId {
    let run = runtime.submit(&Name::new("worker").unwrap().into(), RunRequest::new(input)).await.unwrap().run;
    timeout(LONG, runtime.join(&run, LONG)).await.unwrap().unwrap();
    run
}

/// Waits until somebody is told that it stands so with a webhook.
async fn stands(runtime: &RuntimeManager, name: &str, is_so: impl Fn(&WebhookState) -> bool) -> WebhookState {
    let topic = state_topic(&Name::new(name).unwrap());
    let bus = runtime.bus();
    let mut states = bus.listen(topic.as_str()).await.unwrap();
    let end = bus.read(&topic, Position(u64::MAX >> 1), 1).await.unwrap().next;
    let last = bus.read(&topic, Position(end.0.saturating_sub(1).max(1)), 1).await.unwrap();
    let found = timeout(LONG, async {
        let mut state: Option<WebhookState> = last.events.last().map(|kept| kept.event.json().unwrap());
        loop {
            if let Some(state) = state.filter(&is_so) {
                return state;
            }
            state = Some(states.next_event().await.unwrap().json().unwrap());
        }
    });
    found.await.unwrap_or_else(|_| panic!("it never stood so with `{name}`"))
}

/// The dead letters of a webhook that were not sent again.
async fn dead(runtime: &RuntimeManager, name: &str) -> Vec<Kept> {
    let topic = Topic::dead_letters(&format!("webhook.{name}")).unwrap();
    let mut letters = DeadLetters::default();
    runtime
        .bus()
        .read(&topic, Position::FIRST, 256)
        .await
        .unwrap()
        .events
        .into_iter()
        .for_each(|kept| letters.take(kept));
    letters.into_letters().map(|letter| letter.kept).collect()
}

/// Waits until there are so many dead letters.
async fn died(runtime: &RuntimeManager, name: &str, count: usize) -> Vec<Kept> {
    let topic = Topic::dead_letters(&format!("webhook.{name}")).unwrap();
    let mut letters = runtime.bus().listen(topic.as_str()).await.unwrap();
    let waited = timeout(LONG, async {
        while dead(runtime, name).await.len() < count {
            letters.next_event().await.unwrap();
        }
    });
    waited.await.unwrap_or_else(|_| panic!("they did not die"));
    dead(runtime, name).await
}

#[tokio::test]
async fn an_endpoint_that_was_down_gets_everything_once_it_is_back_and_is_not_overrun() {
    let mut endpoint = Endpoint::says(|_| Says::Status(503)).await;
    let hook = webhook("hook", &endpoint.url()).at_once(3).redelivery(soon(60));
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    for nth in 0..60 {
        run(&runtime, &nth.to_string()).await;
    }
    endpoint.got(6).await;
    let down = stands(&runtime, "hook", |state| state.failures >= 6).await;
    // It is asked by one delivery after the other, with pauses that grow, and not by all that wait.
    assert!(endpoint.all().len() < 20, "{}", endpoint.all().len());
    assert!(down.cause.unwrap().contains("status 503"));

    endpoint.now_says(|_| Says::Status(200));
    let taken =
        |all: &[endpoint::Got]| all.iter().map(|got| got.output().to_owned()).collect::<BTreeSet<_>>();
    let wanted: BTreeSet<String> = (0..60).map(|nth| nth.to_string()).collect();
    let before = endpoint.all().len();
    endpoint.got_where(|all| taken(&all[before.min(all.len())..]) == wanted).await;
    assert!(endpoint.most_at_once() <= 3, "{}", endpoint.most_at_once());
    let up = stands(&runtime, "hook", |state| state.waiting == 0 && state.failures == 0).await;
    assert!(up.taken_at.is_some() && up.rests_until.is_none());
    assert_eq!(dead(&runtime, "hook").await, Vec::new());
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn a_delivery_that_is_never_taken_holds_up_no_other_and_is_a_dead_letter_that_can_be_sent_again() {
    let mut endpoint =
        Endpoint::says(|got| Says::Status(if got.output() == "poison" { 500 } else { 200 })).await;
    let hook = webhook("hook", &endpoint.url()).redelivery(soon(4));
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    run(&runtime, "poison").await;
    for nth in 0..20 {
        run(&runtime, &nth.to_string()).await;
    }
    let good = |all: &[endpoint::Got]| all.iter().filter(|got| got.output() != "poison").count();
    endpoint.got_where(|all| good(all) == 20).await;
    let letters = died(&runtime, "hook", 1).await;
    assert_eq!(letters.len(), 1);
    let cause = letters[0].event.headers.get("deadcause").unwrap();
    assert_eq!(cause, "it answers with status 500: so (tried 4 times)");
    let tries: Vec<_> = endpoint.all().into_iter().filter(|got| got.output() == "poison").collect();
    assert_eq!(tries.len(), 4);

    endpoint.now_says(|_| Says::Status(200));
    let requeued = runtime.bus().requeue("webhook.hook", None, None).await.unwrap();
    assert_eq!((requeued.sent, requeued.unsent), (1, 0));
    let all = endpoint.got(25).await;
    assert_eq!((&all[24].id, all[24].output()), (&tries[0].id, "poison"), "the id is that of before");
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_slows_no_other_down() {
    let slow = Endpoint::says(|_| Says::Nothing).await;
    let mut quick = Endpoint::says(|_| Says::Status(204)).await;
    let hooks = [webhook("slow", &slow.url()), webhook("quick", &quick.url())];
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &hooks).await;
    for nth in 0..20 {
        run(&runtime, &nth.to_string()).await;
    }
    quick.got(20).await;
    assert!(slow.most_at_once() <= 4, "{}", slow.most_at_once());
    assert_eq!(webhooks.states().len(), 2);
    drop(webhooks);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_told_nothing_more_until_a_test_is_taken() {
    let mut endpoint = Endpoint::says(|_| Says::Status(410)).await;
    let hook = webhook("hook", &endpoint.url());
    let store = Arc::new(MapStore::new());
    let (runtime, webhooks) = telling(store.clone(), std::slice::from_ref(&hook)).await;
    run(&runtime, "first").await;
    let disabled = stands(&runtime, "hook", |state| state.disabled_at.is_some()).await;
    assert!(disabled.cause.unwrap().contains("410"));
    run(&runtime, "second").await;
    let letters = died(&runtime, "hook", 2).await;
    assert!(letters[1].event.headers.get("deadcause").unwrap().contains("is disabled since"));
    webhooks.end(LONG).await;
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    // It stays so in the next process.
    let (runtime, webhooks) = telling(store, &[hook]).await;
    run(&runtime, "third").await;
    died(&runtime, "hook", 3).await;
    assert_eq!(endpoint.all().len(), 1);

    endpoint.now_says(|_| Says::Status(200));
    let published = runtime.bus().publish(Event::new("webhooks/hook/test", "").unwrap()).await.unwrap();
    assert_eq!(published.reached, 1);
    let tested = stands(&runtime, "hook", |state| state.test.is_some()).await;
    assert_eq!((tested.test_failed, tested.disabled_at), (None, None));
    let ping = &endpoint.got(2).await[1];
    assert_eq!((&ping.body["type"], &ping.body["data"]["webhook"]), (&"webhook.ping".into(), &"hook".into()));
    assert!(ping.is_signed_with(&KEY));
    runtime.bus().requeue("webhook.hook", None, None).await.unwrap();
    let outputs: BTreeSet<_> = endpoint.got(5).await[2..].iter().map(|got| got.output().to_owned()).collect();
    assert_eq!(outputs, ["first", "second", "third"].map(str::to_owned).into());
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn what_is_under_way_at_the_end_is_broken_off_in_time_and_delivered_again_with_its_id() {
    let mut endpoint = Endpoint::says(|_| Says::Nothing).await;
    let hook = webhook("hook", &endpoint.url());
    let store = Arc::new(MapStore::new());
    let (runtime, webhooks) = telling(store.clone(), std::slice::from_ref(&hook)).await;
    run(&runtime, "first").await;
    let first = endpoint.got(1).await;
    timeout(Duration::from_secs(5), webhooks.end(Duration::from_millis(50))).await.unwrap();
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    endpoint.now_says(|_| Says::Status(200));
    let (_runtime, webhooks) = telling(store, &[hook]).await;
    let again = endpoint.got(2).await;
    assert_eq!((&again[1].id, &again[1].text), (&first[0].id, &first[0].text));
    webhooks.end(LONG).await;
    assert_eq!(endpoint.all().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_gets_it_also_from_the_next_process() {
    let wait = || Says::With(429, "Retry-After: 2\r\n".to_owned());
    let mut endpoint = Endpoint::says(move |_| wait()).await;
    let hook = webhook("hook", &endpoint.url());
    let store = Arc::new(MapStore::new());
    let (runtime, webhooks) = telling(store.clone(), std::slice::from_ref(&hook)).await;
    run(&runtime, "first").await;
    stands(&runtime, "hook", |state| state.failures == 1).await;
    webhooks.end(LONG).await;
    runtime.shutdown(LONG).await.unwrap();
    drop(runtime);

    endpoint.now_says(|_| Says::Status(200));
    let (_runtime, webhooks) = telling(store, &[hook]).await;
    let all = endpoint.got(2).await;
    // Clocks tell milliseconds.
    assert!(between(&all[0], &all[1]) >= Duration::from_millis(1_990), "{:?}", between(&all[0], &all[1]));
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_year_gets_an_hour_and_what_waits_is_given_up_in_its_time() {
    let year = || Says::With(503, "Retry-After: 31536000\r\n".to_owned());
    let endpoint = Endpoint::says(move |_| year()).await;
    // Longer than until it was last told how it stands, so that nothing else wakes it.
    let redelivery = Redelivery { give_up_after: Duration::from_millis(2_500), ..soon(8) };
    let hook = webhook("hook", &endpoint.url()).redelivery(redelivery);
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    run(&runtime, "first").await;
    let rests = stands(&runtime, "hook", |state| state.rests_until.is_some()).await;
    let asked = rests.rests_until.unwrap() - rests.failed_at.unwrap();
    assert!(asked <= 3_601_000, "{asked} ms");
    run(&runtime, "second").await;
    let letters = died(&runtime, "hook", 2).await;
    let cause = letters[1].event.headers.get("deadcause").unwrap();
    assert_eq!(cause, "the endpoint fails for too long: it answers with status 503: so (tried 0 times)");
    assert_eq!(endpoint.all().len(), 1);
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn a_delivery_that_waits_for_an_hour_holds_up_no_other() {
    let wait = || Says::With(400, "Retry-After: 3600\r\n".to_owned());
    let mut endpoint =
        Endpoint::says(move |got| if got.output() == "waits" { wait() } else { Says::Status(200) }).await;
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[webhook("hook", &endpoint.url())]).await;
    run(&runtime, "waits").await;
    endpoint.got(1).await;
    for nth in 0..10 {
        run(&runtime, &nth.to_string()).await;
    }
    endpoint.got(11).await;
    let state = stands(&runtime, "hook", |state| state.waiting == 1 && state.failures == 0).await;
    assert_eq!(state.disabled_at, None);
    webhooks.end(LONG).await;
    assert_eq!(endpoint.all().len(), 11);
}

#[tokio::test]
async fn what_nobody_takes_in_its_time_is_given_up_and_is_all_there_when_somebody_does() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let redelivery = Redelivery { give_up_after: Duration::from_millis(300), ..soon(100_000) };
    let hook = webhook("hook", &format!("http://{address}/")).redelivery(redelivery);
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    for nth in 0..10 {
        run(&runtime, &nth.to_string()).await;
    }
    for letter in died(&runtime, "hook", 10).await {
        let cause = letter.event.headers.get("deadcause").unwrap();
        assert!(cause.contains("`127.0.0.1` cannot be asked: "), "{cause}");
    }
    let mut endpoint = Endpoint::at(address, |_| Says::Status(200)).await;
    // A ping that is taken ends the rest of the endpoint: within it, they might be given up once more.
    runtime.bus().publish(Event::new("webhooks/hook/test", "").unwrap()).await.unwrap();
    stands(&runtime, "hook", |state| state.test.is_some() && state.test_failed.is_none()).await;
    let requeued = runtime.bus().requeue("webhook.hook", None, None).await.unwrap();
    assert_eq!((requeued.sent, requeued.unsent), (10, 0));
    let outputs: BTreeSet<_> =
        endpoint.got(11).await[1..].iter().map(|got| got.output().to_owned()).collect();
    assert_eq!(outputs, (0..10).map(|nth| nth.to_string()).collect());
    webhooks.end(LONG).await;
}
