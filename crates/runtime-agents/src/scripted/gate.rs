//! A place where a scripted model waits.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A place where a turn waits until it is let through: tests need no time for it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Both>);

#[derive(Debug)]
struct Both {
    reached: Semaphore,
    passes: Semaphore,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Both { reached: Semaphore::new(0), passes: Semaphore::new(0) }))
    }

    /// Lets one turn through: one that waits, or the next that comes.
    pub fn open(&self) {
        self.0.passes.add_permits(1);
    }

    /// Waits until a turn has come to the gate; each arrival ends one such wait.
    pub async fn reached(&self) {
        take(&self.0.reached).await;
    }

    /// Comes to the gate, and waits to be let through.
    pub async fn pass(&self) {
        self.0.reached.add_permits(1);
        take(&self.0.passes).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

async fn take(semaphore: &Semaphore) {
    semaphore.acquire().await.expect("the semaphores of a gate are never closed").forget();
}
