//! Redis servers, started as processes of their own.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::installed;

/// How often a server is started anew because somebody took its port.
const TRIES: usize = 5;

/// A Redis server with a folder, a socket and a port of its own. Killed when dropped.
///
/// It syncs its append-only file before it answers, unless its settings say otherwise.
pub struct RedisServer {
    folder: TempDir,
    settings: Vec<String>,
    under: Vec<OsString>,
    running: Mutex<Running>,
}

struct Running {
    child: Child,
    /// Its own: the child may be the program under which it runs.
    pid: u32,
    port: u16,
}

impl RedisServer {
    /// Starts one.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more settings, as on its command line: `["appendfsync", "everysec"]`.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_under(Vec::new(), settings)
    }

    /// Starts one under another program: its name and its arguments, which those of the server follow.
    ///
    /// # Panics
    /// When one of the two is not installed, or does not start.
    pub fn start_under(under: Vec<OsString>, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let settings: Vec<String> =
            settings.chunks(2).flat_map(|pair| [format!("--{}", pair[0]), pair[1..].join(" ")]).collect();
        let running = Mutex::new(begin(folder.path(), &under, &settings));
        Self { folder, settings, under, running }
    }

    /// The folder that holds its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.lock().port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.lock().pid
    }

    /// The URI of one of its databases.
    pub fn uri(&self, database: u32) -> String {
        format!("redis+unix://{}?db={database}", self.socket().display())
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&self) {
        let mut running = self.lock();
        running.kill().expect("its own child");
        running.child.wait().expect("its own child");
    }

    /// Starts it again in its folder if it has ended.
    ///
    /// # Panics
    /// When it does not start.
    pub fn revive(&self) {
        let mut running = self.lock();
        if running.child.try_wait().expect("its own child").is_some() {
            *running = begin(self.folder.path(), &self.under, &self.settings);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn wait(&self) {
        self.lock().child.wait().expect("its own child");
    }

    /// What it answers to a command, as lines; an error begins with `-`.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn say(&self, words: &[&str]) -> String {
        say(&self.socket(), words)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // Nothing under this lock can panic half way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let mut running = self.lock();
        let _ = running.kill();
        let _ = running.child.wait();
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Running {
    fn kill(&mut self) -> io::Result<()> {
        // One that has ended is not there any more, and its id may be somebody else's.
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid as i32).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(pid, Signal::KILL)?)
    }
}

fn say(socket: &Path, words: &[&str]) -> String {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    let mut asked = format!("*{}\r\n", words.len());
    for word in words {
        asked.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(asked.as_bytes()).expect("it reads");
    answer(&mut BufReader::new(stream))
}

/// The id that a server has as a process.
fn process_of(socket: &Path) -> u32 {
    let facts = say(socket, &["INFO", "server"]);
    let id = facts.lines().find_map(|line| line.strip_prefix("process_id:")).expect("it knows itself");
    id.trim().parse().expect("a number")
}

fn begin(folder: &Path, under: &[OsString], settings: &[String]) -> Running {
    let mut said = String::new();
    for _ in 0..TRIES {
        // Free now; if somebody is quicker, the server says so and ends.
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = port.expect("there is a free port").port();
        let mut words = under.to_vec();
        words.push(installed("AGENT_RUNTIME_REDIS_SERVER"));
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(folder)
            .args(["--databases", "1024", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(["--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"])
            .args(settings)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the Redis server can be started");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        while output.read_line(&mut line).expect("its output is text") > 0 {
            // Its last line before it serves, of both the port and the socket.
            if line.contains("ready to accept connections at") {
                // What else it says is read by nobody, and must not block it.
                std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
                let under_another = || process_of(&folder.join("redis.sock"));
                let pid = if under.is_empty() { child.id() } else { under_another() };
                return Running { child, pid, port };
            }
            said.push_str(&std::mem::take(&mut line));
        }
        child.wait().expect("its own child");
    }
    ended(&said)
}

#[expect(clippy::panic, reason = "a test without its server ends")]
fn ended(said: &str) -> ! {
    panic!("the Redis server ended: {said}")
}

fn answer(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it answers in time");
    let line = line.trim_end();
    let count = |text: &str| text.parse::<i64>().expect("a length").max(0) as usize;
    match line.split_at_checked(1) {
        Some(("$", length)) if length != "-1" => {
            let mut text = vec![0; count(length) + 2];
            from.read_exact(&mut text).expect("it answers in time");
            String::from_utf8_lossy(&text).trim_end().to_owned()
        }
        Some(("*", length)) => (0..count(length)).map(|_| answer(from)).collect::<Vec<_>>().join("\n"),
        Some(("+" | ":", text)) => text.to_owned(),
        _ => line.to_owned(),
    }
}
