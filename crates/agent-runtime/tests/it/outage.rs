//! A provider that is away for a minute, over real HTTP and in simulated time: runs wait for it, and do not storm it.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

mod provider;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::clock::{Clock, SystemEntropy, UnixMillis};
use agent_runtime::fleet::Fleet;
use agent_runtime::guards::{GuardRule, Guards};
use agent_runtime::log::{StepFailureKind, StepPhase, Usage, WaitOn};
use agent_runtime::prelude::*;
use agent_runtime::resource::ResourceLimits;
use agent_runtime::runtime::{BreakerPhase, Finished, Joined, StreamItem};
use agent_runtime::store::{Seq, StateStore};
use agent_runtime::{EntryKind, MemoryStore, RuntimeManager, guarded_kinds};
use futures_util::StreamExt as _;
use tempfile::NamedTempFile;

use provider::{Away, Provider};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The executor's time, which the tests have paused: it passes as soon as nothing else can be done.
#[derive(Debug)]
struct ExecutorClock(tokio::time::Instant);

impl Clock for ExecutorClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000).after(self.0.elapsed())
    }
}

/// A runtime with agents from a fleet file.
struct House {
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    guards: Guards,
    key: NamedTempFile,
}

impl House {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ExecutorClock(tokio::time::Instant::now()));
        let mut key = NamedTempFile::new().unwrap();
        key.write_all(b"sk-nobody").unwrap();
        Self { store: Arc::new(MemoryStore::new()), guards: Self::guards(&clock), clock, key }
    }

    fn guards(clock: &Arc<dyn Clock>) -> Guards {
        Guards::new(GuardRule::default(), Arc::clone(clock), Arc::<SystemEntropy>::default())
    }

    /// An agent `helper` whose first model is at the first provider, and so on.
    async fn open(&self, providers: &[&Provider], settings: &str) -> RuntimeManager {
        let key = self.key.path().display();
        let at = |nth: usize| {
            format!(
                "model = \"openai/model-{nth}\", base_url = \"{}\", key = \"file:{key}\"",
                providers[nth].url()
            )
        };
        let first = at(0).replace(", ", "\n");
        let chain: Vec<String> = (1..providers.len()).map(|nth| format!("{{ {} }}", at(nth))).collect();
        let file = format!(
            "store = \"memory:\"\n[agents.helper]\nkind = \"llm\"\n{first}\nmax_tokens = 20\n{settings}\nfallback = [{}]\n",
            chain.join(", ")
        );
        let kinds = guarded_kinds("", &self.guards);
        let fleet = Fleet::check(&file, &kinds).unwrap_or_else(|faults| unreachable!("{faults:?}"));
        let builder = RuntimeManager::builder(Arc::clone(&self.store)).guards(self.guards.clone());
        let builder = kinds
            .into_iter()
            .fold(builder.clock(Arc::clone(&self.clock)), |builder, kind| builder.kind(kind));
        let runtime: RuntimeManager = builder.open().await.unwrap().into();
        fleet.apply(runtime.as_runtime()).await.unwrap();
        runtime
    }
}

fn helper() -> AgentRef {
    "helper".parse().unwrap()
}

/// Begins a run in a conversation of its own.
async fn begin(runtime: &RuntimeManager, nth: usize) -> RunId {
    let session = SessionName::new(format!("session-{nth}")).unwrap();
    runtime.submit(&helper(), RunRequest::new("How much?").in_session(session)).await.unwrap().run
}

async fn ended(runtime: &RuntimeManager, run: RunId) -> Finished {
    match runtime.join(&run, 30 * MINUTE).await.unwrap() {
        Joined::Ended(finished) => finished,
        Joined::Open(view) => unreachable!("{view:?}"),
    }
}

async fn completes(runtime: &RuntimeManager, run: RunId) -> Usage {
    let finished = ended(runtime, run).await;
    let usage = finished.usage;
    assert_eq!(finished.into_result().unwrap().output.to_string(), "It is 42.");
    usage
}

/// By what the steps of a run failed, and the models that they asked.
async fn steps(runtime: &RuntimeManager, run: RunId) -> Vec<(String, Option<StepFailureKind>, Usage)> {
    let mut items = runtime.stream(&run, Seq::FIRST).await.unwrap();
    let mut steps = Vec::new();
    while let Some(item) = items.next().await {
        let StreamItem::Entry { entry, .. } = item.unwrap() else { continue };
        if let EntryKind::StepSettled(settled) = entry.kind {
            steps.push((settled.key.to_string(), settled.result.err().map(|f| f.kind), settled.usage));
        }
    }
    steps
}

/// The most that fall into any second.
fn peak(asked: &[Duration]) -> usize {
    let within = |first: &Duration| asked.iter().filter(|at| *at >= first && **at < *first + SECOND).count();
    asked.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_its_provider_costs_probes_and_every_run_finishes_at_twice_the_normal_rate_at_most()
{
    let (house, provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "").await;
    let mut runs = Vec::new();
    // Two runs per second: for 30 s before it is away, for the minute, and for two more.
    for nth in 0..420 {
        match nth {
            60 => provider.is_away(Some(Away::Unavailable)),
            180 => provider.is_away(None),
            _ => {}
        }
        runs.push(begin(&runtime, nth).await);
        tokio::time::sleep(SECOND / 2).await;
    }
    let mut calls = 0;
    for run in &runs {
        calls += completes(&runtime, *run).await.model_calls;
    }

    let asked = provider.asked();
    assert_eq!(calls as usize, asked.len(), "each call that was made is booked, and no other");
    let (away, back) = (30 * SECOND, 90 * SECOND);
    let normal = peak(&asked.iter().copied().filter(|at| *at < away).collect::<Vec<_>>());
    let during: Vec<Duration> = asked.iter().copied().filter(|at| *at >= away && *at < back).collect();
    let after: Vec<Duration> = asked.iter().copied().filter(|at| *at >= back).collect();
    let (found_out, probes) = during.split_at(5);
    // Pauses of at least 2.5, 5, 10, 20 and 40 s: each is followed by two calls at the most.
    assert!(probes.len() <= 2 * 5, "{} calls beyond the five that found it out: {during:?}", during.len());
    assert!(found_out[4] < away + 5 * SECOND, "{found_out:?}");
    assert!(peak(&after) <= 2 * normal, "{} in a second, {normal} are normal", peak(&after));
    let last = *asked.last().unwrap() - back;
    println!(
        "{} runs; {} calls while away, of them {} probes; {normal}/s normal, {}/s at most after; the last call {last:?} after it was back",
        runs.len(),
        during.len(),
        probes.len(),
        peak(&after)
    );
    let status = runtime.status().await.unwrap();
    assert_eq!((status.breakers.len(), status.breakers[0].state), (1, BreakerPhase::Closed));
}

#[tokio::test(start_paused = true)]
async fn sixty_four_runs_that_find_nobody_there_wait_and_finish() {
    let (house, mut provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "").await;
    provider.goes().await;
    let mut runs = Vec::new();
    for nth in 0..64 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(MINUTE).await;
    let view = runtime.run_status(&runs[0]).await.unwrap();
    assert!(matches!(view.waits.first().map(|wait| &wait.on), Some(WaitOn::Time { .. })), "{view:?}");
    let breaker = runtime.status().await.unwrap().breakers.remove(0);
    assert_eq!((breaker.name.as_str(), breaker.state), ("openai/model-0", BreakerPhase::Open));
    assert_eq!(breaker.at.as_deref(), Some(provider.url().as_str()));
    assert!(breaker.until > breaker.since, "{breaker:?}");

    provider.comes_back().await;
    for run in &runs {
        completes(&runtime, *run).await;
    }
    assert_eq!(provider.asked().len(), 64, "each is answered by the first call that reaches it");
    assert!(peak(&provider.asked()) <= 4, "a call per second is taken as normal where none was seen");
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_for_a_provider_wait_through_the_death_of_their_process() {
    let (mut house, mut provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "retries = 0").await;
    provider.goes().await;
    let mut runs = Vec::new();
    for nth in 0..8 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(20 * SECOND).await;
    runtime.shutdown(Duration::ZERO).await.unwrap();
    drop(runtime);

    house.guards = House::guards(&house.clock);
    let runtime = house.open(&[&provider], "retries = 0").await;
    provider.comes_back().await;
    let mut failed = 0;
    for run in &runs {
        match ended(&runtime, *run).await.outcome {
            agent_runtime::Outcome::Completed(_) => {}
            // Who is not asked once more fails as long as nobody knows that the provider is away.
            _ => failed += 1,
        }
    }
    assert!(failed <= 4, "{failed} of 8 failed; the fifth failure says that it is away");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_found_out_as_well() {
    let (house, provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "first_byte = 2").await;
    provider.is_away(Some(Away::Silent));
    let mut runs = Vec::new();
    for nth in 0..8 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(MINUTE).await;
    let while_away = provider.asked().len();
    assert!((8..=8 + 2 * 5).contains(&while_away), "{while_away} calls");
    provider.is_away(None);
    for run in runs {
        completes(&runtime, run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_model_answers_as_long_as_the_first_one_is_away_and_the_first_one_again_when_it_is_back() {
    let (house, mut first, second) = (House::new(), Provider::start().await, Provider::start().await);
    let runtime = house.open(&[&first, &second], "").await;
    first.goes().await;
    let mut usage = Usage::default();
    for nth in 0..30 {
        let run = begin(&runtime, nth).await;
        usage = usage.plus(completes(&runtime, run).await);
    }
    assert_eq!(second.asked().len(), 30, "nobody waits where somebody else can answer");
    assert_eq!((usage.input_tokens, usage.output_tokens), (30 * 7, 30 * 3), "what answered is what is paid");
    let tried = u64::from(usage.model_calls) - 30;
    assert!((5..=5 + 2).contains(&tried), "{tried} calls found nobody there");

    let run = begin(&runtime, 30).await;
    completes(&runtime, run).await;
    let steps = steps(&runtime, run).await;
    assert!(
        matches!(steps[0], (ref key, Some(StepFailureKind::Away { held_off: Some(_) }), Usage { model_calls: 0, .. }) if key == "turn-1/model")
    );
    assert!(matches!(steps[1], (ref key, None, Usage { model_calls: 1, .. }) if key == "turn-1/model#2"));

    first.comes_back().await;
    tokio::time::sleep(2 * MINUTE).await;
    for nth in 31..34 {
        let run = begin(&runtime, nth).await;
        completes(&runtime, run).await;
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!((first.asked().len(), second.asked().len()), (3, 31), "the first one is asked first");
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_away_by_the_pace_holds_nothing_and_waits_in_its_log() {
    let (house, mut provider) = (House::new(), Provider::start().await);
    // Calls that fail are made four times more, as by default.
    let runtime = house.open(&[&provider], "").await;
    provider.goes().await;
    let mut runs = vec![begin(&runtime, 0).await];
    tokio::time::sleep(20 * SECOND).await;
    provider.comes_back().await;
    // Two calls try it out.
    completes(&runtime, runs.remove(0)).await;
    let second = begin(&runtime, 1).await;
    completes(&runtime, second).await;
    assert_eq!(runtime.status().await.unwrap().breakers[0].state, BreakerPhase::Closed);

    let limits = ResourceLimits { max_tokens_total: Some(10_000), ..ResourceLimits::default() };
    runtime.set_limits(&helper(), limits).await.unwrap();
    for nth in 2..10 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(SECOND).await;
    let mut waiting = 0;
    for run in &runs {
        let view = runtime.run_status(run).await.unwrap();
        assert!(view.steps.iter().all(|step| step.phase == StepPhase::Settled), "{view:?}");
        waiting += usize::from(view.outcome.is_none());
    }
    assert!(waiting >= 5, "{waiting} of 8 were sent away");
    let mut calls = 0;
    for run in runs {
        calls += completes(&runtime, run).await.model_calls;
    }
    assert_eq!((calls, provider.asked().len()), (8, 2 + 8), "what was not sent is not booked");
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_its_provider_costs_a_run_few_entries_and_none_of_its_steps() {
    let (house, provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "outage = 7200").await;
    let limits = ResourceLimits { max_steps_per_run: Some(28), ..ResourceLimits::default() };
    runtime.set_limits(&helper(), limits).await.unwrap();
    // It takes every question, and says nothing: each call that tries it out lasts for two minutes. Whoever makes these calls makes some
    // twenty of them, which are steps; the others are held off more often than they may have steps.
    provider.is_away(Some(Away::Silent));
    let mut runs = Vec::new();
    for nth in 0..8 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(60 * MINUTE).await;
    provider.is_away(None);
    let mut most = 0;
    for run in runs {
        completes(&runtime, run).await;
        let tries = steps(&runtime, run).await.len();
        let entries = runtime.stream(&run, Seq::FIRST).await.unwrap();
        let entries = entries.filter(|item| std::future::ready(matches!(item, Ok(StreamItem::Entry { .. }))));
        let entries = entries.count().await;
        println!("{tries} tries, {entries} entries");
        most = most.max(tries);
        assert!(entries <= 700, "{entries} entries for {tries} tries");
    }
    assert!((29..=100).contains(&most), "{most} tries");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_off_takes_nothing_of_a_limit() {
    let (house, mut provider) = (House::new(), Provider::start().await);
    let runtime = house.open(&[&provider], "retries = 0").await;
    provider.goes().await;
    for nth in 0..5 {
        let run = begin(&runtime, nth).await;
        // The last one waits: it has found out that nobody is there.
        let _ = runtime.join(&run, SECOND / 10).await.unwrap();
    }
    let until = loop {
        let breaker = runtime.status().await.unwrap().breakers.remove(0);
        if let Some(until) = breaker.until {
            break until;
        }
        tokio::time::sleep(SECOND / 100).await;
    };
    let limits = ResourceLimits { max_tokens_total: Some(120), ..ResourceLimits::default() };
    runtime.set_limits(&helper(), limits).await.unwrap();
    let before = runtime.get_resource_usage("helper".parse::<AgentRef>().unwrap()).await.unwrap();
    let mut runs = Vec::new();
    for nth in 5..8 {
        runs.push(begin(&runtime, nth).await);
    }
    tokio::time::sleep(SECOND).await;
    assert!(house.clock.now() < until, "nobody has tried it out");
    let held = runtime.get_resource_usage("helper".parse::<AgentRef>().unwrap()).await.unwrap();
    assert_eq!(held.tokens_total, before.tokens_total, "nothing is held for those who wait");
    assert_eq!(held.requests_last_minute, before.requests_last_minute, "and nothing counts");
    provider.comes_back().await;
    for run in runs {
        completes(&runtime, run).await;
    }
}
