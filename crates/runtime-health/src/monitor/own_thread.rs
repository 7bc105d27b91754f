//! A thread of its own, for looks that must go on while all others are blocked.

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// An executor with a thread of its own, which begins when it is first needed and ends with this.
#[derive(Debug, Default)]
pub(super) struct OwnThread(OnceLock<Option<Running>>);

#[derive(Debug)]
struct Running {
    handle: Handle,
    _alive: oneshot::Sender<()>,
}

impl OwnThread {
    /// The executor; `None` where the system gives no thread.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.0.get_or_init(|| begin().ok()).as_ref().map(|running| &running.handle)
    }
}

fn begin() -> io::Result<Running> {
    let executor = Builder::new_current_thread().enable_all().build()?;
    let handle = executor.handle().clone();
    let (alive, ended) = oneshot::channel::<()>();
    std::thread::Builder::new().name("runtime-health".to_owned()).spawn(move || {
        // It is never sent anything: it ends when the other side is dropped.
        let _ = executor.block_on(ended);
    })?;
    Ok(Running { handle, _alive: alive })
}
