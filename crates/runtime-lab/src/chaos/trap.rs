//! A store in which the process dies at a commit that was chosen beforehand.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};
use rustix::process::{Signal, getpid, kill_process};
use thiserror::Error;

use super::boundary::Boundary;

/// Where a process dies by its own hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    /// At which sort of commit; `None`: at any.
    pub(super) at: Option<Boundary>,
    pub(super) side: Side,
    /// At the how-many-eth of them: 1 is the first.
    pub(super) nth: u64,
}

/// On which side of the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The batch has not reached the store.
    Before,
    /// The store has written it, and nobody has been told.
    After,
}

/// A text that is no trap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no trap `{0}`; write BOUNDARY:before:N, or any:after:N")]
pub(super) struct TrapError(String);

/// The store that holds a trap.
#[derive(Debug)]
pub(super) struct TrappedStore {
    inner: Arc<dyn StateStore>,
    trap: Option<Trap>,
    seen: AtomicU64,
}

impl TrappedStore {
    /// Sets a trap in `inner`; without one it is only a store.
    pub(super) fn new(inner: Arc<dyn StateStore>, trap: Option<Trap>) -> Self {
        Self { inner, trap, seen: AtomicU64::new(0) }
    }

    /// The trap, if this commit springs it.
    fn springs(&self, batch: &Batch) -> Option<(Trap, Vec<Boundary>)> {
        let trap = self.trap?;
        let sorts = Boundary::of(batch);
        if trap.at.is_some_and(|at| !sorts.contains(&at)) {
            return None;
        }
        (self.seen.fetch_add(1, Ordering::SeqCst) + 1 == trap.nth).then_some((trap, sorts))
    }
}

#[async_trait]
impl StateStore for TrappedStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.inner.scan(under, after, limit).await
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.inner.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        let Some((trap, sorts)) = self.springs(&batch) else { return self.inner.commit(batch).await };
        if trap.side == Side::Before {
            return die(trap.side, &sorts).await;
        }
        let answer = self.inner.commit(batch).await;
        if answer.is_ok() { die(trap.side, &sorts).await } else { answer }
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

/// Says where, and dies. Nothing is written, closed or answered any more.
async fn die<T>(side: Side, sorts: &[Boundary]) -> T {
    let sorts: Vec<String> = sorts.iter().map(Boundary::to_string).collect();
    // One write: the parent reads whole lines.
    let line = format!("{DIED} {side} {}\n", sorts.join(" "));
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
    let _ = std::io::stdout().lock().flush();
    let _ = kill_process(getpid(), Signal::KILL);
    std::future::pending().await
}

/// How the line begins in which a process says where it dies.
pub(super) const DIED: &str = "died";

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{at}:{}:{}", self.side, self.nth),
            None => write!(f, "any:{}:{}", self.side, self.nth),
        }
    }
}

impl FromStr for Side {
    type Err = TrapError;

    fn from_str(s: &str) -> Result<Self, TrapError> {
        match s {
            "before" => Ok(Self::Before),
            "after" => Ok(Self::After),
            _ => Err(TrapError(s.to_owned())),
        }
    }
}

impl FromStr for Trap {
    type Err = TrapError;

    fn from_str(s: &str) -> Result<Self, TrapError> {
        let wrong = || TrapError(s.to_owned());
        let mut parts = s.splitn(3, ':');
        let (at, side, nth) = (parts.next(), parts.next(), parts.next());
        let at = match at.ok_or_else(wrong)? {
            "any" => None,
            at => Some(at.parse().map_err(|_| wrong())?),
        };
        let side = side.ok_or_else(wrong)?.parse()?;
        let nth = nth.and_then(|nth| nth.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { at, side, nth })
    }
}

#[cfg(test)]
mod tests {
    use super::{Boundary, Side, Trap};

    #[test]
    fn a_trap_is_read_as_it_is_shown() {
        for trap in [
            Trap { at: None, side: Side::Before, nth: 12 },
            Trap { at: Some(Boundary::Handed), side: Side::After, nth: 1 },
        ] {
            assert_eq!(trap.to_string().parse(), Ok(trap));
        }
        assert!("handed:after".parse::<Trap>().is_err());
        assert!("never:after:1".parse::<Trap>().is_err());
    }
}
