//! The rewrite of its append-only file that a server owes after each start.
//!
//! A commit is a transaction in that file. A file that ends in the middle of one, after a kill or a loss of power, is cut by
//! Redis at the last whole command, so that the transaction's beginning stays. Nothing of it is applied then; but the next
//! start reads that beginning together with the first transaction that was written behind it, and applies both. So nothing
//! is written behind it: the file is rewritten first. Decision 29 (`docs/adr`) has the bytes.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use runtime_traits::error::Cause;
use tokio::time::sleep;

use super::address::Address;
use super::link::ask;
use crate::OpenError;

/// The first pause before it is looked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));

/// What a server says about rewriting its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rewrites {
    /// Whether it keeps such a file.
    enabled: bool,
    /// Whether one is going on, or is to.
    running: bool,
    /// Whether one was begun since the server was started.
    begun: bool,
    /// Whether the last one came to its end.
    well: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Wait,
    Begin,
}

impl Rewrites {
    fn read(info: &str) -> Self {
        let is = |name: &str, value: &str| {
            info.lines().any(|line| {
                line.split_once(':').is_some_and(|(found, is)| found == name && is.trim() == value)
            })
        };
        Self {
            enabled: is("aof_enabled", "1"),
            running: is("aof_rewrite_in_progress", "1") || is("aof_rewrite_scheduled", "1"),
            begun: !is("aof_rewrites", "0"),
            well: is("aof_last_bgrewrite_status", "ok"),
        }
    }

    fn step(self) -> Step {
        match self {
            Self { enabled: false, .. } => Step::Nothing,
            Self { running: true, .. } => Step::Wait,
            Self { begun: true, well: true, .. } => Step::Nothing,
            _ => Step::Begin,
        }
    }
}

/// Waits until the server has rewritten its file since it was started; lets it begin if it has not.
pub(super) async fn rewritten(
    address: &Address,
    connection: &mut MultiplexedConnection,
) -> Result<(), OpenError> {
    let (mut pause, longest) = PAUSES;
    let mut tried = false;
    loop {
        let info = ask(address, connection, redis::cmd("INFO").arg("persistence")).await?;
        let rewrites = Rewrites::read(&super::link::shown(&info));
        match rewrites.step() {
            Step::Nothing => return Ok(()),
            Step::Wait => {}
            // Its last one may have failed long ago; one that was just begun for us says how it is now.
            Step::Begin if tried && !rewrites.well => {
                return Err(failed(address, "`aof_last_bgrewrite_status` is `err`"));
            }
            Step::Begin => match ask(address, connection, &redis::cmd("BGREWRITEAOF")).await {
                Ok(_) => tried = true,
                // Hosted servers take the command away.
                Err(OpenError::NotRedis { uri, cause }) if cause.to_string().contains("unknown command") => {
                    return Err(OpenError::Forbidden { uri, command: "BGREWRITEAOF".to_owned() });
                }
                // Somebody was quicker.
                Err(OpenError::NotRedis { cause, .. }) if cause.to_string().contains("in progress") => {}
                Err(OpenError::NotRedis { cause, .. }) => return Err(failed(address, &cause.to_string())),
                Err(error) => return Err(error),
            },
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

fn failed(address: &Address, what: &str) -> OpenError {
    OpenError::NotRewritten { uri: address.shown(), cause: Cause::says(what) }
}

#[cfg(test)]
mod tests {
    use super::{Rewrites, Step};

    fn step(lines: &[&str]) -> Step {
        Rewrites::read(&lines.join("\r\n")).step()
    }

    #[test]
    fn a_file_is_rewritten_once_after_each_start() {
        let started =
            ["aof_enabled:1", "aof_rewrite_in_progress:0", "aof_rewrites:0", "aof_last_bgrewrite_status:ok"];
        assert_eq!(step(&started), Step::Begin);
        let running =
            ["aof_enabled:1", "aof_rewrite_in_progress:1", "aof_rewrites:1", "aof_last_bgrewrite_status:ok"];
        assert_eq!(step(&running), Step::Wait);
        let scheduled =
            ["aof_enabled:1", "aof_rewrite_scheduled:1", "aof_rewrites:0", "aof_last_bgrewrite_status:ok"];
        assert_eq!(step(&scheduled), Step::Wait);
        assert_eq!(step(&["aof_enabled:1", "aof_rewrites:1", "aof_last_bgrewrite_status:ok"]), Step::Nothing);
        assert_eq!(step(&["aof_enabled:1", "aof_rewrites:1", "aof_last_bgrewrite_status:err"]), Step::Begin);
        assert_eq!(step(&["aof_enabled:0", "aof_rewrites:0", "aof_last_bgrewrite_status:ok"]), Step::Nothing);
    }
}
