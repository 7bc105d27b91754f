//! What agents take of their process: memory to the byte, alarms, and who blocks a thread. The program of these tests meters memory.

use std::sync::{Arc, Condvar, Mutex};

use agent_runtime::events::catalogue::{MemoryExceeded, ThreadBlocked};
use agent_runtime::log::{Outcome, Receipt};
use agent_runtime::meter::{PollMeter, ProcessLimits};
use agent_runtime::prelude::*;
use agent_runtime::runtime::Joined;
use agent_runtime::{MemoryStore, UnixMillis};
use tokio::sync::Notify;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

/// A door in a thread's way.
#[derive(Debug, Default)]
struct Door {
    open: Mutex<bool>,
    opens: Condvar,
    arrived: Notify,
}

impl Door {
    /// Blocks the thread until the door is opened.
    fn pass(&self) {
        self.arrived.notify_one();
        let open = self.open.lock().expect("nobody panics with it");
        drop(self.opens.wait_while(open, |open| !*open).expect("nobody panics with it"));
    }

    fn open(&self) {
        *self.open.lock().expect("nobody panics with it") = true;
        self.opens.notify_all();
    }
}

/// Takes memory and time as its input says.
#[derive(Clone, Debug, Default)]
struct Taker {
    name: &'static str,
    door: Arc<Door>,
    meter: Arc<Mutex<Option<Arc<dyn PollMeter>>>>,
}

impl Taker {
    fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Bytes that it is charged with.
    fn charged(&self, ctx: &Ctx) -> f64 {
        let meter = self.meter.lock().expect("nobody panics with it").clone().expect("it was given one");
        meter.used(&ctx.facts().agent).expect("it is at work").memory_mb.expect("memory is metered")
            * MIB as f64
    }

    /// Asks for memory and frees it, in its polls, in tasks and in threads; after each step what is charged has to be what is alive.
    /// How far it was off at the most, in parts of what was alive.
    async fn juggle(&self, ctx: &Ctx, steps: u32) -> Result<f64, AgentError> {
        let mut blocks: Vec<Vec<u8>> = vec![Vec::with_capacity(4 * MIB)];
        let mut worst = 0.0_f64;
        for _ in 0..steps {
            let random = ctx.random();
            let bytes = 1 + usize::try_from(random >> 8).expect("64 bits") % (256 * 1_024);
            let take = move || Vec::<u8>::with_capacity(bytes);
            let place = usize::try_from(random >> 40).expect("64 bits") % blocks.len();
            match random % 7 {
                0 => blocks.push(take()),
                1 => blocks.push(ctx.spawn(async move { take() }).await?),
                2 => blocks.push(ctx.blocking(take).await?),
                3 if place > 0 => drop(blocks.swap_remove(place)),
                4 if place > 0 => {
                    let block = blocks.swap_remove(place);
                    ctx.spawn(async move { drop(block) }).await?;
                }
                5 if place > 0 => {
                    let block = blocks.swap_remove(place);
                    ctx.blocking(move || drop(block)).await?;
                }
                _ => {
                    let mut block = std::mem::take(&mut blocks[place]);
                    let grown = ctx.blocking(move || {
                        block.reserve_exact(block.capacity() + bytes / 4);
                        block
                    });
                    blocks[place] = grown.await?;
                }
            }
            // So that half of what there is goes every now and then.
            if blocks.len() > 64 {
                blocks.truncate(32);
            }
            let alive: usize = blocks.iter().map(Vec::capacity).sum();
            worst = worst.max((self.charged(ctx) - alive as f64).abs() / alive as f64);
        }
        Ok(worst)
    }
}

#[async_trait]
impl Agent for Taker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("taker", self.name).expect("names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        Ok(match input.as_text()? {
            "juggle" => Content::text(self.juggle(&ctx, 1_000).await?.to_string()),
            "hoard" => {
                let hoard = Vec::<u8>::with_capacity(8 * MIB);
                loop {
                    ctx.sleep(Duration::from_millis(5)).await;
                    std::hint::black_box(&hoard);
                }
            }
            "block" => {
                let door = Arc::clone(&self.door);
                ctx.step("fetch", Effect::Repeatable, "it", |_| async move {
                    door.pass();
                    Ok(())
                })
                .await?;
                Content::text("went on")
            }
            "wait" => {
                self.door.arrived.notify_one();
                std::future::pending().await
            }
            other => Content::text(other),
        })
    }
}

async fn runtime() -> RuntimeManager {
    RuntimeManager::builder(Arc::new(MemoryStore::new())).open().await.expect("it opens").into()
}

async fn started(runtime: &RuntimeManager, taker: &Taker) -> AgentId {
    *taker.meter.lock().expect("nobody panics with it") = Some(Arc::clone(runtime.meter()));
    let agent = runtime.register_agent(taker.clone()).await.expect("it is registered");
    runtime.start_agent(&agent).await.expect("it starts");
    agent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_each_of_a_thousand_steps_what_is_charged_is_within_five_percent_of_what_is_alive() {
    let runtime = runtime().await;
    let agent = started(&runtime, &Taker::named("taker")).await;

    let worst = runtime.run_agent(&agent, "juggle").await.expect("it completes").output.to_string();
    let worst: f64 = worst.parse().expect("a number");

    assert!(worst <= 0.05, "off by {worst}");
    let process = runtime.agent(&agent.into()).await.expect("it is there").process.expect("it is measured");
    let left = process.memory_mb.expect("memory is metered");
    assert!(left < 1.0, "{left} MiB are left of 4 and more");
    assert!(process.cpu_ms > 0 && process.cpu_percent > 0.0, "{process:?}");
    let nobodys = runtime.status().await.expect("it is there").process.unattributed_mb;
    assert!(nobodys.is_some_and(|mib| mib > 0.0), "{nobodys:?}");
}

#[tokio::test]
async fn an_agent_above_its_memory_raises_an_alarm_and_is_cancelled_if_that_was_asked_for() {
    let runtime = runtime().await;
    let agent = started(&runtime, &Taker::named("hoarder")).await;
    let mut alarms = runtime.bus().listen("agents/hoarder/resource.memory_exceeded").await.expect("a reader");
    let max = 4 * MIB as u64;
    let limits = ProcessLimits { max_memory_bytes: Some(max), ..ProcessLimits::default() };
    runtime.meter().set_limits(&agent, limits).expect("memory is metered here");
    let run = runtime.submit(&agent.into(), "hoard".into()).await.expect("it is accepted").run;

    let alarm = timeout(LONG, alarms.next_event()).await.expect("it is told").expect("the bus is there");
    let said: MemoryExceeded = alarm.json().expect("it is of that type");
    assert!(said.bytes >= 8 * MIB as u64 && said.allowed == max, "{said:?}");
    let status = runtime.agent(&agent.into()).await.expect("it is there");
    assert!(status.process.is_some_and(|process| process.over_memory), "{status:?}");
    assert!(matches!(runtime.join(&run, Duration::ZERO).await, Ok(Joined::Open(_))), "an alarm ends nothing");

    let limits = ProcessLimits { cancel_over_memory: true, ..limits };
    runtime.meter().set_limits(&agent, limits).expect("memory is metered here");
    let joined = runtime.join(&run, LONG).await.expect("it is there");
    let Joined::Ended(finished) = joined else { panic!("it goes on") };
    assert!(matches!(finished.outcome, Outcome::Cancelled(Receipt { .. })), "{finished:?}");
    let process = runtime.agent(&agent.into()).await.expect("it is there").process.expect("it is measured");
    assert!(!process.over_memory, "{process:?}");
}

/// How long the agent blocks its thread, and how long an answer may take at the 99th percentile meanwhile. By hand, on a machine that
/// has nothing else to do, it is as the promise says.
fn measure() -> (Duration, Duration) {
    match std::env::var("BLOCKED_FOR_SECONDS") {
        Ok(seconds) => (Duration::from_secs(seconds.parse().expect("a number")), Duration::from_millis(50)),
        Err(_) => (Duration::ZERO, Duration::from_millis(500)),
    }
}

#[cfg(feature = "service")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_blocks_its_thread_is_named_and_the_others_are_answered_meanwhile() {
    let (blocked_for, bar) = measure();
    let runtime = runtime().await;
    let blocker = Taker::named("blocker");
    let (blocks, other) =
        (started(&runtime, &blocker).await, started(&runtime, &Taker::named("other")).await);
    let listeners = agent_runtime::service::Listeners::none().all_routes_on_tcp();
    let listeners = listeners.tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a place");
    let serving = AgentService::over(runtime.shared()).start(listeners);
    let address = serving.addresses()[0];
    let mut named = runtime.bus().listen("agents/blocker/resource.thread_blocked").await.expect("a reader");
    let clock = agent_runtime::SystemClock::default();

    let run = runtime.submit(&blocks.into(), "block".into()).await.expect("it is accepted").run;
    blocker.door.arrived.notified().await;
    let began = agent_runtime::Clock::now(&clock);
    // Whoever asks is in a thread of its own, with an executor of its own, as another program is.
    let (tell, told) = tokio::sync::oneshot::channel();
    let until = agent_runtime::Clock::now(&clock).after(blocked_for);
    let asking = std::thread::spawn(move || ask_on(address, other, until, told));
    let event = timeout(LONG, named.next_event()).await.expect("it is told").expect("the bus is there");
    let after = agent_runtime::Clock::now(&clock).since(began);
    let polls = runtime.status().await.expect("it is there").process.long_polls;
    tell.send(()).expect("it asks");
    let waited: Vec<(&str, Duration)> = tokio::task::spawn_blocking(move || asking.join())
        .await
        .expect("it ends")
        .expect("it asks without a panic");
    blocker.door.open();

    let said: ThreadBlocked = event.json().expect("it is of that type");
    assert_eq!((said.run, said.steps), (run.to_string(), vec!["fetch".to_owned()]));
    assert!((1_000..2_000).contains(&said.lasts_ms), "named after {} ms", said.lasts_ms);
    assert!(after < Duration::from_secs(2), "named after {after:?}");
    assert_eq!(polls.first().map(|poll| (poll.agent, poll.run)), Some((blocks, run)));
    for (what, worst) in &waited {
        println!("{what}: p99 {worst:?}");
        assert!(*worst < bar, "{what}: p99 {worst:?}");
    }
    let joined = runtime.join(&run, LONG).await.expect("it is there");
    assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");
    serving.stop().await;
}

/// Asks for `/health` and the status, and cancels runs of another agent, until it is told to stop and the time is over. What was
/// asked, and how long 99 of 100 answers took at the most.
#[cfg(feature = "service")]
fn ask_on(
    address: std::net::SocketAddr,
    other: AgentId,
    until: UnixMillis,
    mut told: tokio::sync::oneshot::Receiver<()>,
) -> Vec<(&'static str, Duration)> {
    use agent_runtime::Clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
    executor.block_on(async move {
        let clock = agent_runtime::SystemClock::default();
        let remote =
            agent_runtime::service::RemoteRuntime::at(&format!("http://{address}")).expect("a place");
        let (mut healths, mut statuses, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
        while clock.now() < until || told.try_recv().is_err() {
            let begun = clock.now();
            let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
            let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            healths.push(clock.now().since(begun));
            let begun = clock.now();
            remote.status().await.expect("it answers");
            statuses.push(clock.now().since(begun));
            let run = remote.submit(&other.into(), "wait".into()).await.expect("it is accepted").run;
            let begun = clock.now();
            remote.cancel(&run, "enough", Duration::ZERO).await.expect("it is cancelled");
            cancels.push(clock.now().since(begun));
        }
        [("health", healths), ("status", statuses), ("cancel", cancels)]
            .map(|(what, took)| (what, p99(took)))
            .into()
    })
}

#[cfg(feature = "service")]
fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
    took.get(place).copied().unwrap_or(Duration::MAX)
}
