//! A model that its breaker holds off.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use agent_runtime::error::Cause;
use agent_runtime::guards::{Backoff, BreakerRule, GuardRule, GuardedModel, Guards};
use agent_runtime::health::checks::ModelBreakers;
use agent_runtime::health::{Verdict, Watched};
use agent_runtime::model::{Deltas, ModelError, ModelReply, ModelRequest, NoDeltas};
use agent_runtime::prelude::*;
use agent_runtime::runtime::{BreakerPhase, Breakers as _};
use agent_runtime::{MemoryStore, Model};
use runtime_testkit::fakes::{ManualClock, SeededEntropy};
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};

const SECOND: Duration = Duration::from_secs(1);

/// A model that is there, or away.
#[derive(Debug, Default)]
struct Passing(AtomicBool);

#[async_trait]
impl Model for Passing {
    fn name(&self) -> &str {
        "local/model"
    }

    async fn reply(&self, _: &ModelRequest, _: &dyn Deltas) -> Result<ModelReply, ModelError> {
        if self.0.load(SeqCst) {
            let (model, cause) = (self.name().to_owned(), Cause::says("connection refused"));
            return Err(ModelError::Unreachable { model, cause });
        }
        Ok(ModelReply::default())
    }
}

/// It is held off after two failures, for 30 to 60 s.
#[derive(Debug)]
struct HeldOff {
    runtime: RuntimeManager,
    guards: Guards,
    clock: Arc<ManualClock>,
    below: Arc<Passing>,
    model: GuardedModel<Arc<Passing>>,
}

impl HeldOff {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let breaker = BreakerRule {
            in_a_row: NonZeroU32::new(2),
            probes: NonZeroU32::MIN,
            pause: Backoff { base: 60 * SECOND, max: 60 * SECOND },
            ..BreakerRule::default()
        };
        let rule = GuardRule { breaker, ..GuardRule::default() };
        let guards = Guards::new(rule, Arc::clone(&clock) as _, Arc::new(SeededEntropy::new(1)));
        let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).guards(guards.clone());
        let runtime = builder.clock(Arc::clone(&clock) as _).open().await.expect("an empty store").into();
        let below = Arc::new(Passing::default());
        let model = guards.model(Arc::clone(&below));
        Self { runtime, guards, clock, below, model }
    }

    async fn ask(&self) {
        let _ = self.model.reply(&ModelRequest::default(), &NoDeltas).await;
    }
}

struct Breaker;

#[async_trait]
impl HealthFixture for Breaker {
    async fn open(&self) -> Opened {
        let thing = HeldOff::new().await;
        let clock = Arc::clone(&thing.clock) as _;
        let check = ModelBreakers::of(thing.runtime.shared(), clock, ModelBreakers::BOUND);
        Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(thing) }
    }
}

#[async_trait]
impl Thing for HeldOff {
    async fn breaks(&self) {
        self.below.0.store(true, SeqCst);
        // Some are not made: after an outage calls come back at a pace.
        while self.guards.standing()[0].state != BreakerPhase::Open {
            self.clock.advance(SECOND);
            self.ask().await;
        }
        self.clock.advance(29 * SECOND);
    }

    async fn mends(&self) {
        self.below.0.store(false, SeqCst);
        self.clock.advance(31 * SECOND);
        self.ask().await;
    }

    async fn state(&self) -> String {
        format!("{:?}", self.guards.standing())
    }
}

mod of_model_breakers {
    runtime_testkit::health_conformance!(super::Breaker);
}

#[tokio::test]
async fn a_runtime_whose_model_is_held_off_is_not_called_healthy() {
    let thing = HeldOff::new().await;
    let monitor = thing.runtime.health_monitor();
    let seen = async || monitor.check_now(&Watched::Runtime, "models").await.expect("it is wired").health;
    thing.ask().await;
    assert_eq!(seen().await.verdict, Verdict::Healthy);

    thing.breaks().await;
    assert_eq!(seen().await.verdict, Verdict::Degraded);
    thing.clock.advance(59 * SECOND);
    thing.ask().await;

    let found = seen().await;
    assert_eq!(found.verdict, Verdict::Unhealthy, "it was tried in vain: {found}");
    assert!(found.reason.starts_with("`local/model` failed too often"), "{found}");
    thing.clock.advance(30 * SECOND);
    thing.mends().await;
    assert_eq!(seen().await.verdict, Verdict::Healthy);
}
