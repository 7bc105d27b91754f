//! What an agent does beside its own future: tasks that are polled with it, and calls that block threads of their own.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime_traits::agent::{AgentError, Blocking, SpawnedTask};
use runtime_traits::content::Content;
use runtime_traits::meter::AttemptMeter;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::run_slot::{RunSlot, lock};

/// How many calls of one attempt block threads at once; the others wait for their turn.
const BLOCKED_AT_ONCE: usize = 8;

/// What an attempt does beside its agent's own future.
pub(super) struct Beside {
    slot: Arc<RunSlot>,
    meter: Arc<dyn AttemptMeter>,
    tasks: TaskTracker,
    workers: Handle,
    begun: Mutex<Begun>,
}

#[derive(Default)]
struct Begun {
    /// Tasks that have not been polled.
    tasks: Vec<SpawnedTask>,
    /// How many threads are blocked.
    blocked: usize,
    /// What waits for a thread.
    waiting: VecDeque<Blocking>,
    /// The agent's futures are gone: nothing begins any more.
    over: bool,
}

/// The agent's own future and its tasks: ready when the first is, whatever the others do.
pub(super) struct WithTasks {
    agent: Pin<Box<dyn Future<Output = Result<Content, AgentError>> + Send>>,
    tasks: FuturesUnordered<SpawnedTask>,
    beside: Arc<Beside>,
}

impl Beside {
    pub(super) fn new(
        slot: Arc<RunSlot>,
        meter: Arc<dyn AttemptMeter>,
        tasks: TaskTracker,
        workers: Handle,
    ) -> Arc<Self> {
        Arc::new(Self { slot, meter, tasks, workers, begun: Mutex::default() })
    }

    /// Polls a task from now on.
    pub(super) fn spawn(&self, task: SpawnedTask) {
        let mut begun = lock(&self.begun);
        if begun.over {
            drop(begun);
            return drop(task);
        }
        begun.tasks.push(task);
        drop(begun);
        self.slot.signal.raise();
    }

    /// Calls this on a thread of its own, or when one of those before it is over.
    pub(super) fn block(self: &Arc<Self>, work: Blocking) {
        let mut begun = lock(&self.begun);
        if begun.over {
            drop(begun);
            return drop(work);
        }
        if begun.blocked == BLOCKED_AT_ONCE {
            return begun.waiting.push_back(work);
        }
        begun.blocked += 1;
        drop(begun);
        let beside = Arc::clone(self);
        self.tasks.spawn_blocking_on(
            move || {
                let mut next = Some(work);
                while let Some(work) = next {
                    let mut work = Some(work);
                    beside.meter.block(&mut || {
                        if let Some(work) = work.take() {
                            work();
                        }
                    });
                    next = beside.next();
                }
            },
            &self.workers,
        );
    }

    /// What a thread does next. `None`: nothing, it is free.
    fn next(&self) -> Option<Blocking> {
        let mut begun = lock(&self.begun);
        let next = begun.waiting.pop_front();
        if next.is_none() {
            begun.blocked -= 1;
            drop(begun);
            self.slot.signal.raise();
        }
        next
    }

    /// Whether threads are blocked.
    pub(super) fn is_blocking(&self) -> bool {
        lock(&self.begun).blocked > 0
    }

    /// From now on nothing begins. What has not begun is to be dropped.
    fn end(&self) -> (Vec<SpawnedTask>, VecDeque<Blocking>) {
        let mut begun = lock(&self.begun);
        begun.over = true;
        (std::mem::take(&mut begun.tasks), std::mem::take(&mut begun.waiting))
    }
}

impl WithTasks {
    pub(super) fn new(
        agent: impl Future<Output = Result<Content, AgentError>> + Send + 'static,
        beside: Arc<Beside>,
    ) -> Self {
        Self { agent: Box::pin(agent), tasks: FuturesUnordered::new(), beside }
    }

    /// Polls the tasks as far as they go. Whether one has ended, so that somebody may have waited for it.
    fn poll_tasks(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        loop {
            let begun = std::mem::take(&mut lock(&self.beside.begun).tasks);
            let more = !begun.is_empty();
            self.tasks.extend(begun);
            match self.tasks.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => ended = true,
                Poll::Ready(None) | Poll::Pending if more => {}
                Poll::Ready(None) | Poll::Pending => return ended,
            }
        }
    }
}

// Its parts are boxed: it may be moved.
impl Future for WithTasks {
    type Output = Result<Content, AgentError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Poll::Ready(result) = self.agent.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if !self.poll_tasks(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for WithTasks {
    fn drop(&mut self) {
        drop(self.beside.end());
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").field("slot", &self.slot).finish_non_exhaustive()
    }
}
