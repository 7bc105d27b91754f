//! The runs that ended in this process and may be let go: a queue with a bound.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use runtime_traits::runtime::RuntimeError;
use tokio::sync::Notify;

use super::inner::Inner;
use super::run_slot::{Logged, lock};
use crate::engine::batches::Place;

/// Ended runs above the cap that are let go together.
const SLACK: usize = 1_024;
/// How many more may wait to be let go before no run begins.
const MOST_WAITING: usize = 4_096;

/// A run that ended in this process.
#[derive(Clone, Debug)]
pub(super) struct Over {
    pub(super) place: Place,
    /// Its log, if this process wrote all of it.
    pub(super) log: Option<Logged>,
}

/// The runs that ended in this process, oldest first: as many as are kept, and those that wait to be let go.
#[derive(Debug, Default)]
pub(super) struct Ended {
    runs: Mutex<VecDeque<Over>>,
    /// How many there are, those with them that are being let go just now.
    count: AtomicUsize,
    /// There are some to be let go.
    many: Notify,
    /// Some were let go.
    fewer: Notify,
}

impl Ended {
    /// Nothing is being let go. What was in hand when that panicked stays in the store.
    pub(super) fn begin(&self) {
        let runs = lock(&self.runs);
        self.count.store(runs.len(), Ordering::Relaxed);
        drop(runs);
        self.fewer.notify_waiters();
    }

    /// Waits until there are some to be let go, and takes those above `cap`.
    pub(super) async fn above(&self, cap: usize) -> Vec<Over> {
        self.many.notified().await;
        let mut runs = lock(&self.runs);
        let above = runs.len().saturating_sub(cap);
        runs.drain(..above).collect()
    }

    /// So many of them are gone, or stay for good.
    pub(super) fn let_go(&self, runs: usize) {
        let less = |count: usize| Some(count.saturating_sub(runs));
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.fewer.notify_waiters();
    }
}

impl Inner {
    /// Remembers that a run ended, if ended runs are capped.
    pub(super) fn note_ended(&self, over: Over) {
        let Some(cap) = self.config.max_ended else { return };
        let mut runs = lock(&self.ended.runs);
        runs.push_back(over);
        self.ended.count.fetch_add(1, Ordering::Relaxed);
        if runs.len() >= cap.saturating_add(SLACK) {
            self.ended.many.notify_one();
        }
    }

    /// Whether so many ended runs wait to be let go that no further run begins.
    pub(super) fn is_behind(&self) -> bool {
        let most = |cap: usize| cap.saturating_add(SLACK + MOST_WAITING);
        self.config.max_ended.is_some_and(|cap| self.ended.count.load(Ordering::Relaxed) >= most(cap))
    }

    /// Waits while too many ended runs wait to be let go. Nothing is held meanwhile that letting go needs.
    ///
    /// # Errors
    /// [`RuntimeError::ShuttingDown`], if the runtime ends meanwhile.
    pub(super) async fn until_let_go(&self) -> Result<(), RuntimeError> {
        while self.is_behind() {
            let mut fewer = pin!(self.ended.fewer.notified());
            fewer.as_mut().enable();
            // It may have come before somebody waited for it.
            if !self.is_behind() {
                break;
            }
            tokio::select! {
                () = fewer => {}
                () = self.ending.cancelled() => return Err(RuntimeError::ShuttingDown),
            }
        }
        Ok(())
    }

    /// Begins the next run of a session when ended runs have been let go. Until then it is in the queue, where it can be
    /// cancelled.
    pub(super) fn begin_later(self: &Arc<Self>, place: Place) {
        let inner = Arc::clone(self);
        self.spawn_work(async move {
            if inner.until_let_go().await.is_ok() {
                inner.begin_next(&place);
            }
        });
    }
}
