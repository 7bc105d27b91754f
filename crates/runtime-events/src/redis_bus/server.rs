//! Whether a server will do, and what it gives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerError, Value};
use runtime_traits::bus::BusError;
use runtime_traits::error::Cause;
use runtime_traits::store::Durability;
use tokio::time::sleep;

use super::ConnectError;

/// The settings that decide what an answer is worth.
const SETTINGS: [&str; 4] = ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"];

/// Looks at a server: refuses one that must not hold events, and says what an event survives there, and what the server
/// calls its life.
pub(super) async fn examine(
    uri: &str,
    connection: &mut MultiplexedConnection,
) -> Result<(Durability, String), ConnectError> {
    let refused = |error: RedisError| refusal(uri, &error);
    let info: String = redis::cmd("INFO").query_async(connection).await.map_err(refused)?;
    let asked: RedisResult<Value> =
        redis::cmd("CONFIG").arg("GET").arg(&SETTINGS[..]).query_async(connection).await;
    // Hosted servers refuse it; then nothing about their disks can be promised.
    let settings =
        asked.and_then(|value| Ok(redis::from_redis_value::<HashMap<String, String>>(value)?)).ok();
    let durability = judge(&info, settings.as_ref());
    let durability = durability.map_err(|what| ConnectError::Unsuitable { uri: uri.to_owned(), what })?;
    Ok((durability, life(&info)))
}

/// What a server calls its life: another text after each start.
pub(super) fn life(info: &str) -> String {
    field(info, "run_id").unwrap_or_default().to_owned()
}

/// What a server says about itself under a name.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Lets the server rewrite its append-only file, if it has not done so since its start, and waits for the end.
///
/// A script is a transaction in that file, and Redis leaves the beginning of one in which the file ended after a kill: the
/// start after next would apply it by half (decision 29).
pub(super) async fn rewritten(uri: &str, connection: &mut MultiplexedConnection) -> Result<(), ConnectError> {
    let mut pause = Duration::from_millis(2);
    loop {
        let info: RedisResult<String> = redis::cmd("INFO").arg("persistence").query_async(connection).await;
        match owes_a_rewrite(&info.map_err(|error| refusal(uri, &error))?) {
            Some(false) => return Ok(()),
            Some(true) => {
                let begun: RedisResult<Value> = redis::cmd("BGREWRITEAOF").query_async(connection).await;
                if let Err(error) = begun
                    && !is_underway(&error)
                {
                    return Err(refusal(uri, &error));
                }
            }
            None => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Whether it is refused because somebody was quicker.
fn is_underway(error: &RedisError) -> bool {
    error.code() != Some("NOPERM") && error.to_string().contains("already in progress")
}

/// `None` while one is running.
fn owes_a_rewrite(info: &str) -> Option<bool> {
    let is = |wanted: &str| info.lines().any(|line| line.trim() == wanted);
    if !is("aof_enabled:1") {
        return Some(false);
    }
    if is("aof_rewrite_in_progress:1") || is("aof_rewrite_scheduled:1") {
        return None;
    }
    Some(is("aof_rewrites:0") || !is("aof_last_bgrewrite_status:ok"))
}

/// Decides by what a server says about itself.
fn judge(info: &str, settings: Option<&HashMap<String, String>>) -> Result<Durability, String> {
    let version =
        field(info, "redis_version").ok_or("it does not answer as Redis does; use Redis 7.0 or later")?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(format!("it is version {version}; use Redis 7.0 or later"));
    }
    if field(info, "role") != Some("master") {
        return Err("it is a replica; use its primary".to_owned());
    }
    let Some(settings) = settings else { return Ok(Durability::Process) };
    let is = |name: &str, wanted: &str| settings.get(name).is_some_and(|value| value == wanted);
    if !is("maxmemory-policy", "noeviction") {
        return Err("it may evict events; set its `maxmemory-policy` to `noeviction`".to_owned());
    }
    let syncs =
        is("appendonly", "yes") && is("appendfsync", "always") && is("no-appendfsync-on-rewrite", "no");
    Ok(if syncs { Durability::Disk } else { Durability::Process })
}

/// What an error means to who connects.
pub(super) fn refusal(uri: &str, error: &RedisError) -> ConnectError {
    let (uri, cause) = (uri.to_owned(), Cause::of(error));
    if is_passing(error) {
        ConnectError::Unreachable { uri, cause }
    } else {
        ConnectError::Refused { uri, cause }
    }
}

/// What it means that a server refuses a command.
///
/// Whatever is about the server as a whole may pass. What is about the keys of the command stays as it is until a person
/// sees to it, and nobody else has to wait for that.
pub(super) fn meaning(error: &RedisError) -> BusError {
    let may_pass = match said(error) {
        Some(said) => said.iter().all(|(_, said)| is_about_the_server(said)),
        // Nothing that the server said, unless it is what nobody expects under these keys.
        None => error.kind() != ErrorKind::UnexpectedReturnType,
    };
    if may_pass || is_passing(error) {
        BusError::Unavailable { cause: Cause::of(error) }
    } else {
        BusError::Damaged { what: format!("Redis refuses what is about it ({error})") }
    }
}

/// Whether an error has nothing to do with the keys of its command.
fn is_about_the_server(said: &ServerError) -> bool {
    let codes = ["OOM", "MISCONF", "READONLY", "NOREPLICAS", "NOAUTH", "EXECABORT", "MOVED", "ASK"];
    match said.code() {
        // What is no key is a command, and every topic needs the same ones.
        "NOPERM" => !said.details().is_some_and(|details| details.contains("key")),
        code => codes.contains(&code),
    }
}

/// What the server said to each command of a pipeline that it refused; `None` where it did not say so.
fn said(error: &RedisError) -> Option<Arc<[(usize, ServerError)]>> {
    error.clone().into_server_errors()
}

/// Whether it may be otherwise in a moment: the connection has gone, or the server is not ready.
pub(super) fn is_passing(error: &RedisError) -> bool {
    const BUSY: [&str; 6] = ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "READONLY"];
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || said(error).is_some_and(|said| said.iter().any(|(_, said)| BUSY.contains(&said.code())))
}

/// Whether somebody took the scripts away: a new connection brings them.
pub(super) fn has_no_script(error: &RedisError) -> bool {
    said(error).is_some_and(|said| said.iter().any(|(_, said)| said.code() == "NOSCRIPT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "redis_version:7.0.15\r\nrole:master\r\n";

    fn settings(changed: &[(&str, &str)]) -> HashMap<String, String> {
        let good = ["yes", "always", "no", "noeviction"];
        let mut settings: HashMap<_, _> =
            SETTINGS.iter().zip(good).map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect();
        settings.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        settings
    }

    #[test]
    fn a_file_is_rewritten_once_after_each_start() {
        let well = "aof_enabled:1\r\naof_last_bgrewrite_status:ok\r\n";
        let state = |more: &str| owes_a_rewrite(&format!("{well}{more}"));
        assert_eq!(state("aof_rewrites:0"), Some(true));
        assert_eq!(state("aof_rewrites:0\r\naof_rewrite_scheduled:1"), None);
        assert_eq!(state("aof_rewrites:1\r\naof_rewrite_in_progress:1"), None);
        assert_eq!(state("aof_rewrites:1"), Some(false));
        assert_eq!(
            owes_a_rewrite("aof_enabled:1\naof_rewrites:1\naof_last_bgrewrite_status:err"),
            Some(true)
        );
        assert_eq!(owes_a_rewrite("aof_enabled:0\naof_rewrites:0"), Some(false));
    }

    #[test]
    fn only_a_primary_that_is_new_enough_and_evicts_nothing_will_do() {
        assert_eq!(judge(INFO, Some(&settings(&[]))), Ok(Durability::Disk));
        assert_eq!(judge(INFO, Some(&settings(&[("appendfsync", "everysec")]))), Ok(Durability::Process));
        assert_eq!(judge(INFO, None), Ok(Durability::Process));
        let evicts = judge(INFO, Some(&settings(&[("maxmemory-policy", "allkeys-lru")])));
        assert!(evicts.is_err_and(|what| what.contains("noeviction")));
        for (info, remedy) in [
            ("redis_version:6.2.1\r\nrole:master", "7.0"),
            ("redis_version:7.0.0\r\nrole:slave", "primary"),
            ("HTTP/1.1 200", "7.0"),
        ] {
            assert!(judge(info, None).is_err_and(|what| what.contains(remedy)), "{info}");
        }
    }
}
