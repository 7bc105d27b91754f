//! A content that anything still names is never taken away, whatever happens in which order; one that nothing names goes.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agent_runtime::clock::Clock;
use agent_runtime::runtime::{AgentRef, ForkRequest, RunFilter, RunRequest, Runtime, SnapshotFilter};
use agent_runtime::store::StateStore;
use agent_runtime::{AgentSpec, Builder, MemoryStore, RunId, RuntimeManager, SessionName, StateId};
use futures_util::StreamExt;
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::{Chance, Fault, FaultyStore, ManualClock};
use runtime_testkit::recount::{cells, counted, missing, recount};

const HOUR: Duration = Duration::from_secs(3_600);
const LONG: Duration = Duration::from_secs(600);
const NAMES: [&str; 3] = ["echo", "remember", "call"];

/// A store, its time, and a runtime over it that may be dying.
struct House {
    store: Arc<dyn StateStore>,
    clock: Arc<ManualClock>,
    /// How many more commits the process makes.
    left: Arc<AtomicI64>,
    runtime: RuntimeManager,
}

async fn open(
    store: &Arc<dyn StateStore>,
    clock: &Arc<ManualClock>,
    left: &Arc<AtomicI64>,
) -> RuntimeManager {
    let counting = Arc::clone(left);
    // What is refused for good is not tried again, so that nothing has to wait for a process that is dying.
    let dying: Arc<dyn StateStore> = Arc::new(FaultyStore::new(Arc::clone(store), move |_| {
        if counting.fetch_sub(1, Ordering::SeqCst) <= 0 { Fault::TooLarge } else { Fault::Pass }
    }));
    let builder = RuntimeManager::builder(dying).clock(Arc::clone(clock) as _);
    let builder = builder.configure(|config| {
        config.keep_runs = Some(30 * 24 * HOUR);
        config.max_ended = None;
    });
    let builder = kinds(&Gates::new()).into_iter().fold(builder, Builder::kind);
    builder.open().await.unwrap().into()
}

/// A text that is kept beside the log: one of six, one of them in more than one batch.
fn content(nth: u64) -> String {
    let length = if nth == 5 { 900_000 } else { 9_000 + 100 * nth as usize };
    format!("{nth}").repeat(length)
}

impl House {
    async fn new() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()) as Arc<dyn StateStore>, Arc::default());
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let runtime = open(&store, &clock, &left).await;
        Self { store, clock, left, runtime }
    }

    async fn agent(&self, kind: &str) {
        if let Ok(agent) = self.runtime.register_spec(AgentSpec::new(kind, kind).unwrap()).await {
            let _ = self.runtime.start_agent(agent).await;
        }
    }

    /// Another process takes the store over, and begins with what is due.
    async fn reopen(&mut self) {
        // The one before is dead, and claims nothing any more.
        self.left.store(0, Ordering::SeqCst);
        self.left = Arc::new(AtomicI64::new(i64::MAX));
        self.runtime = open(&self.store, &self.clock, &self.left).await;
    }

    async fn due(&self) -> usize {
        let mut due = 0;
        for partition in self.store.partitions().await.unwrap() {
            for (key, _) in cells(self.store.as_ref(), partition).await {
                let path = key.path.to_string();
                let fell = runtime_codec_due(&path).is_some_and(|at| at <= self.clock.now().0);
                due += usize::from(fell && (path.contains("/contents/") || path.contains("/sweep/")));
            }
        }
        due
    }

    /// Does all that is due: whoever is at it is waited for.
    async fn settle(&mut self) {
        self.runtime.shutdown(LONG).await.unwrap();
        self.reopen().await;
        let done = async {
            while self.due().await > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(LONG, done).await.expect("what is due is done");
    }

    async fn contents(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for partition in self.store.partitions().await.unwrap() {
            for (key, _) in cells(self.store.as_ref(), partition).await {
                let path = key.path.to_string();
                if let Some((_, hash)) = path.split_once("/blob/") {
                    found.insert(format!("{partition} {}", &hash[..64]));
                }
            }
        }
        found
    }
}

/// The moment of a cell of what is due.
fn runtime_codec_due(path: &str) -> Option<u64> {
    path.trim_matches('`').split("due/").nth(1)?.split('/').next()?.parse().ok()
}

/// What goes on in one history.
struct History {
    house: House,
    chance: Chance,
    runs: Vec<RunId>,
    saved: Vec<StateId>,
}

impl History {
    async fn step(&mut self) {
        let (agent, nth) = (*self.chance.pick(&NAMES).unwrap(), self.chance.below(6));
        let agent: AgentRef = agent.parse().unwrap();
        match self.chance.below(15) {
            0..=4 => {
                let text = content(nth);
                let input = if agent.to_string() == "call" { format!("echo {text}") } else { text };
                let session = SessionName::new(format!("s{}", self.chance.below(2))).unwrap();
                if let Ok(run) =
                    self.house.runtime.submit(&agent, RunRequest::new(input).in_session(session)).await
                {
                    self.runs.push(run.run);
                    if self.chance.once_in(2) {
                        let _ = self.house.runtime.join(&run.run, Duration::from_millis(200)).await;
                    }
                }
            }
            5 => {
                if let Ok(state) = self.house.runtime.save_state(agent.clone()).await {
                    self.saved.push(state);
                }
            }
            6 if !self.saved.is_empty() => {
                let at = self.chance.below(self.saved.len() as u64) as usize;
                if self.house.runtime.delete_snapshot(&self.saved[at]).await.is_ok() {
                    self.saved.swap_remove(at);
                }
            }
            7 => {
                if let Some(state) = self.chance.pick(&self.saved) {
                    let _ = self.house.runtime.restore_agent(state).await;
                }
            }
            8 => {
                if let Some(state) = self.chance.pick(&self.saved) {
                    let _ = self.house.runtime.stop(&agent).await;
                    let _ = self.house.runtime.restore_in_place(state, &agent).await;
                    let _ = self.house.runtime.start(&agent).await;
                }
            }
            9 => {
                if let Some(run) = self.chance.pick(&self.runs) {
                    let _ = self.house.runtime.fork(run, ForkRequest::default()).await;
                }
            }
            10 => {
                let _ = self.house.runtime.stop(&agent).await;
                let _ = self.house.runtime.unregister(&agent).await;
                self.house.agent(&agent.to_string()).await;
            }
            11 | 12 => self.house.clock.advance(HOUR * (1 + self.chance.below(20) as u32)),
            13 => {
                let days = if self.chance.once_in(4) { 31 } else { 2 };
                self.house.clock.advance(days * 24 * HOUR);
                self.house.reopen().await;
            }
            _ => {
                self.house.left.store(self.chance.below(12) as i64, Ordering::SeqCst);
                for _ in 0..3 {
                    Box::pin(self.step_of_the_dying()).await;
                }
                self.house.reopen().await;
                for name in NAMES {
                    self.house.agent(name).await;
                }
            }
        }
    }

    async fn step_of_the_dying(&mut self) {
        let text = content(self.chance.below(6));
        let agent: AgentRef = self.chance.pick(&NAMES).unwrap().parse().unwrap();
        let _ = self.house.runtime.submit(&agent, RunRequest::new(text)).await;
        if let Some(state) = self.chance.pick(&self.saved) {
            let _ = self.house.runtime.restore_agent(state).await;
        }
        let _ = self.house.runtime.save_state(agent.clone()).await;
    }

    async fn whole(&self, when: &str) {
        assert_eq!(missing(self.house.store.as_ref()).await, [""; 0], "{when}");
        // Also what was made in processes that died: all snapshots that there are.
        let all = self.house.runtime.snapshots(SnapshotFilter { limit: 1_000, ..SnapshotFilter::default() });
        for info in all.await.unwrap().items {
            let file = self.house.runtime.export_snapshot(&info.state).await.unwrap();
            let broken: Vec<_> = file.filter_map(async |piece| piece.err()).collect().await;
            assert!(broken.is_empty(), "{when}: {} {broken:?}", info.state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_anything_names_is_never_taken_away_and_what_nothing_names_goes() {
    let seeds = std::env::var("CONTENT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(8);
    let mut gone = 0;
    for seed in 0..seeds {
        let mut history = History {
            house: House::new().await,
            chance: Chance::new(seed),
            runs: Vec::new(),
            saved: Vec::new(),
        };
        for name in NAMES {
            history.house.agent(name).await;
        }
        for nth in 0..60 {
            let before = history.house.contents().await;
            history.step().await;
            gone += before.difference(&history.house.contents().await).count();
            history.whole(&format!("seed {seed}, step {nth}")).await;
        }
        history.house.settle().await;
        history.whole(&format!("seed {seed}, at the end")).await;
        let store = history.house.store.as_ref();
        assert_eq!(counted(store).await, recount(store).await, "seed {seed}");
        // Nothing names anything any more.
        let House { runtime, .. } = &history.house;
        for run in
            runtime.runs(RunFilter { open: true, limit: 1_000, ..RunFilter::default() }).await.unwrap().items
        {
            let _ = runtime.cancel(&run.run, "the end", Duration::ZERO).await;
        }
        for info in runtime
            .snapshots(SnapshotFilter { limit: 1_000, ..SnapshotFilter::default() })
            .await
            .unwrap()
            .items
        {
            runtime.delete_snapshot(&info.state).await.unwrap();
        }
        for agent in runtime.agents(None, 1_000).await.unwrap().items {
            let agent = AgentRef::from(agent.id);
            runtime.stop(&agent).await.unwrap();
            runtime.unregister(&agent).await.unwrap();
        }
        history.house.clock.advance(49 * HOUR);
        history.house.settle().await;
        history.house.clock.advance(49 * HOUR);
        history.house.settle().await;
        assert_eq!(history.house.contents().await, BTreeSet::new(), "seed {seed}");
    }
    assert!(gone > 0, "something was taken away on the way");
}
