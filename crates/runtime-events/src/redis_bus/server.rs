//! Whether a server will do, and what it gives.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use runtime_traits::error::Cause;
use runtime_traits::store::Durability;
use tokio::time::sleep;

use super::ConnectError;

/// The settings that decide what an answer is worth.
const SETTINGS: [&str; 4] = ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"];

/// Looks at a server: refuses one that must not hold events, and says what an event survives there.
pub(super) async fn examine(
    uri: &str,
    connection: &mut MultiplexedConnection,
) -> Result<Durability, ConnectError> {
    let refused = |error: RedisError| refusal(uri, &error);
    let info: String = redis::cmd("INFO").query_async(connection).await.map_err(refused)?;
    let asked: RedisResult<Value> =
        redis::cmd("CONFIG").arg("GET").arg(&SETTINGS[..]).query_async(connection).await;
    // Hosted servers refuse it; then nothing about their disks can be promised.
    let settings =
        asked.and_then(|value| Ok(redis::from_redis_value::<HashMap<String, String>>(value)?)).ok();
    judge(&info, settings.as_ref()).map_err(|what| ConnectError::Unsuitable { uri: uri.to_owned(), what })
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
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let version = field("redis_version").ok_or("it does not answer as Redis does; use Redis 7.0 or later")?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(format!("it is version {version}; use Redis 7.0 or later"));
    }
    if field("role") != Some("master") {
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

/// Whether it may be otherwise in a moment: the connection has gone, or the server is not ready.
pub(super) fn is_passing(error: &RedisError) -> bool {
    let busy = [
        ErrorKind::Server(ServerErrorKind::BusyLoading),
        ErrorKind::Server(ServerErrorKind::MasterDown),
        ErrorKind::Server(ServerErrorKind::ClusterDown),
        ErrorKind::Server(ServerErrorKind::TryAgain),
    ];
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_timeout()
        || busy.contains(&error.kind())
        || error.code() == Some("BUSY")
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
