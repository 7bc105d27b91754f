//! A way to a server that a test can break.

use std::fmt;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

/// Listens on a socket of its own and passes everything on to another one, until it is told otherwise.
///
/// It ends, with all connections through it, when it is dropped.
pub struct CutProxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    refuses: bool,
    loses_replies: bool,
    ended: bool,
    /// The connections. Each is closed when nothing passes through it any more.
    open: Vec<Weak<Ends>>,
}

/// Both ends of a connection.
struct Ends {
    client: UnixStream,
    server: UnixStream,
}

impl Ends {
    /// Both learn that the other has gone.
    fn cut(&self) {
        for stream in [&self.client, &self.server] {
            // One that its owner has closed needs no cutting.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl CutProxy {
    /// A way to the server at the socket `to`.
    ///
    /// # Panics
    /// When there is no room for a socket.
    pub fn before(to: &Path) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let listener = UnixListener::bind(folder.path().join("proxy.sock")).expect("the folder is new");
        let state = Arc::new(Mutex::new(State::default()));
        let (to, accepted) = (to.to_path_buf(), Arc::clone(&state));
        let accepting = Some(thread::spawn(move || accept(&listener, &to, &accepted)));
        Self { folder, state, accepting }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("proxy.sock")
    }

    /// Cuts all connections, at once and in both directions.
    pub fn cut(&self) {
        let open = std::mem::take(&mut lock(&self.state).open);
        open.iter().filter_map(Weak::upgrade).for_each(|ends| ends.cut());
    }

    /// Whether new connections are cut as soon as they are made.
    pub fn refuse(&self, refuse: bool) {
        lock(&self.state).refuses = refuse;
    }

    /// Whether what the server answers is thrown away.
    pub fn lose_replies(&self, lose: bool) {
        lock(&self.state).loses_replies = lose;
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
        self.cut();
        // Wakes the thread that accepts.
        let _ = UnixStream::connect(self.socket());
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl fmt::Debug for CutProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutProxy").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn accept(listener: &UnixListener, to: &Path, state: &Arc<Mutex<State>>) {
    let mut moving: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if lock(state).ended {
            break;
        }
        let Ok(client) = stream else { continue };
        // Whoever connects while the server is away is cut off too.
        let Ok(server) = UnixStream::connect(to) else { continue };
        let ends = Arc::new(Ends { client, server });
        {
            let mut state = lock(state);
            if state.refuses {
                continue;
            }
            state.open.retain(|ends| ends.strong_count() > 0);
            state.open.push(Arc::downgrade(&ends));
        }
        // What is over needs no thread, and no waiting at the end.
        moving.retain(|thread| !thread.is_finished());
        let there = Arc::clone(&ends);
        moving.push(thread::spawn(move || pass(&there, &there.client, &there.server, || false)));
        let state = Arc::clone(state);
        let loses = move || lock(&state).loses_replies;
        moving.push(thread::spawn(move || pass(&ends, &ends.server, &ends.client, loses)));
    }
    for thread in moving {
        // A thread that panicked moves no more bytes either.
        let _ = thread.join();
    }
}

fn pass(ends: &Ends, mut from: &UnixStream, mut to: &UnixStream, loses: impl Fn() -> bool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !loses() && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    ends.cut();
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing under this lock can panic half way.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
