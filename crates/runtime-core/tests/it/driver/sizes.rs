//! What is counted of agents and sessions is what there is.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{Chance, ManualClock, MapSnapshots, MapStore};
use runtime_testkit::recount::{counted, recount};
use runtime_traits::agent::StorageLimits;
use runtime_traits::runtime::{AgentRef, ForkRequest, RunFilter, RunRequest, Runtime, RuntimeError};
use runtime_traits::{AgentId, AgentSpec, RunId, SessionName, StateId};

use super::house::{House, output, submit};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn session(nth: u64) -> SessionName {
    SessionName::new(format!("s{nth}")).unwrap()
}

/// What goes on in one history.
struct History {
    house: House,
    snapshots: Arc<MapSnapshots>,
    runtime: RuntimeManager,
    agents: Vec<AgentId>,
    runs: Vec<RunId>,
    saved: Vec<StateId>,
    chance: Chance,
}

impl History {
    async fn begin(seed: u64) -> Self {
        let house = House::over(Arc::new(MapStore::new()));
        let snapshots = Arc::new(MapSnapshots::new(Arc::clone(&house.store)));
        let runtime = Self::open(&house, &snapshots).await;
        let mut agents = Vec::new();
        for name in ["a", "b"] {
            let agent = runtime.register_spec(AgentSpec::new("scripted", name).unwrap()).await.unwrap();
            runtime.start_agent(agent).await.unwrap();
            agents.push(agent);
        }
        let chance = Chance::new(seed);
        Self { house, snapshots, runtime, agents, runs: Vec::new(), saved: Vec::new(), chance }
    }

    async fn open(house: &House, snapshots: &Arc<MapSnapshots>) -> RuntimeManager {
        house.builder().snapshots(Arc::clone(snapshots) as _).open().await.unwrap()
    }

    fn agent(&mut self) -> AgentRef {
        AgentRef::Id(*self.chance.pick(&self.agents).unwrap())
    }

    async fn run(&mut self) {
        let scripts = [
            "a word or two",
            "pure:x state:one pure:y",
            "state:two fail:on-purpose",
            "keep:9000 state:three",
            "big:20000",
            "sleep:30 later",
            "call:b/state:in,a,call",
            "go-on:state/on",
            "panic:here",
            "forever",
        ];
        let (agent, nth) = (self.agent(), self.chance.below(3));
        let script = *self.chance.pick(&scripts).unwrap();
        let request = RunRequest::new(script).in_session(session(nth));
        // An agent that was just stopped refuses it.
        if let Ok(submitted) = self.runtime.submit(&agent, request).await {
            self.runs.push(submitted.run);
        }
    }

    async fn step(&mut self) {
        match self.chance.below(12) {
            0..=5 => self.run().await,
            6 => {
                if let Some(run) = self.chance.pick(&self.runs) {
                    let _ = self.runtime.cancel(run, "by chance", Duration::ZERO).await;
                }
            }
            7 => {
                if let Some(run) = self.chance.pick(&self.runs) {
                    let input = self.chance.once_in(2).then(|| "a copy".into());
                    // Some cannot be copied.
                    let _ = self.runtime.fork(run, ForkRequest { input, ..ForkRequest::default() }).await;
                }
            }
            8 => {
                let agent = self.agent();
                self.saved.push(Runtime::save_state(&self.runtime, &agent).await.unwrap());
            }
            9 => {
                if let Some(state) = self.chance.pick(&self.saved)
                    && let Ok(agent) = self.runtime.restore_agent(state).await
                {
                    self.agents.push(agent);
                }
            }
            10 => self.put_back().await,
            _ => {
                // The runtime of before is as good as dead: it no longer owns anything.
                self.runtime = Self::open(&self.house, &self.snapshots).await;
            }
        }
    }

    async fn put_back(&mut self) {
        let (agent, saved) = (self.agent(), self.chance.pick(&self.saved).copied());
        let Some(state) = saved else { return };
        self.runtime.stop(&agent).await.unwrap();
        for run in self.runtime.runs(RunFilter { open: true, ..RunFilter::default() }).await.unwrap().items {
            let _ = self.runtime.cancel(&run.run, "to put it back", Duration::ZERO).await;
        }
        let _ = self.runtime.restore_in_place(&state, &agent).await;
        self.runtime.start(&agent).await.unwrap();
    }

    async fn compare(self, seed: u64) {
        self.runtime.shutdown(Duration::ZERO).await.unwrap();
        let store = self.house.store.as_ref();
        assert_eq!(counted(store).await, recount(store).await, "the seed is {seed}");
    }
}

#[tokio::test]
async fn what_is_counted_is_what_there_is_whatever_happened() {
    let seeds = std::env::var("SIZE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let mut history = History::begin(seed).await;
        for _ in 0..30 {
            history.step().await;
            tokio::task::yield_now().await;
        }
        history.compare(seed).await;
    }
}

#[tokio::test]
async fn what_is_let_go_is_no_longer_counted() {
    let house = House::new();
    let runtime = house.builder().configure(|config| {
        config.max_ended = Some(3);
        config.keep_messages = 5;
    });
    let runtime = runtime.open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let mut most = 0;
    for _ in 0..1_100 {
        let run = submit(&runtime, agent, "x").await;
        output(&runtime, run).await;
        most = most.max(Runtime::agent(&runtime, &AgentRef::Id(agent)).await.unwrap().stored.bytes);
    }
    runtime.shutdown(Duration::from_secs(5)).await.unwrap();

    assert_eq!(counted(house.store.as_ref()).await, recount(house.store.as_ref()).await);
    let left: i64 = recount(house.store.as_ref()).await.values().sum();
    assert!((left as u64) < most / 2, "{left} of {most} are left");
}

#[tokio::test]
async fn status_tells_bytes_and_growth_of_agents_and_sessions() {
    let clock = Arc::new(ManualClock::default());
    clock.advance_to(runtime_traits::UnixMillis(30_000 * DAY.as_millis() as u64));
    let house = House::new();
    let runtime = house.builder().clock(Arc::clone(&clock) as _).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let (a, stored) =
        (AgentRef::Id(agent), async |of: &AgentRef| Runtime::agent(&runtime, of).await.unwrap().stored);
    let run = async |name: &str, script: &str| {
        let request = RunRequest::new(script).in_session(SessionName::new(name).unwrap());
        runtime.run(&a, request).await.unwrap();
    };
    assert_eq!((stored(&a).await.bytes, stored(&a).await.grown), (0, 0));

    run("one", "state:x").await;
    let first = stored(&a).await;
    assert!(first.bytes > 100 && first.grown == first.bytes as i64, "{first:?}");
    clock.advance(DAY);
    run("one", "more").await;
    run("two", "other").await;
    let both = stored(&a).await;
    assert_eq!(both.grown, both.bytes as i64, "yesterday counts");
    clock.advance(DAY);
    let grown = stored(&a).await.grown;
    assert_eq!(grown, both.bytes as i64 - first.bytes as i64, "the day before does not");
    clock.advance(DAY);
    assert_eq!(stored(&a).await.grown, 0);

    let page = runtime.sessions(&a, None, 1).await.unwrap();
    let more = runtime.sessions(&a, page.next.as_deref(), 1).await.unwrap();
    let names: Vec<String> = page.items.iter().chain(&more.items).map(|s| s.session.to_string()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(more.next, None);
    let sum: u64 = page.items.iter().chain(&more.items).map(|s| s.stored.bytes).sum();
    assert_eq!(sum, both.bytes);
}

fn limited(storage: StorageLimits) -> AgentSpec {
    AgentSpec::new("scripted", "a").unwrap().storing(storage)
}

#[tokio::test]
async fn from_a_hard_limit_on_new_input_is_refused_and_open_runs_go_on_to_their_outcomes() {
    let house = House::new();
    let runtime = house.open().await;
    let limits = StorageLimits { hard: Some(30_000), session_hard: Some(20_000), ..StorageLimits::default() };
    let agent = runtime.register_spec(limited(limits)).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let a = AgentRef::Id(agent);
    let in_session = |nth, script: &str| RunRequest::new(script).in_session(session(nth));
    let held = runtime.submit(&a, in_session(1, "held:gate call:b/x keep:9000")).await.unwrap().run;
    house.world.began("gate").await;
    for _ in 0..2 {
        runtime.run(&a, in_session(2, "keep:8000")).await.unwrap();
    }

    let refused = runtime.submit(&a, in_session(2, "more")).await.unwrap_err();
    let RuntimeError::StorageFull { what, bytes, limit, .. } = &refused else { panic!("{refused}") };
    assert_eq!((what.as_str(), *limit), (format!("session `s2` of agent `{agent}`").as_str(), 20_000));
    assert!(*bytes >= 20_000 && refused.to_string().contains("go on in another session"), "{refused}");
    runtime.run(&a, in_session(3, "keep:8000")).await.unwrap();
    let refused = runtime.submit(&a, in_session(4, "more")).await.unwrap_err();
    assert!(matches!(&refused, RuntimeError::StorageFull { limit: 30_000, .. }), "{refused}");
    let copied = runtime.fork(&held, ForkRequest::default()).await.unwrap_err();
    assert!(matches!(copied, RuntimeError::StorageFull { .. }), "a copy is new input: {copied}");
    assert!(Runtime::agent(&runtime, &a).await.unwrap().stored.is_full());

    house.world.open("gate");
    output(&runtime, held).await;
    runtime.register_spec(limited(StorageLimits { hard: Some(1 << 20), ..limits })).await.unwrap();
    runtime.run(&a, in_session(4, "more")).await.unwrap();
}

#[tokio::test]
async fn limits_the_wrong_way_round_are_refused() {
    let limits = StorageLimits { soft: Some(2), hard: Some(1), ..StorageLimits::default() };
    let runtime = House::new().open().await;

    let refused = runtime.register_spec(limited(limits)).await.unwrap_err();

    assert!(refused.to_string().contains("`storage.soft` is above `storage.hard`"), "{refused}");
}

#[tokio::test]
async fn a_soft_limit_is_told_by_status_and_refuses_nothing() {
    let runtime = House::new().open().await;
    let limits = StorageLimits { soft: Some(1_000), session_soft: Some(1_000), ..StorageLimits::default() };
    let agent = runtime.register_spec(limited(limits)).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    let a = AgentRef::Id(agent);
    assert!(!Runtime::agent(&runtime, &a).await.unwrap().stored.is_much());
    for _ in 0..3 {
        runtime.run(&a, RunRequest::new("keep:5000")).await.unwrap();
    }

    let stored = Runtime::agent(&runtime, &a).await.unwrap().stored;
    let sessions = runtime.sessions(&a, None, 0).await.unwrap().items;

    assert!(stored.is_much() && !stored.is_full(), "{stored:?}");
    assert!(sessions[0].stored.is_much());
}
