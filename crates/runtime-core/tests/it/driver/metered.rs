//! What an agent takes is taken in its name: its polls, their end, its tasks, and the threads that it blocks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{ManualClock, MapStore};
use runtime_traits::agent::{Agent, TaskError};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Outcome, Phase, Receipt, StepPhase, Stopped};
use runtime_traits::meter::{
    AttemptMeter, MemoryAlarm, MemoryExcess, MeterError, PollMeter, ProcessLimits, ProcessUsage,
};
use runtime_traits::runtime::{CancelReceipt, Joined, Runtime};
use runtime_traits::{AgentError, AgentSpec, Content, Ctx, Effect, StepOptions, Tenant};
use tokio::sync::Notify;

use super::house::{World, output, submit};

thread_local! {
    /// In whose name this thread works.
    static NAME: Cell<&'static str> = const { Cell::new("nobody") };
}

/// A meter that a test controls.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    polls: AtomicUsize,
    waits: AtomicBool,
    exceeds: AtomicBool,
}

impl Gauge {
    /// Whether the next poll of everybody has to wait for an hour.
    pub(super) fn waits(&self, waits: bool) {
        self.0.waits.store(waits, Ordering::SeqCst);
    }

    /// Whether everybody is above their memory, and is to be cancelled for it.
    pub(super) fn exceeds(&self, exceeds: bool) {
        self.0.exceeds.store(exceeds, Ordering::SeqCst);
    }
}

impl PollMeter for Gauge {
    fn attempt(&self, _: &Tenant, _: &AgentId, _: &RunId) -> Arc<dyn AttemptMeter> {
        Arc::new(self.clone())
    }

    fn check(&self, _: ProcessLimits) -> Result<(), MeterError> {
        Ok(())
    }

    fn set_limits(&self, _: &AgentId, _: ProcessLimits) -> Result<(), MeterError> {
        Ok(())
    }

    fn forget(&self, _: &AgentId) {}

    fn used(&self, _: &AgentId) -> Option<ProcessUsage> {
        None
    }

    fn alarms(&self) -> Vec<MemoryAlarm> {
        Vec::new()
    }

    fn unattributed(&self) -> Option<u64> {
        None
    }
}

impl AttemptMeter for Gauge {
    fn poll(&self, poll: &mut dyn FnMut()) {
        self.0.polls.fetch_add(1, Ordering::SeqCst);
        let before = NAME.replace("poll");
        poll();
        NAME.set(before);
    }

    fn block(&self, work: &mut dyn FnMut()) {
        let before = NAME.replace("thread");
        work();
        NAME.set(before);
    }

    fn wait(&self) -> Option<Duration> {
        self.0.waits.load(Ordering::SeqCst).then_some(Duration::from_secs(3_600))
    }

    fn excess(&self) -> Option<MemoryExcess> {
        let excess = MemoryExcess { live: 9, max: 7 };
        self.0.exceeds.load(Ordering::SeqCst).then_some(excess)
    }
}

/// Notes in whose name things are done, and begins them as its input says.
#[derive(Debug)]
struct Busy {
    world: Arc<World>,
    named: Arc<Mutex<BTreeMap<&'static str, &'static str>>>,
    dropped: Arc<Notify>,
}

/// Notes in whose name it is dropped.
struct Noted {
    what: &'static str,
    named: Arc<Mutex<BTreeMap<&'static str, &'static str>>>,
    dropped: Arc<Notify>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.named.lock().unwrap().insert(self.what, NAME.get());
        self.dropped.notify_one();
    }
}

/// Panics, and tells nobody on the screen.
fn panics(said: impl Any + Send) {
    std::panic::resume_unwind(Box::new(said))
}

impl Busy {
    fn note(&self, what: &'static str) {
        self.named.lock().unwrap().insert(what, NAME.get());
    }

    fn noted(&self, what: &'static str) -> Noted {
        Noted { what, named: Arc::clone(&self.named), dropped: Arc::clone(&self.dropped) }
    }
}

#[async_trait]
impl Agent for Busy {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("busy", "busy").unwrap()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        self.note("polled");
        let _held = self.noted("dropped");
        let world = Arc::clone(&self.world);
        Ok(match input.as_text()? {
            "everything" => {
                let (task, named) = (self.noted("task dropped"), Arc::clone(&self.named));
                let (polled, is_polled) = tokio::sync::oneshot::channel();
                let waits = ctx.spawn(async move {
                    let _task = task;
                    named.lock().unwrap().insert("task polled", NAME.get());
                    polled.send(()).unwrap();
                    std::future::pending::<()>().await;
                });
                let named = Arc::clone(&self.named);
                let called = ctx.blocking(move || named.lock().unwrap().insert("called", NAME.get()));
                called.await?;
                // An agent that ends at its first poll lets no task of its be polled.
                is_polled.await?;
                drop(waits);
                Content::text("done")
            }
            "tasks with steps" => {
                let mut tasks = Vec::new();
                for name in ["left", "right"] {
                    let (ctx, world) = (ctx.scope(name)?, Arc::clone(&world));
                    tasks.push(ctx.clone().spawn(async move {
                        ctx.step(name, Effect::Repeatable, name, |_| async {
                            world.begin(name);
                            Ok(name.to_owned())
                        })
                        .await
                    }));
                }
                let mut said = Vec::new();
                for task in tasks {
                    said.push(task.await??);
                }
                ctx.step("last", Effect::Repeatable, "last", |_| async {
                    world.begin("last");
                    world.pass("last").await;
                    Ok(())
                })
                .await?;
                Content::text(said.join(" "))
            }
            "has a deadline" => {
                let options = StepOptions::new("step", Effect::Repeatable).within(Duration::from_millis(50));
                ctx.step_with(options, "step", |_| async {
                    world.begin("step");
                    world.pass("step").await;
                    Ok(())
                })
                .await?;
                Content::text("in time")
            }
            "panics" => {
                let task = ctx.spawn(async { panics("in a task") });
                let call = ctx.blocking(|| panics("in a thread".to_owned()));
                let (task, call) = (task.await, call.await);
                Content::text(format!("{} {}", task.unwrap_err(), call.unwrap_err()))
            }
            "leaves a call" => {
                drop(ctx.blocking(move || {
                    world.begin("call");
                    world.block("call");
                }));
                Content::text("left")
            }
            "awaits a call" => {
                ctx.blocking(move || {
                    world.begin("call");
                    world.block("call");
                })
                .await?;
                Content::text("awaited")
            }
            "waits beside a call" => {
                let call = ctx.blocking(move || {
                    world.begin("call");
                    world.block("call");
                });
                ctx.sleep(Duration::from_secs(3_600)).await;
                call.await?;
                Content::text("slept")
            }
            "many calls" => {
                let calls: Vec<_> = (0..40_u32).map(|nth| ctx.blocking(move || nth)).collect();
                let mut sum = 0;
                for call in calls {
                    sum += call.await?;
                }
                Content::text(sum.to_string())
            }
            "blocks" => {
                ctx.step("stuck", Effect::Repeatable, "stuck", |_| async {
                    world.begin("stuck");
                    world.block("stuck");
                    Ok(())
                })
                .await?;
                Content::text("unblocked")
            }
            "steps" => {
                for nth in 0..3_u32 {
                    ctx.step("step", Effect::Repeatable, &nth, |_| async {
                        world.begin("step");
                        world.pass("step").await;
                        Ok(())
                    })
                    .await?;
                }
                Content::text("three")
            }
            other => Content::text(other),
        })
    }
}

/// A runtime with a started [`Busy`], and all that a test holds of it.
struct Shop {
    runtime: RuntimeManager,
    agent: AgentId,
    world: Arc<World>,
    gauge: Gauge,
    clock: Arc<ManualClock>,
    named: Arc<Mutex<BTreeMap<&'static str, &'static str>>>,
    dropped: Arc<Notify>,
}

impl Shop {
    async fn open() -> Self {
        Self::over(Arc::new(MapStore::new()), World::new()).await
    }

    async fn over(store: Arc<MapStore>, world: Arc<World>) -> Self {
        let (gauge, clock) = (Gauge::default(), Arc::new(ManualClock::default()));
        let builder = RuntimeManager::builder(store).meter(Arc::new(gauge.clone()));
        let builder = builder.clock(Arc::clone(&clock) as _).configure(|config| {
            config.park_after = Duration::from_millis(20);
        });
        let runtime = builder.open().await.unwrap();
        let (named, dropped) = (Arc::default(), Arc::default());
        let busy =
            Busy { world: Arc::clone(&world), named: Arc::clone(&named), dropped: Arc::clone(&dropped) };
        let agent = runtime.register_agent(busy).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        Self { runtime, agent, world, gauge, clock, named, dropped }
    }

    async fn submit(&self, input: &str) -> RunId {
        submit(&self.runtime, self.agent, input).await
    }

    async fn cancel(&self, run: RunId) -> Stopped {
        match self.runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap() {
            CancelReceipt::Cancelled(Receipt { stopped, .. }) => stopped,
            other @ CancelReceipt::AlreadyEnded(_) => panic!("{other:?}"),
        }
    }

    /// The steps of the one poll that lasts long.
    async fn blocked(&self) -> Option<(RunId, Vec<String>, u64)> {
        let poll = self.runtime.status().await.unwrap().process.long_polls.pop()?;
        assert_eq!(poll.agent, self.agent);
        Some((poll.run, poll.steps.iter().map(ToString::to_string).collect(), poll.lasts_ms))
    }
}

#[tokio::test]
async fn polls_their_end_tasks_and_calls_are_done_in_the_agents_name() {
    let shop = Shop::open().await;

    assert_eq!(shop.runtime.run_agent(shop.agent, "everything").await.unwrap().output.to_string(), "done");
    shop.dropped.notified().await;

    let named = shop.named.lock().unwrap().clone();
    let all = ["polled", "dropped", "task polled", "task dropped"].map(|what| (what, "poll"));
    let mut wanted = BTreeMap::from(all);
    wanted.insert("called", "thread");
    assert_eq!(named, wanted);
}

#[tokio::test]
async fn futures_that_are_dropped_in_the_middle_are_dropped_in_the_agents_name() {
    let shop = Shop::open().await;
    let run = shop.submit("steps").await;
    shop.world.began("step").await;

    assert_eq!(shop.cancel(run).await, Stopped::Dropped);

    assert_eq!(shop.named.lock().unwrap().get("dropped"), Some(&"poll"));
}

#[tokio::test]
async fn the_steps_of_tasks_are_replayed_and_not_done_again() {
    let (store, world) = (Arc::new(MapStore::new()), World::new());
    let first = Shop::over(Arc::clone(&store), Arc::clone(&world)).await;
    let run = first.submit("tasks with steps").await;
    world.began("last").await;
    let second = Shop::over(store, Arc::clone(&world)).await;
    world.began("last").await;
    // The first one passes, too, and may not write any more.
    world.open("last");
    world.open("last");

    assert_eq!(output(&second.runtime, run).await, "left right");
    assert_eq!((world.times("left"), world.times("right"), world.times("last")), (1, 1, 2));
}

#[tokio::test]
async fn a_panic_beside_the_agent_is_told_to_it_and_ends_nothing_else() {
    let shop = Shop::open().await;

    let said = shop.runtime.run_agent(shop.agent, "panics").await.unwrap().output.to_string();

    assert_eq!(said, "it panicked: in a task it panicked: in a thread");
    let dropped = TaskError::Dropped.to_string();
    assert!(dropped.contains("dropped"), "{dropped}");
}

#[tokio::test]
async fn more_calls_than_may_block_at_once_wait_for_their_turn() {
    let shop = Shop::open().await;

    let sum = shop.runtime.run_agent(shop.agent, "many calls").await.unwrap().output.to_string();

    assert_eq!(sum, (0..40).sum::<u32>().to_string());
}

#[tokio::test]
async fn a_run_completes_when_the_calls_that_it_left_are_over() {
    let shop = Shop::open().await;
    let run = shop.submit("leaves a call").await;
    shop.world.began("call").await;
    shop.dropped.notified().await;

    let open = shop.runtime.join(&run, Duration::from_millis(20)).await.unwrap();
    assert!(matches!(open, Joined::Open(_)), "{open:?}");
    shop.world.unblock("call");

    assert_eq!(output(&shop.runtime, run).await, "left");
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_a_call_blocks_says_that_a_thread_is_busy() {
    let shop = Shop::open().await;
    let run = shop.submit("awaits a call").await;
    shop.world.began("call").await;

    assert_eq!(shop.cancel(run).await, Stopped::Abandoned);
    assert_eq!(shop.runtime.run_agent(shop.agent, "next").await.unwrap().output.to_string(), "next");
    shop.world.unblock("call");
}

#[tokio::test]
async fn a_run_does_not_park_while_a_call_blocks_a_thread() {
    let shop = Shop::open().await;
    let run = shop.submit("waits beside a call").await;
    shop.world.began("call").await;
    shop.clock.advance(Duration::from_secs(1));

    // Three times as long as it takes to park.
    let Joined::Open(view) = shop.runtime.join(&run, Duration::from_millis(60)).await.unwrap() else {
        panic!("it is over")
    };
    assert_eq!(view.phase, Phase::Running);
    shop.world.unblock("call");
    shop.cancel(run).await;
}

#[tokio::test]
async fn an_agent_above_its_share_is_not_polled_and_can_be_cancelled_all_the_same() {
    let shop = Shop::open().await;
    let run = shop.submit("steps").await;
    shop.world.began("step").await;
    shop.gauge.waits(true);
    shop.world.open("step");
    let open = shop.runtime.join(&run, Duration::from_millis(50)).await.unwrap();

    assert!(matches!(open, Joined::Open(_)), "{open:?}");
    assert_eq!(shop.world.times("step"), 1, "its second step has to wait");
    assert_eq!(shop.cancel(run).await, Stopped::Dropped);
    assert_eq!(shop.named.lock().unwrap().get("dropped"), Some(&"poll"));
}

#[tokio::test]
async fn what_has_arrived_in_time_counts_though_its_agent_is_above_its_share() {
    let shop = Shop::open().await;
    let run = shop.submit("has a deadline").await;
    shop.world.began("step").await;
    shop.gauge.0.waits.store(true, Ordering::SeqCst);
    shop.world.open("step");
    shop.clock.advance(Duration::from_millis(60));

    let deciding = async {
        while shop.runtime.run_status(&run).await.unwrap().steps[0].phase == StepPhase::Dispatched {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), deciding).await.unwrap();
    shop.gauge.0.waits.store(false, Ordering::SeqCst);

    assert_eq!(output(&shop.runtime, run).await, "in time");
}

#[tokio::test]
async fn an_agent_above_its_memory_is_cancelled_at_its_next_poll() {
    let shop = Shop::open().await;
    let run = shop.submit("steps").await;
    shop.world.began("step").await;
    let polls = shop.gauge.0.polls.load(Ordering::SeqCst);
    shop.gauge.0.exceeds.store(true, Ordering::SeqCst);
    shop.world.open("step");

    let Joined::Ended(finished) = shop.runtime.join(&run, Duration::from_secs(20)).await.unwrap() else {
        panic!("it goes on")
    };
    assert!(matches!(finished.outcome, Outcome::Cancelled(Receipt { stopped: Stopped::Dropped, .. })));
    assert_eq!(shop.world.times("step"), 1);
    // It was dropped, and not polled any more.
    assert_eq!(shop.gauge.0.polls.load(Ordering::SeqCst), polls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_blocks_its_thread_is_named_with_its_run_and_step() {
    let shop = Shop::open().await;
    let run = shop.submit("blocks").await;
    shop.world.began("stuck").await;

    shop.clock.advance(Duration::from_millis(999));
    let before = shop.blocked().await;
    shop.clock.advance(Duration::from_millis(1));
    let blocked = shop.blocked().await;
    let other = shop.runtime.for_tenant("other".parse().unwrap());
    let of_other = other.status().await.unwrap().process.long_polls;
    // A thread that stays blocked would keep a test that fails from its end.
    shop.world.unblock("stuck");

    assert_eq!((before, blocked), (None, Some((run, vec!["stuck".to_owned()], 1_000))));
    assert_eq!(of_other, []);
    assert_eq!(output(&shop.runtime, run).await, "unblocked");
    assert_eq!(shop.blocked().await, None);
}
