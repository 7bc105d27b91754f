//! Batches on their way to the committer, in the order in which their futures were first polled.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use runtime_traits::store::{Batch, Committed, StateError};
use tokio::sync::oneshot;

/// A batch and whom to tell.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<Committed, StateError>>,
}

/// There is no room for the job.
#[derive(Debug)]
pub(super) struct Full;

/// What the committer finds.
#[derive(Debug)]
pub(super) enum Taken {
    /// Batches, in their order.
    Group(Vec<Job>),
    /// None, but a reader has seen an I/O error.
    Nudge,
    /// None, and none will come.
    Closed,
}

/// A bounded queue. Its own, because a group is taken under one lock, and a waiting committer is woken once.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    bound: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    nudged: bool,
    closed: bool,
    /// Whether the committer sleeps: waking it costs a system call.
    asleep: bool,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Self { waiting: Mutex::default(), filled: Condvar::new(), bound: bound.max(1) }
    }

    /// Takes the job in, unless the queue is full or closed. Does not wait: a batch that waited for
    /// room would be lost when its future is dropped.
    pub(super) fn push(&self, job: Job) -> Result<(), Full> {
        let mut waiting = self.lock();
        if waiting.closed || waiting.jobs.len() >= self.bound {
            return Err(Full);
        }
        waiting.jobs.push_back(job);
        self.wake(waiting);
        Ok(())
    }

    /// Asks the committer to look at the file.
    pub(super) fn nudge(&self) {
        let mut waiting = self.lock();
        waiting.nudged = true;
        self.wake(waiting);
    }

    /// Takes no more; what is queued is still served.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.wake(waiting);
    }

    /// Throws away what is queued: its senders see that no answer comes.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        drop(jobs);
    }

    /// Waits for something, and takes at most `most` jobs.
    pub(super) fn take(&self, most: usize) -> Taken {
        let mut waiting = self.lock();
        loop {
            if !waiting.jobs.is_empty() {
                let count = waiting.jobs.len().min(most);
                return Taken::Group(waiting.jobs.drain(..count).collect());
            }
            if std::mem::take(&mut waiting.nudged) {
                return Taken::Nudge;
            }
            if waiting.closed {
                return Taken::Closed;
            }
            waiting.asleep = true;
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.asleep = false;
        }
    }

    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let asleep = waiting.asleep;
        drop(waiting);
        if asleep {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
