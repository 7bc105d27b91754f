//! Work beside the agent's own future: tasks, and calls that block.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use thiserror::Error;

/// A task as the engine takes it: polled until it ends.
pub type SpawnedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call as the engine takes it: called once, on a thread that it may block. It does not unwind.
pub type Blocking = Box<dyn FnOnce() + Send>;

/// Work that was begun beside the agent's own, by [`Ctx::spawn`] or [`Ctx::blocking`]. Awaiting it gives its value; dropping
/// it leaves the work alone.
///
/// [`Ctx::spawn`]: crate::agent::Ctx::spawn
/// [`Ctx::blocking`]: crate::agent::Ctx::blocking
#[must_use = "its value comes when it is awaited"]
pub struct Task<T> {
    end: Arc<Mutex<End<T>>>,
}

/// Why work beside the agent's own has no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TaskError {
    /// It panicked.
    #[error("it panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// It was dropped before its end, with the futures of the agent that began it.
    #[error("it was dropped with the agent that began it")]
    Dropped,
}

/// How far it is.
enum End<T> {
    UnderWay(Option<Waker>),
    Over(Result<T, TaskError>),
    Taken,
}

/// Says how work ended; that it was dropped, if nothing else is said.
struct Ending<T>(Option<Arc<Mutex<End<T>>>>);

impl<T> Ending<T> {
    fn say(&mut self, result: Result<T, TaskError>) {
        let Some(end) = self.0.take() else { return };
        let before = std::mem::replace(&mut *lock(&end), End::Over(result));
        if let End::UnderWay(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.say(Err(TaskError::Dropped));
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut end = lock(&self.end);
        match std::mem::replace(&mut *end, End::Taken) {
            End::Over(result) => Poll::Ready(result),
            End::UnderWay(_) => {
                *end = End::UnderWay(Some(cx.waker().clone()));
                Poll::Pending
            }
            // It was given away: there is no second one.
            End::Taken => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*lock(&self.end) {
            End::UnderWay(_) => "Task(under way)",
            End::Over(_) => "Task(over)",
            End::Taken => "Task(taken)",
        })
    }
}

fn begun<T>() -> (Ending<T>, Task<T>) {
    let end = Arc::new(Mutex::new(End::UnderWay(None)));
    (Ending(Some(Arc::clone(&end))), Task { end })
}

pub(super) fn task<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> (SpawnedTask, Task<T>) {
    let (mut ending, task) = begun();
    let spawned = async move {
        let mut work = std::pin::pin!(work);
        let result =
            std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
            });
        ending.say(result.await);
    };
    (Box::pin(spawned), task)
}

pub(super) fn blocking_call<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (Blocking, Task<T>) {
    let (mut ending, task) = begun();
    let call = move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        ending.say(result.map_err(|panic| panicked(panic.as_ref())));
    };
    (Box::new(call), task)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let message = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    TaskError::Panicked { message }
}

/// A lock whose holder panicked is still a lock: what it guards is changed in single assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
