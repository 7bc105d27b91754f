//! Counts executions.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use runtime_traits::Clock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::{Begun, Execution};

/// Counts executions for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counter {
    told: Arc<Mutex<Vec<Execution>>>,
    _listening: JoinSet<()>,
}

impl Counter {
    /// Listens on the unix socket at `path`.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn listen(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, Arc::clone(&told), clock));
        Ok(Self { told, _listening: listening })
    }

    /// All executions so far, in the order in which they were told.
    pub(crate) fn executions(&self) -> Vec<Execution> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: UnixListener, told: Arc<Mutex<Vec<Execution>>>, clock: Arc<dyn Clock>) {
    let mut executions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    executions.spawn(take(stream, Arc::clone(&told), Arc::clone(&clock)));
                }
                // Too many open files, say: the one who waits is served when some are closed.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            Some(_) = executions.join_next() => {}
        }
    }
}

/// Takes one execution. A process that dies in its midst leaves it without an end.
async fn take(stream: UnixStream, told: Arc<Mutex<Vec<Execution>>>, clock: Arc<dyn Clock>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let Ok(begun) = serde_json::from_str::<Begun>(&line) else { return Ok(()) };
    let nth = {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let tick = told.len() as u64 + 1;
        told.push(Execution { tick, at: clock.now(), begun, ended: false });
        told.len() - 1
    };
    stream.get_mut().write_all(b"ok\n").await?;
    line.clear();
    stream.read_line(&mut line).await?;
    if line == "end\n" {
        told.lock().unwrap_or_else(PoisonError::into_inner)[nth].ended = true;
        stream.get_mut().write_all(b"ok\n").await?;
    }
    Ok(())
}
