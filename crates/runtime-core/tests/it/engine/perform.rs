//! Performs an agent that is given as data, over the context that every agent gets.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use runtime_core::engine::machine::RunMachine;
use runtime_testkit::fakes::Chance;
use runtime_traits::agent::FenceMark;
use runtime_traits::log::{Effect, StepKey, StepSort};
use runtime_traits::{AgentError, Ctx, Name, StepCall, StepError, StepOptions};
use serde::Serialize;

use super::program::{Node, Step};
use super::scene::{Dispatch, JobResult, RESERVED, Scene, Shared, USED, Value, lock};

/// One attempt at an agent, as the agent's code sees it.
#[derive(Debug)]
pub(crate) struct Performance {
    pub(crate) scene: Shared<Scene>,
    pub(crate) fence: FenceMark,
    machine: Mutex<Option<Shared<RunMachine>>>,
    /// In which order branches that race are polled.
    order: Mutex<Chance>,
    change: Option<Change>,
    counts: Mutex<HashMap<(Vec<Name>, Name), u32>>,
    stopped: AtomicBool,
}

/// How the code differs from the code that wrote the log.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: StepKey,
    pub(crate) how: How,
}

/// What is different at a step or timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Request,
    Effect,
    Sort,
    /// It is not asked for.
    Missing,
    /// Another step is asked for before it.
    Extra,
    /// The agent ends there.
    End,
    /// A step became a timer, or a timer a step.
    Other,
}

impl How {
    pub(crate) const ALL: [Self; 7] =
        [Self::Request, Self::Effect, Self::Sort, Self::Missing, Self::Extra, Self::End, Self::Other];
}

type Doing<'a> = Pin<Box<dyn Future<Output = Result<u64, AgentError>> + Send + 'a>>;

#[derive(Serialize)]
struct Request {
    from: u64,
    pad: String,
}

impl Performance {
    pub(crate) fn new(
        scene: Shared<Scene>,
        fence: FenceMark,
        seed: u64,
        change: Option<Change>,
    ) -> Arc<Self> {
        Arc::new(Self {
            scene,
            fence,
            machine: Mutex::new(None),
            order: Mutex::new(Chance::new(seed)),
            change,
            counts: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    pub(crate) fn work_with(&self, machine: Shared<RunMachine>) {
        *lock(&self.machine) = Some(machine);
    }

    pub(crate) fn machine(&self) -> Shared<RunMachine> {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(machine.as_ref().expect("an attempt has its machine"))
    }

    /// The agent: ends when its program does, or where a change ends it.
    pub(crate) async fn run(self: Arc<Self>, program: Arc<Node>, ctx: Ctx) -> Result<u64, AgentError> {
        let mut doing = perform(&self, ctx, Vec::new(), &program, 1);
        poll_fn(|cx| {
            let polled = doing.as_mut().poll(cx);
            if self.stopped.load(Ordering::SeqCst) {
                return Poll::Ready(Err(AgentError::says("the changed code ends here")));
            }
            polled
        })
        .await
    }

    fn key(&self, path: &[Name], name: &str) -> StepKey {
        let name = Name::new(name).expect("tests use good names");
        let mut counts = lock(&self.counts);
        let nth = counts.entry((path.to_vec(), name.clone())).or_insert(0);
        *nth += 1;
        StepKey { scope: path.to_vec(), name, nth: *nth }
    }

    fn change_at(&self, key: &StepKey) -> Option<How> {
        let change = self.change.as_ref().filter(|change| change.at == *key)?;
        Some(change.how)
    }

    async fn stop(&self) -> u64 {
        self.stopped.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

fn perform<'a>(of: &'a Arc<Performance>, ctx: Ctx, path: Vec<Name>, node: &'a Node, acc: u64) -> Doing<'a> {
    match node {
        Node::Seq(nodes) => Box::pin(async move {
            let mut acc = acc;
            for node in nodes {
                acc = perform(of, ctx.clone(), path.clone(), node, acc).await?;
            }
            Ok(acc)
        }),
        Node::Join(nodes) => {
            let branches = branches(of, &ctx, &path, nodes, acc);
            Box::pin(async move {
                let values = join_all(branches).await;
                let values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(values.into_iter().fold(acc, mix))
            })
        }
        Node::Gather(nodes) => {
            let branches = branches(of, &ctx, &path, nodes, acc);
            Box::pin(async move {
                let mut branches: FuturesUnordered<_> = branches.into_iter().collect();
                let mut acc = acc;
                while let Some(value) = branches.next().await {
                    acc = mix(acc, value?);
                }
                Ok(acc)
            })
        }
        Node::Race(nodes) => {
            let branches = branches(of, &ctx, &path, nodes, acc);
            Box::pin(race(of, branches))
        }
        Node::Limit(millis, node) => Box::pin(async move {
            let key = of.key(&path, "timeout");
            let longer = u64::from(of.change_at(&key).is_some());
            let time = Duration::from_millis(*millis + longer);
            let inner = perform(of, ctx.clone(), path, node, acc);
            match ctx.timeout(time, inner).await {
                Some(value) => value,
                None => Ok(mix(acc, 7)),
            }
        }),
        Node::Heed(node) => Box::pin(async move {
            let mut inner = perform(of, ctx.clone(), path, node, acc);
            let mut cancelled = Box::pin(ctx.cancelled());
            poll_fn(|cx| {
                if cancelled.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(mix(acc, 8)));
                }
                inner.as_mut().poll(cx)
            })
            .await
        }),
        Node::Duel(nodes) => Box::pin(async move { duel(of, ctx, &path, nodes, acc).await }),
        Node::Step(step) => Box::pin(async move { one_step(of, &ctx, &path, step, acc).await }),
        Node::Sleep(millis) => Box::pin(async move { one_sleep(of, &ctx, &path, *millis, acc).await }),
        Node::Keep => Box::pin(async move { Ok(ctx.set_state(&acc).map(|()| mix(acc, 3))?) }),
        Node::Recall => Box::pin(async move {
            let state = ctx.state::<u64>()?;
            Ok(mix(acc, state.map_or(4, |state| mix(state, 5))))
        }),
        Node::Clock => Box::pin(async move { Ok(mix(acc, ctx.now().0)) }),
        Node::Draw => Box::pin(async move { Ok(mix(acc, ctx.random())) }),
        Node::Mint => Box::pin(async move { Ok(mix(acc, ctx.uuid().as_u64_pair().1)) }),
        Node::Fail => Box::pin(async { Err(AgentError::says("the program fails here")) }),
    }
}

fn branches<'a>(
    of: &'a Arc<Performance>,
    ctx: &Ctx,
    path: &[Name],
    nodes: &'a [Node],
    acc: u64,
) -> Vec<Doing<'a>> {
    let branch = |(at, node)| {
        let name = format!("b{at}");
        let ctx = ctx.scope(&name).expect("tests use good names");
        let mut path = path.to_vec();
        path.push(Name::new(&name).expect("tests use good names"));
        perform(of, ctx, path, node, mix(acc, at as u64))
    };
    nodes.iter().enumerate().map(branch).collect()
}

/// What `tokio::select!` does: branches are polled in random order, the first that is ready wins.
async fn race(of: &Performance, branches: Vec<Doing<'_>>) -> Result<u64, AgentError> {
    let mut branches: Vec<_> = branches.into_iter().enumerate().collect();
    poll_fn(|cx| {
        let mut order = lock(&of.order);
        for at in (1..branches.len()).rev() {
            branches.swap(at, order.below(at as u64 + 1) as usize);
        }
        drop(order);
        for (at, branch) in &mut branches {
            if let Poll::Ready(value) = branch.as_mut().poll(cx) {
                return Poll::Ready(value.map(|value| mix(value, *at as u64)));
            }
        }
        Poll::Pending
    })
    .await
}

/// What `tokio::select!` does with calls of one context: their names are counted in the order of the code.
async fn duel(
    of: &Arc<Performance>,
    ctx: Ctx,
    path: &[Name],
    nodes: &[Node],
    acc: u64,
) -> Result<u64, AgentError> {
    let mut branches = Vec::new();
    for node in nodes {
        branches.push(match node {
            Node::Step(step) => one_step(of, &ctx, path, step, acc),
            Node::Sleep(millis) => one_sleep(of, &ctx, path, *millis, acc),
            other => perform(of, ctx.clone(), path.to_vec(), other, acc),
        });
    }
    race(of, branches).await
}

fn one_step<'a>(
    of: &'a Arc<Performance>,
    ctx: &'a Ctx,
    path: &[Name],
    step: &'a Step,
    acc: u64,
) -> Doing<'a> {
    let key = of.key(path, step.name);
    let change = of.change_at(&key);
    let mut effect = step.effect;
    if change == Some(How::Effect) {
        effect = another(effect);
    }
    let mut options = StepOptions::new(step.name, effect).calls(StepSort::Tool).reserving(RESERVED);
    let mut from = acc;
    match change {
        Some(How::Request) => from += 1,
        Some(How::Sort) => options = options.calls(StepSort::Model),
        Some(How::Other) if step.name == "sleep" => {
            let sleep = ctx.sleep(Duration::from_millis(1));
            return Box::pin(async move {
                sleep.await;
                Ok(mix(acc, 12))
            });
        }
        Some(How::Extra | How::Effect | How::Missing | How::End | How::Other) | None => {}
    }
    if let Some(within) = step.within {
        options = options.within(within);
    }
    let pad = if step.large { "x".repeat(9_000) } else { String::new() };
    let request = Request { from, pad };
    let (within, instant) = (step.within, step.instant);
    let work = move |call: StepCall| working(of, key, effect, within, instant, call);
    // Its name is counted in any case: otherwise the next step of this name would be taken for it.
    let asked = ctx.step_with::<_, Value, _, _>(options, &request, work);
    Box::pin(async move {
        match change {
            Some(How::Missing | How::Other) => return Ok(mix(acc, 11)),
            Some(How::End) => return Ok(of.stop().await),
            Some(How::Extra) => {
                let work = |call| working(of, extra(), Effect::Pure, None, true, call);
                let _: Value = ctx.step("extra", Effect::Pure, &0, work).await?;
            }
            _ => {}
        }
        match asked.await {
            Ok(value) => Ok(mix(mix(acc, value.number), value.pad.len() as u64)),
            Err(error) if step.strict => Err(error.into()),
            Err(StepError::Failed { failure, .. }) => Ok(mix(acc, hash(&failure.message))),
            Err(StepError::Cancelled { .. }) => Ok(mix(acc, 9)),
            Err(error) => Err(error.into()),
        }
    })
}

fn one_sleep<'a>(of: &'a Arc<Performance>, ctx: &'a Ctx, path: &[Name], millis: u64, acc: u64) -> Doing<'a> {
    let key = of.key(path, "sleep");
    let change = of.change_at(&key);
    if change == Some(How::Other) {
        let work = |_| async { Ok::<u64, AgentError>(0) };
        let asked = ctx.step("sleep", Effect::Repeatable, &0, work);
        return Box::pin(async move { Ok(mix(acc, asked.await?)) });
    }
    let longer = u64::from(change.is_some());
    let sleep = ctx.sleep(Duration::from_millis(millis + longer));
    Box::pin(async move {
        match change {
            Some(How::Missing) => return Ok(acc),
            Some(How::End) => return Ok(of.stop().await),
            _ => sleep.await,
        }
        Ok(mix(acc, 6))
    })
}

/// The work of a step: it begins when it is built, and ends when it or the scheduler says so.
fn working(
    of: &Arc<Performance>,
    key: StepKey,
    effect: Effect,
    within: Option<Duration>,
    instant: bool,
    call: StepCall,
) -> impl Future<Output = Result<Value, AgentError>> + Send + use<> {
    let of = Arc::clone(of);
    let dispatch = Dispatch {
        effect,
        within,
        try_no: call.try_no(),
        idempotency_key: call.idempotency_key(),
        fence: call.fence(),
        key,
    };
    let id = lock(&of.scene).begin(&dispatch, &of);
    if instant {
        let value = Value { number: mix(id, hash(&dispatch.idempotency_key)), pad: String::new() };
        lock(&of.scene).complete(id, Ok(value));
    }
    let under_way = UnderWay { of, id };
    async move {
        let result = poll_fn(|cx| under_way.poll(cx.waker())).await;
        call.used(USED);
        result.map_err(AgentError::says)
    }
}

/// A job of the scene; gone from there when it is dropped.
struct UnderWay {
    of: Arc<Performance>,
    id: u64,
}

impl UnderWay {
    fn poll(&self, waker: &std::task::Waker) -> Poll<JobResult> {
        let mut scene = lock(&self.of.scene);
        let job = scene.jobs.iter_mut().find(|job| job.id == self.id);
        let job = job.expect("a job is there until it is dropped");
        match &job.result {
            Some(result) => Poll::Ready(result.clone()),
            None => {
                job.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.of.scene).jobs.retain(|job| job.id != self.id);
    }
}

fn another(effect: Effect) -> Effect {
    if effect == Effect::Repeatable { Effect::AtMostOnce } else { Effect::Repeatable }
}

fn extra() -> StepKey {
    StepKey::first(Name::new("extra").expect("a good name"))
}

/// Two numbers into one; the order matters.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    Chance::new(a.rotate_left(17) ^ b).bits()
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(2, |acc, byte| mix(acc, u64::from(byte)))
}
