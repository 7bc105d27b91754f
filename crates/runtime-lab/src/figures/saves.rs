//! Saving an agent after ten thousand messages, against saving one after ten: what is written is what is new.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use runtime_core::SystemEntropy;
use runtime_state::{RedbStore, StateManager, Unfenced};
use runtime_testkit::suites::snapshots::Bench;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::partition::Partition;
use runtime_traits::snapshot::{PartitionOwner, Save, Snapshots};
use runtime_traits::store::{Committed, StateError, StateStore, Then, When};

use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::plan::Plan;
use super::spread::Spread;
use super::watch::Stopwatch;

/// Messages that are new at each save.
const NEW: u64 = 20;
/// Messages of the short conversation.
const FEW: u64 = 10;

/// Writes, and counts the bytes.
#[derive(Debug)]
struct Counting {
    owner: Unfenced,
    bytes: AtomicU64,
}

#[async_trait]
impl PartitionOwner for Counting {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        let bytes = then.iter().map(Then::size).sum::<usize>() as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.owner.commit(partition, when, then).await
    }
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let store: Arc<dyn StateStore> = Arc::new(RedbStore::open(folder.path().join("saves.redb"))?);
    let manager = Arc::new(StateManager::new(Arc::clone(&store)));
    let bench = Bench::over(Arc::clone(&store), manager.clone());
    let owner = Counting {
        owner: Unfenced::new(store, Arc::new(SystemEntropy::default())),
        bytes: AtomicU64::new(0),
    };
    let long = spoken(&bench, "long", plan.sized(10_000).max(FEW)).await;
    save(&bench, &manager, &owner, &long).await?;
    let (mut times, mut sizes) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..plan.rounds {
        let short = spoken(&bench, &format!("short-{round}"), FEW).await;
        save(&bench, &manager, &owner, &short).await?;
        for (nth, agent) in [&long, &short].into_iter().enumerate() {
            say(&bench, agent, NEW).await;
            let (time, bytes) = save(&bench, &manager, &owner, agent).await?;
            times[nth].push(time);
            sizes[nth].push(bytes);
        }
    }
    let figure = |name, unit, [long, short]: [Vec<f64>; 2]| Figure {
        name,
        value: Spread::of(long),
        unit,
        baseline: Some(Spread::of(short)),
        against: "the same after 10 messages; 20 are new, on redb at `disk`",
        bar: Bar::RatioAtMost(2.0),
        n: plan.rounds,
    };
    Ok(vec![figure("save-time", "ms", times), figure("save-bytes", "bytes", sizes)])
}

async fn spoken(bench: &Bench, name: &str, messages: u64) -> AgentId {
    let agent = bench.agent(name, 7).await;
    say(bench, &agent, messages).await;
    agent
}

async fn say(bench: &Bench, agent: &AgentId, messages: u64) {
    let text =
        "A message of a hundred bytes or so, as people and models write them to each other all day long.";
    bench.say(agent, "default", &vec![text; messages as usize]).await;
}

/// How many milliseconds it took, and how many bytes it wrote.
async fn save(
    bench: &Bench,
    manager: &StateManager,
    owner: &Counting,
    agent: &AgentId,
) -> Result<(f64, f64), FiguresError> {
    let save = Save { agent: *agent, kind_version: 1, state: bench.state_of(agent), at: UnixMillis(1) };
    let before = owner.bytes.load(Ordering::Relaxed);
    let watch = Stopwatch::start();
    manager.save(&bench.tenant, save, owner).await?;
    let time = watch.elapsed().as_secs_f64() * 1_000.0;
    Ok((time, (owner.bytes.load(Ordering::Relaxed) - before) as f64))
}
