//! Answers on their way back to their callers.
//!
//! A group has up to 64 callers, and to wake a task from outside its executor costs a lock and often a system call.
//! So the committer wakes one of them, and that one wakes the others from within, which is cheap. Whoever was woken
//! may have something else to do first. So the committer looks again after a moment, and wakes those who still sleep.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use runtime_traits::store::{Batch, Committed, StateError};

pub(crate) type Answer = Result<Committed, StateError>;

/// The caller's end: a future that is `None` when no answer will come.
#[derive(Debug)]
pub(crate) struct Caller(Arc<Mutex<State>>);

/// The committer's end. Dropped without an answer, it tells the caller so.
#[derive(Debug)]
pub(crate) struct Reply(Arc<Mutex<State>>);

/// Callers whose answer is there and who were not woken yet.
#[derive(Debug, Default)]
pub(crate) struct Sleepers(Mutex<Vec<Waker>>);

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    /// With the batch, which the caller's thread can free faster than the committer's.
    Answered(Option<(Answer, Batch)>),
}

/// Both ends for one batch.
pub(crate) fn pair() -> (Reply, Caller) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    (Reply(Arc::clone(&state)), Caller(state))
}

impl Reply {
    /// Puts the answer down, and hands out whom to wake for it.
    pub(crate) fn put(self, answer: Answer, batch: Batch) -> Option<Waker> {
        self.end(Some((answer, batch)))
    }

    fn end(&self, answer: Option<(Answer, Batch)>) -> Option<Waker> {
        let mut state = lock(&self.0);
        match &mut *state {
            State::Answered(_) => None,
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Answered(answer);
                waker
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(waker) = self.end(None) {
            waker.wake();
        }
    }
}

impl Future for Caller {
    type Output = Option<Answer>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *lock(&self.0) {
            State::Answered(answer) => Poll::Ready(answer.take().map(|(answer, _)| answer)),
            State::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Sleepers {
    /// Wakes one of `wakers`, and leaves the others for it to wake.
    pub(crate) fn wake_one_of(&self, mut wakers: Vec<Waker>) {
        let Some(first) = wakers.pop() else { return };
        let before = mem::replace(&mut *lock(&self.0), wakers);
        before.into_iter().for_each(Waker::wake);
        first.wake();
    }

    /// Wakes those who still sleep.
    pub(crate) fn wake_all(&self) {
        let wakers = mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether all are awake.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
