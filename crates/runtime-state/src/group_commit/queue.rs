//! Batches on their way to the committer, in the order in which their futures were first polled.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_traits::store::Batch;

use super::answers::{Reply, Sleepers};

/// More jobs than there can be: the committer is at work.
const AWAKE: usize = usize::MAX;

/// How long callers whose answer is there may have to wait for one of them to wake the others.
const A_MOMENT: Duration = Duration::from_micros(100);

/// As many jobs are worth waking the committer for while it waits for more.
const A_SHARE: usize = 16;

/// A batch and whom to tell.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) reply: Reply,
}

/// Why a job was not taken in.
#[derive(Debug)]
pub(crate) enum NotQueued {
    Full,
    /// The committer has ended.
    Closed,
}

/// What the committer finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Batches, in their order.
    Group,
    /// None, but a reader has seen an I/O error.
    Nudge,
    /// None, and none will come.
    Closed,
}

/// A bounded queue. Its own, because a group is taken under one lock, and a waiting committer is woken once.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    bound: usize,
    /// Callers of the last group.
    pub(crate) sleepers: Sleepers,
}

#[derive(Debug)]
struct Waiting {
    jobs: VecDeque<Job>,
    nudged: bool,
    closed: bool,
    /// How many jobs wake the committer; waking it costs a system call.
    wake_at: usize,
}

impl Waiting {
    fn move_into(&mut self, group: &mut Vec<Job>, most: usize) {
        let count = self.jobs.len().min(most.saturating_sub(group.len()));
        group.extend(self.jobs.drain(..count));
    }
}

impl Queue {
    pub(crate) fn new(bound: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), nudged: false, closed: false, wake_at: AWAKE };
        Self {
            waiting: Mutex::new(waiting),
            filled: Condvar::new(),
            bound: bound.max(1),
            sleepers: Sleepers::default(),
        }
    }

    /// Takes the job in, unless the queue is full or closed. Does not wait: a batch that waited for room would be lost
    /// when its future is dropped.
    pub(crate) fn push(&self, job: Job) -> Result<(), NotQueued> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(NotQueued::Closed);
        }
        if waiting.jobs.len() >= self.bound {
            return Err(NotQueued::Full);
        }
        waiting.jobs.push_back(job);
        self.wake(waiting);
        Ok(())
    }

    /// Asks the committer to look at the file.
    pub(crate) fn nudge(&self) {
        let mut waiting = self.lock();
        waiting.nudged = true;
        self.wake(waiting);
    }

    /// Takes no more; what is queued is still served.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.wake(waiting);
    }

    /// Throws away what is queued: its callers learn that no answer comes.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let jobs = mem::take(&mut waiting.jobs);
        drop(waiting);
        drop(jobs);
        self.sleepers.wake_all();
    }

    /// Waits for something, and takes at most `most` jobs into the empty `group`.
    pub(crate) fn take(&self, group: &mut Vec<Job>, most: usize) -> Taken {
        let mut waiting = self.lock();
        loop {
            if !waiting.jobs.is_empty() {
                waiting.move_into(group, most);
                return Taken::Group;
            }
            if mem::take(&mut waiting.nudged) {
                return Taken::Nudge;
            }
            if waiting.closed {
                return Taken::Closed;
            }
            let time = (!self.sleepers.is_empty()).then_some(A_MOMENT);
            let in_time;
            (waiting, in_time) = self.sleep(waiting, 1, time);
            if !in_time {
                drop(waiting);
                self.sleepers.wake_all();
                waiting = self.lock();
            }
        }
    }

    /// Takes what has come since, up to `most` in the group; waits for it, if there is nothing and `patience` is left.
    ///
    /// The callers of the last group come back when they have their answers. Committing without most of them would
    /// spend a sync on a few batches and leave the rest to the next. So while there are fewer than `expected`, this
    /// waits for the others. Once they do not come in time, there is no patience left.
    pub(crate) fn take_more(
        &self,
        group: &mut Vec<Job>,
        expected: usize,
        most: usize,
        patience: &mut Duration,
    ) {
        let mut waiting = self.lock();
        let missing = expected.min(most).saturating_sub(group.len());
        if waiting.jobs.is_empty() && missing > 0 && !patience.is_zero() && !waiting.closed {
            let in_time;
            (waiting, in_time) = self.sleep(waiting, missing.min(A_SHARE), Some(*patience));
            if !in_time {
                *patience = Duration::ZERO;
            }
        }
        waiting.move_into(group, most);
        drop(waiting);
        self.sleepers.wake_all();
    }

    /// Sleeps until that many jobs are here; answers whether something came in time.
    fn sleep<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        wake_at: usize,
        time: Option<Duration>,
    ) -> (MutexGuard<'a, Waiting>, bool) {
        waiting.wake_at = wake_at;
        let (mut waiting, in_time) = match time {
            None => (self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner), true),
            Some(time) => {
                let woken = self.filled.wait_timeout(waiting, time);
                let (waiting, ended) = woken.unwrap_or_else(PoisonError::into_inner);
                (waiting, !ended.timed_out())
            }
        };
        waiting.wake_at = AWAKE;
        (waiting, in_time)
    }

    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let asleep = waiting.wake_at != AWAKE;
        let due = waiting.jobs.len() >= waiting.wake_at || waiting.nudged || waiting.closed;
        if asleep && due {
            // Once is enough: until it runs, others need not wake it again.
            waiting.wake_at = AWAKE;
            drop(waiting);
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
