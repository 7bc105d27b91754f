//! The connection for commands, which is made again when it is lost.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use runtime_traits::bus::BusError;
use runtime_traits::error::Cause;
use runtime_traits::store::Durability;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::scripts::{SOURCES, Script};
use super::{ConnectError, address, server};

/// How long a connection may take to be made and looked at.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the server may take to rewrite its file after a start. Whoever publishes meanwhile waits no longer than else.
const REWRITE: Duration = Duration::from_secs(60);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(5);
/// How long a command is tried on new connections.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many scripts are sent together.
const TOGETHER: usize = 256;
/// The pauses between tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The connection for commands. What is sent over it may be sent again: every command changes nothing the second time.
pub(super) struct Link {
    client: Client,
    shown: String,
    open: Mutex<Option<Open>>,
    connections: AtomicU64,
    /// What the server called its life when it was last looked at.
    life: Mutex<String>,
    lives: AtomicU64,
}

/// An open connection, and the names of the scripts in it.
#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    scripts: [String; SOURCES.len()],
    number: u64,
}

impl Open {
    fn script(&self, script: Script, keys: &[&str], args: &[&[u8]]) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.scripts[script as usize]).arg(keys.len()).arg(keys).arg(args);
        cmd
    }
}

impl Link {
    /// Connects, and says what an event survives there.
    pub(super) async fn make(uri: &str) -> Result<(Self, Durability), ConnectError> {
        let (client, shown) = address::client(uri)?;
        let link = Self {
            client,
            shown,
            open: Mutex::new(None),
            connections: AtomicU64::new(0),
            life: Mutex::default(),
            lives: AtomicU64::new(0),
        };
        let (open, durability) = link.connect().await?;
        *link.open.lock().await = Some(open);
        Ok((link, durability))
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts the lives of the server. Between two of them it may have lost what it answered for.
    pub(super) fn lives(&self) -> u64 {
        self.lives.load(Ordering::Acquire)
    }

    /// Runs a script.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        script: Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<T, BusError> {
        let ask = |open: &Open| {
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.add_command(open.script(script, keys, args));
            pipeline
        };
        self.run(ask).await.map(|(answer,)| answer)
    }

    /// Runs a command and then a script, with nothing between them.
    pub(super) async fn both<A: FromRedisValue, B: FromRedisValue>(
        &self,
        cmd: &Cmd,
        script: Script,
        keys: &[&str],
    ) -> Result<(A, B), BusError> {
        let ask = |open: &Open| {
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.atomic().add_command(cmd.clone()).add_command(open.script(script, keys, &[]));
            pipeline
        };
        self.run(ask).await
    }

    /// Runs a script many times, one after the other: with the keys of each turn.
    pub(super) async fn each<T: FromRedisValue>(
        &self,
        script: Script,
        turns: &[Vec<String>],
    ) -> Result<Vec<T>, BusError> {
        let mut answers = Vec::with_capacity(turns.len());
        for turns in turns.chunks(TOGETHER) {
            let ask = |open: &Open| {
                let mut pipeline = Pipeline::with_capacity(turns.len());
                for keys in turns {
                    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                    pipeline.add_command(open.script(script, &keys, &[]));
                }
                pipeline
            };
            answers.extend(self.run::<Vec<T>>(ask).await?);
        }
        Ok(answers)
    }

    /// Runs a command.
    pub(super) async fn command<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, BusError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(cmd.clone());
        self.run(|_| pipeline.clone()).await.map(|(answer,)| answer)
    }

    /// Asks until there is an answer, as long as a caller should wait.
    async fn run<T: FromRedisValue>(&self, ask: impl Fn(&Open) -> Pipeline) -> Result<T, BusError> {
        let mut last = None;
        let trying = async {
            let mut pause = PAUSES.0;
            loop {
                let error = match self.open().await {
                    Err(error @ ConnectError::Unreachable { .. }) => Cause::of(&error),
                    // The server is not what it was.
                    Err(error) => return Err(BusError::Unavailable { cause: Cause::of(&error) }),
                    Ok(open) => {
                        let answer: RedisResult<T> =
                            ask(&open).query_async(&mut open.connection.clone()).await;
                        match answer {
                            Ok(answer) => return Ok(answer),
                            Err(error) if self.may_be_tried_again(&error, open.number).await => {
                                Cause::of(&error)
                            }
                            Err(error) => return Err(server::meaning(&error)),
                        }
                    }
                };
                last = Some(error);
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        };
        let answer = timeout(PATIENCE, trying).await;
        let silent = || Cause::says(format!("no answer from Redis within {} s", PATIENCE.as_secs()));
        answer.unwrap_or_else(|_| Err(BusError::Unavailable { cause: last.unwrap_or_else(silent) }))
    }

    /// Whether it may be; the connection is given up where that helps.
    async fn may_be_tried_again(&self, error: &RedisError, number: u64) -> bool {
        let passing = server::is_passing(error) || server::has_no_script(error);
        if passing {
            let mut open = self.open.lock().await;
            if open.as_ref().is_some_and(|open| open.number == number) {
                *open = None;
            }
        }
        passing
    }

    async fn open(&self) -> Result<Open, ConnectError> {
        let mut kept = self.open.lock().await;
        if let Some(open) = &*kept {
            return Ok(open.clone());
        }
        // Whoever comes meanwhile waits for this connection.
        let (open, _) = self.connect().await?;
        Ok(kept.insert(open).clone())
    }

    async fn connect(&self) -> Result<(Open, Durability), ConnectError> {
        let connecting = async {
            let mut connection = self.connection(Some(REPLY)).await?;
            let (durability, life) = server::examine(&self.shown, &mut connection).await?;
            let mut scripts = Vec::with_capacity(SOURCES.len());
            for source in SOURCES {
                let loaded = redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(&mut connection).await;
                scripts.push(loaded.map_err(|error| server::refusal(&self.shown, &error))?);
            }
            let scripts = scripts.try_into().expect("one for each source");
            let mut known = self.life.lock().await;
            if *known != life {
                *known = life;
                // Before anything is read there.
                self.lives.fetch_add(1, Ordering::Release);
            }
            let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
            Ok((Open { connection, scripts, number }, durability))
        };
        let silent = || self.unreachable(Cause::says(format!("no answer within {} ms", CONNECT.as_millis())));
        let (mut open, durability) = timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(silent()))?;
        let rewriting = server::rewritten(&self.shown, &mut open.connection);
        let slow = || self.unreachable(Cause::says("it has not rewritten its append-only file yet"));
        timeout(REWRITE, rewriting).await.unwrap_or_else(|_| Err(slow()))?;
        Ok((open, durability))
    }

    /// A connection of its own. Without a deadline for replies it may wait for what is new.
    pub(super) async fn connection(
        &self,
        reply: Option<Duration>,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(reply);
        let made = self.client.get_multiplexed_async_connection_with_config(&config).await;
        made.map_err(|error| server::refusal(&self.shown, &error))
    }

    fn unreachable(&self, cause: Cause) -> ConnectError {
        ConnectError::Unreachable { uri: self.shown.clone(), cause }
    }
}

/// A text that the server sent.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.shown).finish_non_exhaustive()
    }
}
