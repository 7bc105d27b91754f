//! An attempt, polled by hand: what the driver does, without an executor.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use runtime_core::engine::machine::{Over, RunMachine, blobs_of};
use runtime_traits::agent::{
    Ask, Blocking, Facts, FenceMark, Given, RunPort, SetStateError, Slot, SpawnedTask,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest};
use runtime_traits::log::{Entry, FailureKind, RunFailure, StepFailure, StepKey, Usage};
use runtime_traits::model::Spoken;
use runtime_traits::tool::Reconciled;
use runtime_traits::{AgentId, Ctx, Name, Partition, Pool, RunId, StepError, Tenant};
use uuid::Uuid;

use super::perform::{Change, Performance};
use super::program::Node;
use super::scene::{Scene, Shared, lock};

/// What the agent saw: a replay has to show it the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Result(StepKey, Result<Digest, String>),
    Refused(StepKey),
    Timer(StepKey),
    Cancelled,
    Now(u64),
    Drawn(u64),
    State(Option<Digest>),
}

/// The agent's future.
type Work = Pin<Box<dyn Future<Output = Result<Content, RunFailure>> + Send>>;

/// An attempt under way.
pub(crate) struct Attempt {
    pub(crate) machine: Shared<RunMachine>,
    pub(crate) port: Arc<Port>,
    scene: Shared<Scene>,
    agent: Option<Work>,
    woken: Arc<Flag>,
    pub(crate) turns: u64,
    pub(crate) polls: u64,
}

/// How an attempt is set up.
pub(crate) struct Setting {
    pub(crate) program: Arc<Node>,
    pub(crate) state: Option<Content>,
    /// In which order branches that race are polled.
    pub(crate) order: u64,
    pub(crate) change: Option<Change>,
}

/// The machine as the agent sees it; it keeps what it shows.
pub(crate) struct Port {
    facts: Facts,
    machine: Shared<RunMachine>,
    keys: Mutex<HashMap<Slot, StepKey>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Results since the machine's last turn.
    handed: Mutex<u32>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The run of these tests.
pub(crate) fn run() -> RunId {
    RunId::from_parts(partition(), Uuid::from_u128(1))
}

/// The agent of these tests.
pub(crate) fn agent() -> AgentId {
    AgentId::from_parts(partition(), Uuid::from_u128(2))
}

fn partition() -> Partition {
    Partition { pool: Pool::MAIN, index: 3 }
}

impl Attempt {
    /// Begins an attempt over the scene's log, which ends with its `Started`.
    pub(crate) fn begin(scene: &Shared<Scene>, setting: Setting) -> Self {
        let (log, blobs, now, paused) = {
            let scene = lock(scene);
            (scene.log.clone(), scene.blobs.clone(), scene.now, scene.paused)
        };
        let wanted = blobs_of(&log);
        let contents = blobs.into_iter().filter(|(hash, _)| wanted.contains(hash));
        let last = log.last().expect("a log begins with `Accepted`");
        let fence = FenceMark { partition: partition(), epoch: last.epoch, attempt: last.attempt };
        let facts = Facts {
            tenant: Tenant::default(),
            agent: agent(),
            session: runtime_traits::SessionName::default(),
            run: run(),
            fence,
        };
        let Setting { program, state, order, change } = setting;
        let mut machine = RunMachine::begin(facts.clone(), log, contents.collect(), state, now);
        machine.pause(paused);
        let machine = Arc::new(Mutex::new(machine));
        let port = Arc::new(Port {
            facts,
            machine: Arc::clone(&machine),
            keys: Mutex::default(),
            seen: Mutex::default(),
            handed: Mutex::default(),
        });
        let performance = Performance::new(Arc::clone(scene), fence, order, change);
        performance.work_with(Arc::clone(&machine));
        let ctx = Ctx::new(Arc::clone(&port) as Arc<dyn RunPort>);
        let agent = async move {
            let value = performance.run(program, ctx).await;
            let value = value.map_err(|error| RunFailure {
                kind: FailureKind::Agent,
                message: error.message().to_owned(),
            })?;
            Ok(Content::text(value.to_string()))
        };
        Self {
            machine,
            port,
            scene: Arc::clone(scene),
            agent: Some(Box::pin(agent)),
            woken: Arc::new(Flag(AtomicBool::new(true))),
            turns: 0,
            polls: 0,
        }
    }

    /// The log with what is not committed.
    pub(crate) fn log(&self) -> Vec<Entry> {
        lock(&self.machine).log().to_vec()
    }

    pub(crate) fn over(&self) -> Over {
        lock(&self.machine).over()
    }

    /// Polls the agent and moves the machine until neither goes on.
    pub(crate) fn go_on(&mut self) {
        for _ in 0..10_000 {
            if self.woken.0.swap(false, Ordering::SeqCst) {
                self.poll();
            }
            self.turns += 1;
            let (again, over, live) = {
                let now = lock(&self.scene).now;
                let mut machine = lock(&self.machine);
                (machine.turn(now), machine.over(), machine.is_live())
            };
            if over != Over::No {
                self.agent = None;
            }
            if self.agent.is_none() {
                return;
            }
            if again {
                *lock(&self.port.handed) = 0;
                self.woken.0.store(true, Ordering::SeqCst);
            } else if !self.woken.0.load(Ordering::SeqCst) {
                if !live {
                    lock(&self.machine).stuck();
                    self.agent = None;
                }
                return;
            }
        }
        lock(&self.scene).fault("the attempt spins");
    }

    fn poll(&mut self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        let Some(agent) = &mut self.agent else { return };
        self.polls += 1;
        if let Poll::Ready(result) = agent.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.agent = None;
            lock(&self.machine).finish(result);
        }
        let handed = *lock(&self.port.handed);
        if handed > 1 {
            lock(&self.scene).fault(format!("{handed} results at once"));
        }
    }
}

impl Port {
    fn hand(&self, seen: Seen) {
        *lock(&self.handed) += 1;
        lock(&self.seen).push(seen);
    }

    fn key(&self, slot: Slot) -> StepKey {
        lock(&self.keys)[&slot].clone()
    }
}

impl RunPort for Port {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn count(&self, scope: &[Name], name: &Name) -> u32 {
        lock(&self.machine).count(scope, name)
    }

    fn ask(&self, ask: Ask) -> Result<Slot, StepError> {
        let key = ask.key.clone();
        let slot = lock(&self.machine).ask(ask)?;
        lock(&self.keys).insert(slot, key);
        Ok(slot)
    }

    fn poll_step(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Given> {
        let given = lock(&self.machine).poll_step(slot, cx);
        match &given {
            Poll::Ready(Given::Result(result)) => {
                let result = result.as_ref().map(Content::digest);
                let result = result.map_err(|failure| failure.message.clone());
                self.hand(Seen::Result(self.key(slot), result));
            }
            Poll::Ready(Given::Cancelled) => self.hand(Seen::Refused(self.key(slot))),
            Poll::Ready(Given::Execute { .. } | Given::Reconcile { .. }) | Poll::Pending => {}
        }
        given
    }

    fn poll_given_up(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.machine).poll_given_up(slot, cx)
    }

    fn used(&self, slot: Slot, usage: Usage) {
        lock(&self.machine).used(slot, usage);
    }

    fn reserved(&self, slot: Slot) -> Usage {
        lock(&self.machine).reserved(slot)
    }

    fn settle(&self, slot: Slot, result: Result<Content, StepFailure>) {
        lock(&self.machine).settle(slot, result, runtime_traits::log::Price::default());
    }

    fn give_up(&self, slot: Slot) {
        lock(&self.machine).give_up(slot);
    }

    fn ask_timer(&self, key: StepKey, after: Duration) -> Slot {
        let slot = lock(&self.machine).ask_timer(key.clone(), after);
        lock(&self.keys).insert(slot, key);
        slot
    }

    fn poll_timer(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        let polled = lock(&self.machine).poll_timer(slot, cx);
        if polled.is_ready() {
            self.hand(Seen::Timer(self.key(slot)));
        }
        polled
    }

    fn now(&self) -> UnixMillis {
        let now = lock(&self.machine).seen_at();
        lock(&self.seen).push(Seen::Now(now.0));
        now
    }

    fn random(&self, scope: &[Name]) -> u64 {
        let drawn = lock(&self.machine).random(scope);
        lock(&self.seen).push(Seen::Drawn(drawn));
        drawn
    }

    fn state(&self) -> Option<Content> {
        let state = lock(&self.machine).state();
        let digest = state.as_ref().map(Content::digest);
        lock(&self.seen).push(Seen::State(digest));
        state
    }

    fn set_state(&self, value: Content) -> Result<(), SetStateError> {
        lock(&self.machine).set_state(value)
    }

    fn reconciled(&self, slot: Slot, what: Reconciled<Content>) {
        lock(&self.machine).reconciled(slot, what);
    }

    fn history(&self) -> Arc<[Spoken]> {
        Arc::default()
    }

    fn continue_as(&self, input: Content) {
        let run = self.facts.run;
        lock(&self.machine).continue_as(run, input);
    }

    fn preview(&self, _slot: Option<Slot>, _text: &str) {}

    fn throttled(&self, _slot: Slot, _retry_after: Option<Duration>) {}

    fn retract(&self, _slot: Slot) {}

    fn spawn(&self, _: SpawnedTask) {
        unreachable!("it begins no task")
    }

    fn block(&self, _: Blocking) {
        unreachable!("it blocks no thread")
    }

    fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = lock(&self.machine).poll_cancelled(cx);
        if polled.is_ready() {
            lock(&self.seen).push(Seen::Cancelled);
        }
        polled
    }
}
