//! What the scripts are asked, as commands.

use redis::Cmd;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Batch, Durability, Key, Log, Path, Seq, Then, When};

use super::keys;

/// Numbers up to here are exact in Lua; no log ever gets there.
const LAST: u64 = 1 << 53;

/// The halves of a number that is to be added, so that Lua adds exactly.
const HALF: i64 = 1 << 27;

/// The names under which the server knows the two scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scripts {
    pub(super) commit: String,
    pub(super) page: String,
}

impl Scripts {
    pub(super) const COMMIT: &'static str = include_str!("commit.lua");
    pub(super) const PAGE: &'static str = include_str!("page.lua");

    pub(super) fn commit(&self, batch: &Batch, level: Durability) -> Cmd {
        let partition = batch.partition;
        let streams: Vec<Vec<u8>> =
            batch.then.iter().filter_map(log_of).map(|log| keys::stream(partition, &log.path)).collect();
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&self.commit).arg(keys::OF_A_COMMIT + streams.len());
        for key in keys::fixed(partition, keys::OF_A_COMMIT) {
            cmd.arg(key);
        }
        for key in &streams {
            cmd.arg(key);
        }
        cmd.arg(&batch.id.0.to_be_bytes()[..]).arg(level as u8);
        match &batch.fence {
            None => cmd.arg(0),
            Some(fence) => cmd.arg(1).arg(fence.owner.path.as_bytes()).arg(&fence.token.0[..]),
        };
        cmd.arg(batch.when.len());
        for when in &batch.when {
            condition(&mut cmd, when);
        }
        cmd.arg(batch.then.len());
        let mut stream = keys::OF_A_COMMIT;
        for then in &batch.then {
            if log_of(then).is_some() {
                stream += 1;
            }
            write(&mut cmd, then, stream);
        }
        cmd
    }

    pub(super) fn get(&self, partition: Partition, keys: &[Key]) -> Cmd {
        let mut cmd = self.page(partition, None, "get");
        for key in keys {
            cmd.arg(key.path.as_bytes());
        }
        cmd
    }

    pub(super) fn scan(&self, under: &Key, after: Option<&Key>, limit: u32) -> Cmd {
        self.ordered(under.partition, "cells", &under.path, after.map(|after| &after.path), limit)
    }

    pub(super) fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Cmd {
        self.ordered(under.partition, "logs", &under.path, after.map(|after| &after.path), limit)
    }

    pub(super) fn read(&self, log: &Log, from: Seq, limit: u32) -> Cmd {
        let mut cmd = self.page(log.partition, Some(&log.path), "read");
        cmd.arg(log.path.as_bytes()).arg(from.0.min(LAST)).arg(limit);
        cmd
    }

    pub(super) fn is_written(&self, partition: Partition) -> Cmd {
        self.page(partition, None, "is-written")
    }

    pub(super) fn partitions(&self) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA_RO");
        cmd.arg(&self.page).arg(1).arg(keys::PARTITIONS).arg("partitions");
        cmd
    }

    /// Asks whether this user may do what the scripts do.
    pub(super) fn may(&self, commands: &[&str]) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA_RO");
        cmd.arg(&self.page).arg(0).arg("may").arg(commands);
        cmd
    }

    fn ordered(
        &self,
        partition: Partition,
        kind: &str,
        under: &Path,
        after: Option<&Path>,
        limit: u32,
    ) -> Cmd {
        let (from, until) = keys::bounds(under, after);
        let mut cmd = self.page(partition, None, kind);
        cmd.arg(&from[..]).arg(&until[..]).arg(limit);
        cmd
    }

    fn page(&self, partition: Partition, log: Option<&Path>, kind: &str) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA_RO");
        cmd.arg(&self.page).arg(keys::OF_A_PAGE + usize::from(log.is_some()));
        for key in keys::fixed(partition, keys::OF_A_PAGE) {
            cmd.arg(key);
        }
        if let Some(path) = log {
            cmd.arg(keys::stream(partition, path));
        }
        cmd.arg(kind);
        cmd
    }
}

fn log_of(then: &Then) -> Option<&Log> {
    match then {
        Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log) => Some(log),
        Then::Put(..) | Then::Add(..) | Then::Delete(_) => None,
    }
}

fn condition(cmd: &mut Cmd, when: &When) {
    match when {
        When::Absent(key) => cmd.arg("absent").arg(key.path.as_bytes()).arg(0),
        When::Revision(key, revision) => cmd.arg("revision").arg(key.path.as_bytes()).arg(revision.0),
        When::Next(log, next) => cmd.arg("next").arg(log.path.as_bytes()).arg(next.0),
        When::BacklogBelow(log, limit) => cmd.arg("backlog").arg(log.path.as_bytes()).arg(limit),
    };
}

/// One write; `stream` is the place of its log's key.
fn write(cmd: &mut Cmd, then: &Then, stream: usize) {
    match then {
        Then::Put(key, value) => cmd.arg("put").arg(key.path.as_bytes()).arg(&value[..]),
        Then::Delete(key) => cmd.arg("delete").arg(key.path.as_bytes()),
        Then::Add(key, by) => {
            let halves = (by.div_euclid(HALF), by.rem_euclid(HALF));
            cmd.arg("add").arg(key.path.as_bytes()).arg(halves.0).arg(halves.1)
        }
        Then::Append(log, entries) => {
            cmd.arg("append").arg(log.path.as_bytes()).arg(stream).arg(entries.len());
            for entry in entries {
                cmd.arg(&entry[..]);
            }
            cmd
        }
        Then::Trim(log, until) => cmd.arg("trim").arg(log.path.as_bytes()).arg(stream).arg(until.0.min(LAST)),
        Then::Drop(log) => cmd.arg("drop").arg(log.path.as_bytes()).arg(stream),
    };
}
