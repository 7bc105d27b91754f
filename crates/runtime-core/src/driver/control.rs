//! A thread of its own for what has to go on while agents block theirs.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the executor's clock may stand still.
const PULSE: Duration = Duration::from_millis(100);

/// Where control runs, and where agents do.
///
/// An agent that blocks its thread takes with it what that thread would have run next, and, if it was the one that waited
/// for time and sockets, these too: tokio hands that duty on only when another thread comes to rest
/// (<https://github.com/tokio-rs/tokio/issues/4730>). So timers, cancels and verdicts run in a thread that runs no agent,
/// and ten times in a second that thread gives the executor something to do.
///
/// On an executor of one thread there is no other: all runs there, and an agent that blocks it blocks everything.
#[derive(Debug)]
pub(super) struct Control {
    control: Handle,
    workers: Handle,
    /// Ends the thread, when the last task that could need it is gone.
    _thread: Option<DropGuard>,
}

impl Control {
    /// Control for the executor that this is called on.
    pub(super) fn begin() -> Self {
        let workers = Handle::current();
        if workers.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Self { control: workers.clone(), workers, _thread: None };
        }
        Self::beside(&workers).unwrap_or_else(|error| {
            tracing::warn!(%error, "control has no thread of its own: an agent that blocks its thread may hold it up");
            Self { control: workers.clone(), workers, _thread: None }
        })
    }

    fn beside(workers: &Handle) -> io::Result<Self> {
        let executor = Builder::new_current_thread().enable_time().build()?;
        let control = executor.handle().clone();
        let ending = CancellationToken::new();
        let (ended, pulse) = (ending.clone(), workers.clone());
        std::thread::Builder::new().name("runtime-control".to_owned()).spawn(move || {
            executor.block_on(ended.run_until_cancelled(keep_alive(pulse)));
        })?;
        Ok(Self { control, workers: workers.clone(), _thread: Some(ending.drop_guard()) })
    }

    /// Where everything runs that agents must not be able to stop.
    pub(super) fn control(&self) -> &Handle {
        &self.control
    }

    /// Where agents run.
    pub(super) fn workers(&self) -> &Handle {
        &self.workers
    }
}

/// Wakes a thread of the executor every now and then: one that finds nothing to do waits for time and sockets.
async fn keep_alive(workers: Handle) {
    loop {
        tokio::time::sleep(PULSE).await;
        drop(workers.spawn(std::future::ready(())));
    }
}
