//! What a runtime says of its agents and of itself, each really broken: runs that hang, fail or are slow, an agent at its limit, one that
//! blocks its thread, a store that is away, a bus that is stopped.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex};

use agent_runtime::health::checks::{
    BlockedThreads, ErrorBounds, ErrorRate, OpenRuns, PhaseBounds, Pressure, PressureBounds, Progress,
    Readiness, RecentRuns, ResponseBounds, ResponseTime,
};
use agent_runtime::health::{HealthCheck, Watched};
use agent_runtime::log::StepSort;
use agent_runtime::prelude::*;
use agent_runtime::runtime::{Joined, RunFilter};
use agent_runtime::{
    Clock, MemoryStore, ResourceLimits, StateStore, StepOptions, SystemClock, Tenant, Usage, runtime,
};
use runtime_testkit::agents::Gates;
use runtime_testkit::fakes::{Fault, FaultyStore, ManualClock};
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

/// An agent that does what its input says.
#[derive(Clone, Debug)]
struct Worker {
    gates: Gates,
    door: Arc<(Mutex<bool>, Condvar)>,
}

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("worker", "worker").expect("names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let asked = Usage { input_tokens: 1, output_tokens: 1, model_calls: 1, ..Usage::default() };
        match input.as_text().unwrap_or_default() {
            "fail" => return Err(AgentError::says("it fails")),
            "ask" => {
                let model =
                    StepOptions::new("model", Effect::Repeatable).calls(StepSort::Model).reserving(asked);
                let says = |call: StepCall| async move {
                    call.used(asked);
                    Ok("said".to_owned())
                };
                let _: String = ctx.step_with(model, &(), says).await?;
            }
            "block" => {
                let (open, opens) = &*self.door;
                let open = open.lock().expect("nobody panics with it");
                self.gates.arrive("door");
                drop(opens.wait_while(open, |open| !*open).expect("nobody panics with it"));
            }
            gate if gate.starts_with("gate") => {
                let (gates, gate) = (self.gates.clone(), gate.to_owned());
                let pass = |_| async move {
                    gates.pass(&gate).await;
                    Ok(gate)
                };
                let _: String = ctx.step("tool", Effect::AtMostOnce, &(), pass).await?;
            }
            _ => {}
        }
        Ok(input)
    }
}

/// A runtime with a clock of its own, and an agent.
#[derive(Clone, Debug)]
struct Place {
    runtime: RuntimeManager,
    agent: AgentId,
    clock: Arc<ManualClock>,
    worker: Worker,
    store: Arc<FaultyStore>,
}

impl Place {
    async fn new() -> Self {
        let inner: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultyStore::new(inner, |_| Fault::Pass));
        let clock = Arc::new(ManualClock::default());
        let builder = RuntimeManager::builder(Arc::clone(&store) as _).clock(Arc::clone(&clock) as _);
        let builder = builder.configure(|config| config.scrub = None);
        let runtime: RuntimeManager = builder.open().await.expect("an empty store").into();
        let worker = Worker { gates: Gates::new(), door: Arc::default() };
        let agent = runtime.register_agent(worker.clone()).await.expect("a good agent");
        runtime.start_agent(agent).await.expect("it is there");
        Self { runtime, agent, clock, worker, store }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }

    fn recent(&self) -> RecentRuns {
        let bus = Arc::clone(self.runtime.deref().bus().expect("it has one"));
        RecentRuns::of(self.runtime.shared(), bus, Tenant::default(), self.clock())
    }

    async fn submit(&self, input: &str) -> RunId {
        self.runtime.as_runtime().submit(&self.agent.into(), input.into()).await.expect("it is taken").run
    }

    async fn join(&self, run: &RunId) {
        let joined = self.runtime.as_runtime().join(run, LONG).await.expect("it is there");
        assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");
    }

    /// Hears what is told from now on: runs end before that is told.
    async fn hear(&self, topics: &str) -> agent_runtime::events::EventStream {
        self.runtime.bus().listen(topics).await.expect("it may be heard")
    }

    async fn work(&self, input: &str) {
        let run = self.submit(input).await;
        self.join(&run).await;
    }

    /// All that is known of agents and runs.
    async fn seen(&self) -> String {
        let all = RunFilter { limit: 1_000, ..RunFilter::default() };
        let runs = self.runtime.as_runtime().runs(all).await.expect("they are read").items;
        let runs: Vec<_> = runs.iter().map(|run| (run.run, run.entries, run.phase)).collect();
        let agent = self.runtime.as_runtime().agent(&self.agent.into()).await.expect("it is there");
        format!("{runs:?} {:?} {} {}", agent.want, agent.revision, agent.usage.tokens_total)
    }
}

/// Things break and mend each in its own way.
#[derive(Clone, Copy, Debug)]
enum How {
    Hang,
    Fail,
    Slow,
    Exhaust,
    StoreAway,
}

#[derive(Debug)]
struct Broken {
    place: Place,
    how: How,
    run: Mutex<Option<RunId>>,
    count: Mutex<usize>,
}

#[async_trait]
impl HealthFixture for How {
    async fn open(&self) -> Opened {
        let place = Place::new().await;
        let (shared, clock) = (place.runtime.shared(), place.clock());
        let check: Arc<dyn HealthCheck> = match self {
            Self::Hang => Arc::new(Progress::of(OpenRuns::of(shared, clock), PhaseBounds::default())),
            Self::Fail => Arc::new(ErrorRate::of(place.recent(), ErrorBounds::default())),
            Self::Slow => Arc::new(ResponseTime::of(place.recent(), ResponseBounds::of(MINUTE))),
            Self::Exhaust => Arc::new(Pressure::of(shared, PressureBounds::default())),
            Self::StoreAway => Arc::new(Readiness::of(shared)),
        };
        if matches!(self, Self::Exhaust) {
            let limits = ResourceLimits { max_requests_per_minute: Some(4), ..ResourceLimits::default() };
            place.runtime.as_runtime().set_limits(&place.agent.into(), limits).await.expect("good limits");
        }
        let of = Watched::Agent(place.agent);
        // What listens hears what comes after.
        check.check(&of).await;
        let thing = Broken { place, how: *self, run: Mutex::default(), count: Mutex::default() };
        Opened { check, of, thing: Box::new(thing) }
    }
}

impl Broken {
    fn take_run(&self) -> RunId {
        self.run.lock().expect("nobody panics with it").take().expect("it is broken")
    }

    fn gate(&self) -> String {
        let mut count = self.count.lock().expect("nobody panics with it");
        *count += 1;
        format!("gate-{count}")
    }
}

#[async_trait]
impl Thing for Broken {
    async fn breaks(&self) {
        let Self { place, .. } = self;
        match self.how {
            How::Hang => {
                let gate = self.gate();
                let run = place.submit(&gate).await;
                place.worker.gates.arrived(&gate).await;
                place.clock.advance(11 * MINUTE);
                *self.run.lock().expect("nobody panics with it") = Some(run);
            }
            How::Fail => {
                let mut failed = place.hear("agents/worker/run.failed").await;
                for _ in 0..6 {
                    place.work("fail").await;
                    failed.next_event().await.expect("it is told");
                }
            }
            How::Slow => {
                let gate = self.gate();
                let run = place.submit(&gate).await;
                place.worker.gates.arrived(&gate).await;
                place.clock.advance(2 * MINUTE);
                let mut completed = place.hear("agents/worker/run.completed").await;
                place.worker.gates.open(&gate);
                place.join(&run).await;
                completed.next_event().await.expect("it is told");
            }
            How::Exhaust => {
                for _ in 0..4 {
                    place.work("ask").await;
                }
            }
            How::StoreAway => {
                place.store.decide_by(|_| Fault::Unavailable);
                let agent = AgentRef::from(place.agent);
                let refused = place.runtime.as_runtime().submit(&agent, "next".into());
                let told = async {
                    loop {
                        let status = place.runtime.as_runtime().status().await.expect("it answers");
                        if matches!(status.readiness, runtime::Readiness::StoreFailed(_)) {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                };
                let both = async {
                    tokio::select! { _ = refused => {}, () = told => {} }
                };
                timeout(LONG, both).await.expect("the store is missed");
            }
        }
    }

    async fn mends(&self) {
        let Self { place, .. } = self;
        match self.how {
            How::Hang => {
                let run = self.take_run();
                let receipt = place.runtime.as_runtime().cancel(&run, "enough", Duration::ZERO).await;
                receipt.expect("it is there");
                place.clock.advance(Duration::from_secs(1));
            }
            How::Fail | How::Slow | How::Exhaust => place.clock.advance(10 * MINUTE),
            How::StoreAway => {
                place.store.decide_by(|_| Fault::Pass);
                place.work("next").await;
            }
        }
    }

    async fn state(&self) -> String {
        self.place.seen().await
    }
}

mod of_progress {
    runtime_testkit::health_conformance!(super::How::Hang);
}

mod of_error_rate {
    runtime_testkit::health_conformance!(super::How::Fail);
}

mod of_response_time {
    runtime_testkit::health_conformance!(super::How::Slow);
}

mod of_pressure {
    runtime_testkit::health_conformance!(super::How::Exhaust);
}

mod of_readiness {
    runtime_testkit::health_conformance!(super::How::StoreAway);
}

/// An agent that blocks a thread, in real time.
struct Blocking;

#[derive(Debug)]
struct Blocked(Place);

impl Blocked {
    async fn until_blocked(&self, is_blocked: bool) {
        let runtime = self.0.runtime.as_runtime();
        let seen = async {
            while runtime.status().await.expect("it answers").process.long_polls.is_empty() == is_blocked {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, seen).await.expect("it is seen");
    }
}

#[async_trait]
impl HealthFixture for Blocking {
    async fn open(&self) -> Opened {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultyStore::new(store, |_| Fault::Pass));
        let builder = RuntimeManager::builder(Arc::clone(&store) as _);
        let builder = builder.configure(|config| config.long_poll = Duration::from_millis(50));
        let runtime: RuntimeManager = builder.open().await.expect("an empty store").into();
        let worker = Worker { gates: Gates::new(), door: Arc::default() };
        let agent = runtime.register_agent(worker.clone()).await.expect("a good agent");
        runtime.start_agent(agent).await.expect("it is there");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let check = BlockedThreads::of(runtime.shared(), clock, BlockedThreads::BOUNDS);
        let place = Place { runtime, agent, clock: Arc::default(), worker, store };
        Opened { check: Arc::new(check), of: Watched::Agent(agent), thing: Box::new(Blocked(place)) }
    }
}

#[async_trait]
impl Thing for Blocked {
    async fn breaks(&self) {
        let Self(place) = self;
        *place.worker.door.0.lock().expect("nobody panics with it") = false;
        place.submit("block").await;
        self.until_blocked(true).await;
    }

    async fn mends(&self) {
        let (open, opens) = &*self.0.worker.door;
        *open.lock().expect("nobody panics with it") = true;
        opens.notify_all();
        self.until_blocked(false).await;
    }

    async fn state(&self) -> String {
        self.0.seen().await
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let (open, opens) = &*self.0.worker.door;
        *open.lock().expect("nobody panics with it") = true;
        opens.notify_all();
    }
}

mod of_blocked_threads {
    runtime_testkit::health_conformance!(super::Blocking);
}

#[cfg(feature = "redis")]
mod of_a_bus_over_a_stopped_redis {
    use agent_runtime::fleet::Fleet;
    use agent_runtime::health::checks::BusLag;
    use agent_runtime::store::Durability;
    use runtime_testkit::peers::RedisServer;

    use super::*;

    struct Away;

    #[derive(Debug)]
    struct Stopped(Place, RedisServer);

    #[async_trait]
    impl HealthFixture for Away {
        async fn open(&self) -> Opened {
            let server = RedisServer::start();
            let text = format!(
                "store = \"memory:\"\n[events]\nbus = \"{}\"\n[[events.topics]]\nof = \"agents/**\"\nkeep = \"forever\"\n",
                server.uri(0)
            );
            let fleet = Fleet::parse(&text).expect("a good file");
            let memory: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
            let store = Arc::new(FaultyStore::new(memory, |_| Fault::Pass));
            let bus = fleet.bus.open(Arc::clone(&store) as _, Durability::Memory).await.expect("it is there");
            let clock = Arc::new(ManualClock::default());
            let builder = RuntimeManager::builder(Arc::clone(&store) as _).bus(bus);
            let runtime: RuntimeManager =
                builder.clock(Arc::clone(&clock) as _).open().await.expect("an empty store").into();
            let worker = Worker { gates: Gates::new(), door: Arc::default() };
            let agent = runtime.register_agent(worker.clone()).await.expect("a good agent");
            runtime.start_agent(agent).await.expect("it is there");
            let check = BusLag::of(runtime.shared(), Arc::clone(&clock) as _, BusLag::BOUNDS);
            let place = Place { runtime, agent, clock, worker, store };
            Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(Stopped(place, server)) }
        }
    }

    impl Stopped {
        async fn until_waiting(&self, waits: bool) {
            let runtime = self.0.runtime.as_runtime();
            let seen = async {
                loop {
                    let telling = runtime.status().await.expect("it answers").telling.expect("it has a bus");
                    if telling.since.is_some() == waits && (telling.waiting > 0) == waits {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(3 * LONG, seen).await.expect("it is seen");
        }
    }

    #[async_trait]
    impl Thing for Stopped {
        async fn breaks(&self) {
            self.until_waiting(false).await;
            self.1.kill();
            self.0.work("next").await;
            self.until_waiting(true).await;
            self.0.clock.advance(2 * MINUTE);
        }

        async fn mends(&self) {
            self.1.revive();
            self.until_waiting(false).await;
        }

        async fn state(&self) -> String {
            self.0.seen().await
        }
    }

    runtime_testkit::health_conformance!(Away);
}
