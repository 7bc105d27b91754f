//! What rings when there may be something to work on in one of many topics.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// What rings when there may be something to work on in one of many topics.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Told to the reader.
    pub(super) ready: Notify,
    /// Told to the task that opens topics.
    pub(super) look: Notify,
    /// Whether topics wait to be opened.
    pub(super) crowded: AtomicBool,
}

impl Bell {
    /// There may be something to work on.
    pub(super) fn ring(&self) {
        self.ready.notify_waiters();
        self.look();
    }

    /// A topic may be closed for another one.
    pub(super) fn look(&self) {
        if self.crowded.load(Ordering::Acquire) {
            self.look.notify_one();
        }
    }
}
