//! What an agent does beside its own future has bounds, and ends with its run; polls that last are named however they end.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{ManualClock, MapStore};
use runtime_traits::agent::{Agent, TaskError};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{StepPhase, UnknownCause};
use runtime_traits::runtime::{Joined, Runtime};
use runtime_traits::{AgentError, AgentSpec, Content, Ctx, Effect};

use super::house::{World, output, submit};
use super::metered::Gauge;

const LONG: Duration = Duration::from_secs(20);

type Work = dyn Fn(Ctx) -> BoxFuture<'static, Result<Content, AgentError>> + Send + Sync;

/// Does what a test says.
struct Does(Box<Work>);

impl std::fmt::Debug for Does {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Does")
    }
}

#[async_trait]
impl Agent for Does {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("does", "does").unwrap()
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        (self.0)(ctx).await
    }
}

/// A runtime with an agent that does what a test says.
struct Shop {
    runtime: RuntimeManager,
    agent: AgentId,
    clock: Arc<ManualClock>,
    gauge: Gauge,
}

impl Shop {
    async fn of<F>(work: impl Fn(Ctx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Content, AgentError>> + Send + 'static,
    {
        let (clock, gauge) = (Arc::new(ManualClock::default()), Gauge::default());
        let builder = RuntimeManager::builder(Arc::new(MapStore::new())).clock(Arc::clone(&clock) as _);
        let runtime = builder.meter(Arc::new(gauge.clone())).open().await.unwrap();
        let agent = runtime.register_agent(Does(Box::new(move |ctx| work(ctx).boxed()))).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        Self { runtime, agent, clock, gauge }
    }

    async fn submit(&self) -> RunId {
        submit(&self.runtime, self.agent, "go").await
    }

    /// The run of the one poll that lasts long.
    async fn blocked(&self) -> Option<RunId> {
        Some(self.runtime.status().await.unwrap().process.long_polls.pop()?.run)
    }
}

#[tokio::test]
async fn a_task_that_a_thread_of_the_agent_begins_is_polled_while_that_is_blocked() {
    let world = World::new();
    let shop = Shop::of(move |ctx| {
        let world = Arc::clone(&world);
        async move {
            let (spawns, opens) = (ctx.clone(), Arc::clone(&world));
            ctx.blocking(move || {
                let task = spawns.spawn(async move { opens.unblock("thread") });
                world.block("thread");
                drop(task);
            })
            .await?;
            Ok(Content::text("polled"))
        }
    })
    .await;

    assert_eq!(output(&shop.runtime, shop.submit().await).await, "polled");
}

#[tokio::test]
async fn nothing_begins_beside_an_agent_that_is_over() {
    let kept: Arc<Mutex<Option<Ctx>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    let shop = Shop::of(move |ctx| {
        *keeps.lock().unwrap() = Some(ctx);
        async { Ok(Content::text("over")) }
    })
    .await;
    output(&shop.runtime, shop.submit().await).await;
    let ctx = kept.lock().unwrap().take().unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let (in_task, in_thread) = (Arc::clone(&begun), Arc::clone(&begun));

    let task = ctx.spawn(async move { in_task.fetch_add(1, Ordering::SeqCst) });
    let call = ctx.blocking(move || in_thread.fetch_add(1, Ordering::SeqCst));

    let ended = tokio::time::timeout(LONG, async { (task.await, call.await) }).await.expect("they are told");
    assert_eq!(ended, (Err(TaskError::Dropped), Err(TaskError::Dropped)));
    assert_eq!(begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn eight_calls_of_an_attempt_block_at_once_and_those_that_wait_do_not_begin_after_the_run() {
    let world = World::new();
    let blocks = Arc::clone(&world);
    let shop = Shop::of(move |ctx| {
        let world = Arc::clone(&blocks);
        async move {
            let calls = (0..12).map(|_| {
                let world = Arc::clone(&world);
                ctx.blocking(move || {
                    world.begin("call");
                    world.block("call");
                })
            });
            futures_util::future::join_all(calls).await;
            Ok(Content::text("unblocked"))
        }
    })
    .await;
    let run = shop.submit().await;
    for _ in 0..8 {
        world.began("call").await;
    }

    let open = shop.runtime.join(&run, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(open, Joined::Open(_)), "{open:?}");
    assert_eq!(world.times("call"), 8, "the others wait");
    shop.runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();
    world.unblock("call");
    shop.runtime.shutdown(LONG).await.unwrap();

    assert_eq!(world.times("call"), 8, "and never begin");
}

#[tokio::test]
async fn a_task_ends_with_the_agents_own_future_and_its_step_is_given_up() {
    let world = World::new();
    let begun = Arc::clone(&world);
    let shop = Shop::of(move |ctx| {
        let world = Arc::clone(&begun);
        async move {
            let (steps, began) = (ctx.clone(), Arc::clone(&world));
            drop(ctx.spawn(async move {
                let never = std::future::pending::<Result<(), AgentError>>();
                steps
                    .step("stays", Effect::Repeatable, "stays", |_| async move {
                        began.begin("stays");
                        never.await
                    })
                    .await
            }));
            world.began("stays").await;
            Ok(Content::text("left"))
        }
    })
    .await;
    let run = shop.submit().await;

    assert_eq!(output(&shop.runtime, run).await, "left");
    let view = shop.runtime.run_status(&run).await.unwrap();
    assert_eq!(view.steps[0].phase, StepPhase::Unknown(UnknownCause::Dropped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_ended_in_a_panic_is_not_under_way() {
    let world = World::new();
    let blocks = Arc::clone(&world);
    let shop = Shop::of(move |_| {
        let world = Arc::clone(&blocks);
        async move {
            world.begin("poll");
            world.block("poll");
            std::panic::resume_unwind(Box::new("in a poll"))
        }
    })
    .await;
    let run = shop.submit().await;
    world.began("poll").await;
    shop.clock.advance(Duration::from_secs(5));
    let blocked = shop.blocked().await;

    world.unblock("poll");
    assert_eq!(blocked, Some(run));
    let Joined::Ended(finished) = shop.runtime.join(&run, LONG).await.unwrap() else { panic!("it is over") };

    assert!(finished.failure().unwrap().message.contains("in a poll"), "{finished:?}");
    assert_eq!(shop.blocked().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_blocks_its_thread_as_it_is_dropped_is_named() {
    struct Slow(Arc<World>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.begin("drop");
            self.0.block("drop");
        }
    }
    let world = World::new();
    let blocks = Arc::clone(&world);
    let shop = Shop::of(move |_| {
        let slow = Slow(Arc::clone(&blocks));
        async move {
            slow.0.begin("polled");
            std::future::pending().await
        }
    })
    .await;
    let run = shop.submit().await;
    world.began("polled").await;
    let cancels = shop.runtime.cancel(&run, "enough", Duration::ZERO);
    let looks = async {
        world.began("drop").await;
        shop.clock.advance(Duration::from_secs(5));
        let blocked = shop.blocked().await;
        world.unblock("drop");
        blocked
    };

    let (cancelled, blocked) = futures_util::join!(cancels, looks);

    cancelled.unwrap();
    assert_eq!(blocked, Some(run));
    assert_eq!(shop.blocked().await, None);
}

#[tokio::test]
async fn an_agent_above_its_share_is_polled_again_when_it_no_longer_is() {
    let world = World::new();
    let passes = Arc::clone(&world);
    let shop = Shop::of(move |_| {
        let world = Arc::clone(&passes);
        async move {
            world.begin("first");
            world.pass("gate").await;
            Ok(Content::text("second"))
        }
    })
    .await;
    let run = shop.submit().await;
    world.began("first").await;
    shop.gauge.waits(true);
    world.open("gate");
    let open = shop.runtime.join(&run, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(open, Joined::Open(_)), "{open:?}");

    // What it was told to wait was an hour; its share may be another one by now.
    shop.gauge.waits(false);

    assert_eq!(output(&shop.runtime, run).await, "second");
}
