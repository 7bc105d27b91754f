//! `agent-runtime serve`, as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::Home;

/// A server that is up. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) ready: Value,
}

impl Server {
    /// Starts it, and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&["serve"]);
        command.args(args).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it writes text");
        assert!(line.starts_with('{'), "the server did not come up: {line}");
        let ready = serde_json::from_str(&line).expect("it says so in JSON");
        Self { child, out, ready }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("it writes text");
        assert_eq!(rest, "", "a server says one thing");
        self.child.wait().expect("it was started")
    }

    /// Kills it: it can do nothing about that.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Asks it over HTTP; gives back status and body.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let address = self.ready["http"][0].as_str().expect("it listens");
        let mut connection = TcpStream::connect(address).expect("it listens");
        let length = body.len();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("an answer has a status"), serde_json::from_str(body).expect("it answers in JSON"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal to a process.
pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs, and is ours");
}
