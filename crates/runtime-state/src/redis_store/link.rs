//! A connection that was looked at: who is there, how it is set, and what this user may do.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, ServerError, Value};
use runtime_traits::error::Cause;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::{Address, Place};
use super::keys;
use super::request::Scripts;
use super::rewrite::rewritten;
use super::server::{SETTINGS, Server, Settings};
use crate::OpenError;

/// More groups than are ever on their way, so that handing one to the connection never waits.
const ROOM: usize = 64;

/// What the scripts and this store do, for the user's rights. Keys are as they are in earnest.
const DEEDS: [&str; 24] = [
    "INFO replication",
    "GET ar:{main.0}:revision",
    "SET ar:{main.0}:revision 1",
    "EXISTS ar:{main.0}:revision",
    "HGET ar:{main.0}:cells a",
    "HMGET ar:{main.0}:cells a",
    "HEXISTS ar:{main.0}:cells a",
    "HLEN ar:{main.0}:cells",
    "HSET ar:{main.0}:cells a 1",
    "HDEL ar:{main.0}:cells a",
    "ZADD ar:{main.0}:paths 0 a",
    "ZREM ar:{main.0}:paths a",
    "ZCARD ar:{main.0}:paths",
    "ZRANGEBYLEX ar:{main.0}:paths - +",
    "XADD ar:{main.0}:log:a 1-0 e 1",
    "XLEN ar:{main.0}:log:a",
    "XRANGE ar:{main.0}:log:a - +",
    "XTRIM ar:{main.0}:log:a MINID = 1-0",
    "UNLINK ar:{main.0}:log:a",
    "RPUSH ar:{main.0}:order a",
    "LPOP ar:{main.0}:order",
    "LLEN ar:{main.0}:order",
    "SADD ar:partitions main.0",
    "SMEMBERS ar:partitions",
];

/// A connection to a server that will do. It lives as long as its `pump` is polled.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) pump: Pump,
    pub(super) server: Server,
    pub(super) scripts: Scripts,
}

/// What moves the bytes; it ends when the connection does.
pub(super) type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Link {
    /// Connects, says who asks, and looks at everything.
    pub(super) async fn make(
        address: &Address,
        deadline: Duration,
        rewrite: Duration,
    ) -> Result<Self, OpenError> {
        let silent = || OpenError::Unreachable {
            uri: address.shown(),
            cause: Cause::says(format!("no answer within {} ms", deadline.as_millis())),
        };
        let mut link = timeout(deadline, connect(address)).await.map_err(|_| silent())??;
        if link.server.may_have_cut_its_file() {
            link.until_rewritten(address, rewrite).await?;
        }
        Ok(link)
    }

    /// Waits until nothing can come to light of what the server's file was cut in.
    async fn until_rewritten(&mut self, address: &Address, within: Duration) -> Result<(), OpenError> {
        let Self { connection, pump, .. } = self;
        let rewriting = timeout(within, rewritten(address, connection));
        tokio::pin!(rewriting);
        let done = tokio::select! {
            biased;
            done = &mut rewriting => done,
            () = pump => rewriting.await,
        };
        done.unwrap_or_else(|_| {
            let what =
                "it rewrites its append-only file, as it has to once after each start, and goes on with that";
            Err(OpenError::Unreachable { uri: address.shown(), cause: Cause::says(what) })
        })
    }
}

async fn connect(address: &Address) -> Result<Link, OpenError> {
    let gone =
        |error: std::io::Error| OpenError::Unreachable { uri: address.shown(), cause: Cause::of(&error) };
    match &address.place {
        Place::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(gone)?;
            stream.set_nodelay(true).map_err(gone)?;
            greet(address, stream).await
        }
        Place::Unix(path) => greet(address, UnixStream::connect(path).await.map_err(gone)?).await,
    }
}

async fn greet<S>(address: &Address, stream: S) -> Result<Link, OpenError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // The crate would say hello by itself; what the server answers to it would be harder to tell apart.
    let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(ROOM);
    let (connection, pump) = MultiplexedConnection::new_with_config(&silent, stream, config)
        .await
        .map_err(|error| lost(address, &error))?;
    let mut pump: Pump = Box::pin(pump);
    let asking = examine(address, connection.clone());
    tokio::pin!(asking);
    let asked = tokio::select! {
        biased;
        asked = &mut asking => asked,
        // What ended the connection was told to whoever waits for an answer.
        () = &mut pump => asking.await,
    };
    let (server, scripts) = asked?;
    Ok(Link { connection, pump, server, scripts })
}

async fn examine(
    address: &Address,
    mut connection: MultiplexedConnection,
) -> Result<(Server, Scripts), OpenError> {
    if let Some(password) = &address.password {
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = &address.user {
            auth.arg(user);
        }
        ask(address, &mut connection, auth.arg(password)).await?;
    }
    if address.database != 0 {
        ask(address, &mut connection, redis::cmd("SELECT").arg(address.database)).await?;
    }
    let server = look(address, &mut connection).await?;
    server.judge(address)?;
    let scripts = Scripts {
        commit: load(address, &mut connection, Scripts::COMMIT).await?,
        page: load(address, &mut connection, Scripts::PAGE).await?,
    };
    match ask(address, &mut connection, &scripts.may(&DEEDS)).await? {
        Value::Array(answer) => match answer.get(1) {
            None => Ok((server, scripts)),
            Some(denied) => Err(OpenError::Forbidden { uri: address.shown(), command: shown(denied) }),
        },
        _ => Err(OpenError::NotRedis { uri: address.shown(), cause: Cause::says("it runs no scripts") }),
    }
}

/// Asks the server what it is and how it is set.
pub(super) async fn look(
    address: &Address,
    connection: &mut MultiplexedConnection,
) -> Result<Server, OpenError> {
    let strange = |what: &str| OpenError::NotRedis { uri: address.shown(), cause: Cause::says(what) };
    let Value::BulkString(info) = ask(address, connection, &redis::cmd("INFO")).await? else {
        return Err(strange("its answer to `INFO` is no text"));
    };
    let server = Server::read(&String::from_utf8_lossy(&info));
    let mut server =
        server.ok_or_else(|| strange("its answer to `INFO` names no version, run id and role"))?;
    if server.clustered {
        // It would redirect what is asked next.
        return Err(OpenError::Cluster { uri: address.shown() });
    }
    match ask(address, connection, redis::cmd("CONFIG").arg("GET").arg(&SETTINGS[..])).await {
        Ok(Value::Array(pairs)) => {
            let pairs: Vec<_> =
                pairs.chunks_exact(2).map(|pair| (shown(&pair[0]), shown(&pair[1]))).collect();
            server.settings = Settings::read(&pairs);
        }
        Ok(_) | Err(OpenError::Forbidden { .. }) => {}
        // Hosted servers take the command away altogether.
        Err(OpenError::NotRedis { .. }) => {}
        Err(error) => return Err(error),
    }
    server.format = match ask(address, connection, redis::cmd("GET").arg(keys::FORMAT_KEY)).await? {
        Value::Nil => None,
        text => Some(shown(&text).parse().unwrap_or(u64::MAX)),
    };
    Ok(server)
}

async fn load(
    address: &Address,
    connection: &mut MultiplexedConnection,
    script: &str,
) -> Result<String, OpenError> {
    Ok(shown(&ask(address, connection, redis::cmd("SCRIPT").arg("LOAD").arg(script)).await?))
}

pub(super) async fn ask(
    address: &Address,
    connection: &mut MultiplexedConnection,
    cmd: &Cmd,
) -> Result<Value, OpenError> {
    match connection.send_packed_command(cmd).await {
        Ok(Value::ServerError(error)) => Err(refused(address, cmd, &error)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(lost(address, &error)),
    }
}

/// What the server's refusal of a command means to who opens the store.
fn refused(address: &Address, cmd: &Cmd, error: &ServerError) -> OpenError {
    let uri = address.shown();
    let name = cmd.args_iter().next().map_or_else(String::new, |arg| match arg {
        redis::Arg::Simple(name) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    });
    let cause = Cause::says(format!("{} {}", error.code(), error.details().unwrap_or_default()).trim());
    match error.code() {
        "WRONGPASS" | "NOAUTH" => OpenError::Credentials { uri, cause },
        _ if name == "AUTH" => OpenError::Credentials { uri, cause },
        _ if name == "SELECT" => OpenError::BadAddress { uri, cause },
        "NOPERM" => OpenError::Forbidden { uri, command: name },
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" => OpenError::Unreachable { uri, cause },
        _ => OpenError::NotRedis { uri, cause },
    }
}

/// A connection that ended, or on which somebody speaks another language.
fn lost(address: &Address, error: &RedisError) -> OpenError {
    let (uri, cause) = (address.shown(), Cause::of(error));
    match error.kind() {
        ErrorKind::Parse => OpenError::NotRedis { uri, cause },
        _ => OpenError::Unreachable { uri, cause },
    }
}

pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}
