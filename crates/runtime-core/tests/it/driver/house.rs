//! A runtime for tests, and an agent that does what its input says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use runtime_core::{Builder, RuntimeManager};
use runtime_testkit::fakes::{MapSnapshots, MapStore};
use runtime_traits::agent::{Agent, AgentKind, Call, SpecError, StepError};
use runtime_traits::clock::{Clock, UnixMillis};
use runtime_traits::model::{Deltas, Repeat};
use runtime_traits::recovery::StallBounds;
use runtime_traits::runtime::{AgentRef, RunRequest, Runtime};
use runtime_traits::store::{Batch, BatchId, Durability, StateStore, Then};
use runtime_traits::tool::Reconciled;
use runtime_traits::{
    AgentError, AgentId, AgentSpec, Content, Ctx, Effect, Name, RunId, SetStateError, StepCall, StepOptions,
    Usage,
};
use tokio::sync::Semaphore;

/// The world outside: it counts what is done to it, and holds work back until a test lets it go on.
#[derive(Debug)]
pub(crate) struct World {
    done: Mutex<HashMap<String, u32>>,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    unblocked: Mutex<HashSet<String>>,
    unblocks: Condvar,
}

/// Does what its input says: a script of words.
#[derive(Debug)]
pub(crate) struct Scripted {
    world: Arc<World>,
    name: Name,
}

impl Scripted {
    pub(crate) fn new(world: &Arc<World>, name: Name) -> Self {
        Self { world: Arc::clone(world), name }
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor")
    }
}

/// Builds [`Scripted`].
#[derive(Debug)]
pub(crate) struct ScriptedKind(pub(crate) Arc<World>);

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let (done, gates, unblocked) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { done, gates, unblocked, unblocks: Condvar::new() })
    }

    /// How often something was begun.
    pub(crate) fn times(&self, what: &str) -> u32 {
        self.done.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub(crate) fn begin(&self, what: &str) {
        *self.done.lock().unwrap().entry(what.to_owned()).or_default() += 1;
        self.gate(&format!("began {what}")).add_permits(1);
    }

    fn gate(&self, name: &str) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap();
        Arc::clone(gates.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }

    /// Lets one holder go on.
    pub(crate) fn open(&self, name: &str) {
        self.gate(name).add_permits(1);
    }

    /// Waits until something was begun.
    pub(crate) async fn began(&self, what: &str) {
        self.pass(&format!("began {what}")).await;
    }

    /// Blocks the thread until a test lets it go on.
    pub(crate) fn block(&self, what: &str) {
        let unblocked = self.unblocked.lock().unwrap();
        drop(self.unblocks.wait_while(unblocked, |unblocked| !unblocked.contains(what)).unwrap());
    }

    /// Lets all that are blocked by this go on, and those that come later.
    pub(crate) fn unblock(&self, what: &str) {
        self.unblocked.lock().unwrap().insert(what.to_owned());
        self.unblocks.notify_all();
    }

    pub(crate) async fn pass(&self, name: &str) {
        let gate = self.gate(name);
        tokio::time::timeout(Duration::from_secs(20), gate.acquire()).await.expect(name).unwrap().forget();
    }
}

#[async_trait]
impl Agent for Scripted {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("scripted", self.name.as_str()).unwrap()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let script = input.as_text()?.to_owned();
        let mut said = Vec::new();
        for word in script.split_whitespace() {
            let (verb, what) = word.split_once(':').unwrap_or((word, ""));
            match verb {
                "pure" | "once" | "again" | "held" | "held-once" => {
                    let effect = match verb {
                        "pure" => Effect::Pure,
                        "again" | "held" => Effect::Repeatable,
                        _ => Effect::AtMostOnce,
                    };
                    let world = &self.world;
                    let value = ctx.step(what, effect, what, |_| async move {
                        world.begin(what);
                        if verb.starts_with("held") {
                            world.pass(what).await;
                        }
                        Ok(format!("{what}!"))
                    });
                    said.push(value.await?);
                }
                "many" => {
                    let count: u32 = what.parse()?;
                    let (world, ctx) = (&self.world, &ctx);
                    let steps = (0..count).map(|n| {
                        ctx.step(&format!("s{n}"), Effect::Repeatable, &n, move |_| async move {
                            if n + 1 == count {
                                world.begin("last");
                            }
                            std::future::pending::<Result<(), AgentError>>().await
                        })
                    });
                    futures_util::future::join_all(steps).await;
                }
                "sleep" => ctx.sleep(Duration::from_millis(what.parse()?)).await,
                "state" => {
                    let mut list: Vec<String> = ctx.state()?.unwrap_or_default();
                    list.push(what.to_owned());
                    ctx.set_state(&list)?;
                    said.push(list.join(","));
                }
                "keep" => match ctx.set_state(&"x".repeat(what.parse()?)) {
                    Ok(()) => said.push("kept".to_owned()),
                    Err(error @ SetStateError::TooLarge { .. }) => said.push(error.to_string()),
                    Err(error) => return Err(error.into()),
                },
                "fail" => return Err(AgentError::says(what)),
                "panic" => panic!("{what}"),
                "cancelled" => ctx.cancelled().await,
                // `call:b/held:x` calls the agent `b` with `held:x`.
                "call" | "call-here" => {
                    let (agent, rest) = what.split_once('/').unwrap_or((what, ""));
                    let mut call = Call::to(agent, rest.replace(',', " "));
                    if verb == "call-here" {
                        call = call.in_session(ctx.facts().session.clone());
                    }
                    match ctx.call(call).await {
                        Ok(output) => said.push(format!("[{output}]")),
                        Err(StepError::Failed { failure, .. }) => said.push(format!("<{}>", failure.message)),
                        Err(error) => return Err(error.into()),
                    }
                }
                // Whoever is called has two seconds of the log's time, and is then dropped.
                "call-briefly" => {
                    let (agent, rest) = what.split_once('/').unwrap_or((what, ""));
                    let call = ctx.call(Call::to(agent, rest.replace(',', " ")));
                    let called = ctx.timeout(Duration::from_millis(50), call).await;
                    said.push(if called.is_some() { "in time" } else { "too late" }.to_owned());
                }
                "used" | "used-pure" | "used-held" | "model" | "model-held" => {
                    let used = Usage { input_tokens: what.parse()?, model_calls: 1, ..Usage::default() };
                    let effect = if verb == "used-pure" { Effect::Pure } else { Effect::Repeatable };
                    let mut options = StepOptions::new("used", effect);
                    if verb.starts_with("model") {
                        options = options.of_model("test/priced");
                    }
                    let world = &self.world;
                    ctx.step_with(options, what, |call| async move {
                        call.used(used);
                        world.begin(what);
                        if verb.ends_with("-held") {
                            world.pass(what).await;
                        }
                        Ok(())
                    })
                    .await?;
                }
                // A breaker holds a call off: it is not made.
                "held-off" => {
                    let held_off = Some(Duration::from_secs(1));
                    let step = ctx.step("held-off", Effect::Repeatable, what, move |_| async move {
                        Err::<(), _>(AgentError::away("it is away", held_off))
                    });
                    assert!(step.await.is_err(), "nobody was asked");
                }
                // A step is dropped before it began.
                "unbegun" => {
                    let step = ctx.step("unbegun", Effect::Repeatable, what, |_| async { Ok(()) });
                    assert!(step.now_or_never().is_none(), "it needs a commit first");
                }
                // `costs:100/30` may take 100 tokens, and takes 30; `costs-held` waits in between.
                "costs" | "costs-held" => {
                    let (most, takes) = what.split_once('/').unwrap_or((what, what));
                    let (most, takes): (u64, u64) = (most.parse()?, takes.parse()?);
                    let usage = |tokens| Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() };
                    let options = StepOptions::new("model", Effect::Repeatable)
                        .reserving(usage(most))
                        .of_model("test/priced");
                    let world = &self.world;
                    let step = ctx.step_with(options, what, |call| async move {
                        world.begin(what);
                        if verb == "costs-held" {
                            world.pass(what).await;
                        }
                        call.used(usage(takes));
                        Ok(format!("{takes} used"))
                    });
                    said.push(step.await?);
                }
                // `breaks:billed/100/30` makes a call that breaks off, with 100 tokens or (`free`) none, and another that takes 30.
                "breaks" | "breaks-once" => {
                    let mut parts = what.split('/');
                    let billed = parts.next() == Some("billed");
                    let mut number = || parts.next().unwrap_or("0").parse::<u64>();
                    let (most, takes) = (number()?, number()?);
                    let usage = |tokens| Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() };
                    let effect = if verb == "breaks" { Effect::Repeatable } else { Effect::AtMostOnce };
                    let options =
                        StepOptions::new("model", effect).reserving(usage(most)).of_model("test/priced");
                    let world = &self.world;
                    let step = ctx.step_with(options, what, |call| async move {
                        world.begin("call");
                        world.pass("call").await;
                        call.used(if billed { call.reserved() } else { usage(0) });
                        call.broke_off(billed);
                        match call.again().await {
                            Repeat::Go => {}
                            Repeat::Refused(refused) => {
                                return Err(AgentError::at_limit(refused.to_string()));
                            }
                            Repeat::Ends => return Err(AgentError::says("it is to end")),
                        }
                        world.begin("call again");
                        world.pass("call again").await;
                        call.used(usage(takes));
                        Ok(format!("{takes} used"))
                    });
                    said.push(step.await?);
                }
                // The same of a step that is not repeated; the other side knows that it was done.
                "breaks-known" => {
                    let usage = Usage { output_tokens: what.parse()?, model_calls: 1, ..Usage::default() };
                    let options = StepOptions::new("model", Effect::AtMostOnce)
                        .reserving(usage)
                        .of_model("test/priced");
                    let world = &self.world;
                    let doing = ctx.step_or_reconcile(
                        options,
                        what,
                        |call| async move {
                            world.begin("call");
                            world.pass("call").await;
                            call.broke_off(false);
                            Ok(format!("{:?}", call.again().await))
                        },
                        |_| async move { Ok(Reconciled::Done("done before".to_owned())) },
                    );
                    said.push(doing.await?);
                }
                // Its call is made, breaks off and is made again in a thread of its own.
                "breaks-apart" => {
                    let usage = Usage { output_tokens: what.parse()?, model_calls: 1, ..Usage::default() };
                    let options = StepOptions::new("model", Effect::Repeatable)
                        .reserving(usage)
                        .of_model("test/priced");
                    let world = Arc::clone(&self.world);
                    let apart = async move |call: StepCall| {
                        world.begin("call");
                        world.pass("call").await;
                        call.broke_off(false);
                        let again = tokio::time::timeout(Duration::from_secs(20), call.again()).await;
                        world.begin(&format!("told {again:?}"));
                        call.used(usage);
                        format!("{again:?}")
                    };
                    let step = ctx.step_with(options, what, |call| async move {
                        let here = tokio::runtime::Handle::current();
                        let apart = tokio::task::spawn_blocking(move || here.block_on(apart(call)));
                        Ok(apart.await.unwrap())
                    });
                    said.push(step.await?);
                }
                "dropped" => {
                    let reserved = Usage { input_tokens: what.parse()?, ..Usage::default() };
                    let options = StepOptions::new("dropped", Effect::Repeatable).reserving(reserved);
                    let never = |_| std::future::pending::<Result<(), AgentError>>();
                    let step = ctx.step_with(options, what, never);
                    if ctx.timeout(Duration::from_millis(5), step).await.is_none() {
                        said.push("dropped".to_owned());
                    }
                }
                // Calls into its own conversation, while another branch is busy.
                "call-here-beside" => {
                    let (agent, rest) = what.split_once('/').unwrap_or((what, ""));
                    let call = Call::to(agent, rest).in_session(ctx.facts().session.clone());
                    let world = &self.world;
                    let busy = ctx.step("beside", Effect::Repeatable, "beside", |_| async move {
                        world.begin("beside");
                        world.pass("beside").await;
                        Ok(())
                    });
                    let (called, busy) = futures_util::join!(ctx.call(call), busy);
                    busy?;
                    said.push(called.map_or_else(|error| error.to_string(), |output| output.to_string()));
                }
                "calls" => {
                    let count: u32 = what.parse()?;
                    let calls = (0..count).map(|n| ctx.call(Call::to("b", format!("held:n{n}"))));
                    futures_util::future::join_all(calls).await;
                }
                "go-on" => return ctx.continue_as(what.replace('/', ":").replace(',', " ")),
                "relay" => match what.parse::<u32>()? {
                    0 => said.push("arrived".to_owned()),
                    left => return ctx.continue_as(format!("relay:{}", left - 1)),
                },
                "reconcile-done" | "reconcile-not" | "reconcile-unknown" => {
                    let world = &self.world;
                    let options = StepOptions::new(what, Effect::AtMostOnce);
                    let doing = ctx.step_or_reconcile(
                        options,
                        what,
                        |_| async move {
                            world.begin(what);
                            world.pass(what).await;
                            Ok("done now".to_owned())
                        },
                        |_| async move {
                            world.begin(&format!("asked {what}"));
                            Ok(match verb {
                                "reconcile-done" => Reconciled::Done("done before".to_owned()),
                                "reconcile-not" => Reconciled::NotDone,
                                _ => Reconciled::Unknown,
                            })
                        },
                    );
                    said.push(doing.await?);
                }
                "bomb" => {
                    let _bomb = Bomb;
                    self.world.begin("bomb");
                    std::future::pending().await
                }
                "block" => {
                    self.world.begin(what);
                    self.world.block(what);
                }
                "forever" => std::future::pending().await,
                "big" => said.push("x".repeat(what.parse()?)),
                // What it asks comes from the log's time and chance.
                "drawn" => {
                    let asked = format!("{}-{}-{}", ctx.now().0, ctx.random(), ctx.uuid());
                    let drawn =
                        ctx.step("drawn", Effect::Repeatable, &asked, |_| async { Ok(asked.clone()) });
                    said.push(drawn.await?);
                }
                "now" => said.push(ctx.now().0.to_string()),
                other => said.push(other.to_owned()),
            }
        }
        Ok(Content::text(said.join(" ")))
    }
}

impl AgentKind for ScriptedKind {
    fn name(&self) -> Name {
        Name::new("scripted").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Scripted::new(&self.0, spec.name.clone())))
    }
}

/// The executor's time, which a test may have paused: then it passes as soon as nothing else can be done.
#[derive(Debug)]
struct ExecutorClock(tokio::time::Instant);

impl Clock for ExecutorClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_000_000).after(self.0.elapsed())
    }
}

/// A store and a world that outlive the runtimes over them.
pub(crate) struct House {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) world: Arc<World>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MapStore::new()))
    }

    pub(crate) fn over(store: Arc<dyn StateStore>) -> Self {
        Self { store, world: World::new(), clock: None }
    }

    /// Lets its runtimes go by the executor's time.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn by_executor(mut self) -> Self {
        self.clock = Some(Arc::new(ExecutorClock(tokio::time::Instant::now())));
        self
    }

    pub(crate) fn builder(&self) -> Builder {
        let builder = RuntimeManager::builder(Arc::clone(&self.store));
        let builder = match &self.clock {
            Some(clock) => builder.clock(Arc::clone(clock)),
            None => builder,
        };
        builder
            .snapshots(Arc::new(MapSnapshots::new(Arc::clone(&self.store))))
            .kind(Arc::new(ScriptedKind(Arc::clone(&self.world))))
            .configure(|config| {
                config.park_after = Duration::from_millis(20);
                // What stands still in other tests does so because they say so.
                let far = Duration::from_secs(1_000_000_000);
                config.stall = StallBounds { first_byte: far, between_tokens: far, tool: far, step: far };
                config.clear_after = Duration::from_millis(20);
            })
    }

    /// Opens a runtime. One that was open before is as good as dead: it no longer owns anything.
    pub(crate) async fn open(&self) -> RuntimeManager {
        self.builder().open().await.unwrap()
    }

    /// Opens a runtime with started agents `a` and `b`.
    pub(crate) async fn with_two(&self) -> (RuntimeManager, AgentId, AgentId) {
        let (runtime, a) = self.with_agent().await;
        let b = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
        runtime.start_agent(b).await.unwrap();
        (runtime, a, b)
    }

    /// Opens a runtime with a started agent `a`.
    pub(crate) async fn with_agent(&self) -> (RuntimeManager, AgentId) {
        let runtime = self.open().await;
        let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        (runtime, agent)
    }
}

/// Writes into a store as nobody should.
pub(crate) async fn meddle(store: &dyn StateStore, number: u128, then: Then) {
    let partition = match &then {
        Then::Put(key, _) | Then::Add(key, _) | Then::Delete(key) => key.partition,
        Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log) => log.partition,
    };
    let (id, then) = (BatchId(number), vec![then]);
    let batch = Batch { id, partition, fence: None, when: vec![], then, durability: Durability::Memory };
    store.commit(batch).await.unwrap();
}

/// Submits a script.
pub(crate) async fn submit(runtime: &RuntimeManager, agent: AgentId, script: &str) -> RunId {
    runtime.submit(&AgentRef::Id(agent), RunRequest::new(script)).await.unwrap().run
}

/// The output of a run that completes.
pub(crate) async fn output(runtime: &RuntimeManager, run: RunId) -> String {
    match runtime.join(&run, Duration::from_secs(20)).await.unwrap() {
        runtime_traits::runtime::Joined::Ended(finished) => {
            finished.into_result().unwrap().output.to_string()
        }
        runtime_traits::runtime::Joined::Open(view) => panic!("still open: {view:?}"),
    }
}

/// Waits until a run is in a phase.
pub(crate) async fn until_phase(runtime: &RuntimeManager, run: RunId, phase: runtime_traits::log::Phase) {
    use futures_util::StreamExt;
    if runtime.run_status(&run).await.unwrap().phase == phase {
        return;
    }
    let mut entries = runtime.stream(&run, runtime_traits::store::Seq::FIRST).await.unwrap();
    while let Some(item) = entries.next().await {
        item.unwrap();
        if runtime.run_status(&run).await.unwrap().phase == phase {
            return;
        }
    }
    panic!("the run ended before it was {phase:?}");
}
