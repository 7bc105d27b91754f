//! Runs that survive a loss of power while the store is looked over for damage, against the same runs while nobody looks.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use runtime_core::ScrubRate;
use runtime_core::engine::scrub::Unpaid;
use runtime_state::{RedbStore, Scrubber};
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount};
use runtime_traits::store::StateStore;

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::house;
use super::load::per_second;
use super::plan::Plan;

/// Callers, and as many agents.
const AGENTS: u64 = 64;

/// As fast as a runtime looks unless it is told otherwise.
#[derive(Default)]
struct Usual(Mutex<Unpaid>);

#[async_trait]
impl Pace for Usual {
    async fn read(&self, values: u64) {
        let pause = self.0.lock().unwrap_or_else(PoisonError::into_inner).read(values, &ScrubRate::default());
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Remembers damage: there must be none.
#[derive(Default)]
struct Found(Mutex<Option<Finding>>);

impl Heard for Found {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(finding);
    }

    fn read(&self, _: ScrubCount) {}
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let store: Arc<dyn StateStore> = Arc::new(RedbStore::open(folder.path().join("scrubbed.redb"))?);
    let (runtime, agents) = house::with_agents(Arc::clone(&store), AGENTS).await?;
    let runs = async || per_second(house::callers(&runtime, &agents), plan.turn).await;
    let scrubber = Scrubber::new(store);
    let (pace, found): (Arc<dyn Pace>, _) = (Arc::new(Usual::default()), Arc::new(Found::default()));
    // One pass after the other, for as long as the turn lasts: a runtime makes one a day.
    let passes = async || loop {
        scrubber.pass(Arc::clone(&pace), Arc::clone(&found) as Arc<dyn Heard>).await?;
    };
    let scrubbed = async || {
        tokio::select! {
            done = runs() => done,
            stopped = passes() => stopped,
        }
    };
    let (value, baseline) = take_turns(plan.rounds, scrubbed, runs).await?;
    if let Some(finding) = found.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(FiguresError::Unexpected(format!("damage at {}: {}", finding.place, finding.what)));
    }
    Ok(vec![Figure {
        name: "scrubbed-run",
        value,
        unit: "runs/s",
        baseline: Some(baseline),
        against: "the same while nobody looks for damage; a pass is always under way, at 20 pages a second",
        bar: Bar::RatioAtLeast(0.95),
        n: plan.rounds,
    }])
}
