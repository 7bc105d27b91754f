//! Which snapshots of an agent stay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::id::StateId;
use crate::snapshot::SnapshotInfo;

/// Which snapshots of an agent stay: each that one of its rules keeps. Without a rule all of them do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// The newest, so many.
    pub newest: Option<u32>,
    /// Those that are no older than this.
    pub within: Option<Duration>,
}

impl Retention {
    /// Which of these are to go, the oldest first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use runtime_traits::clock::UnixMillis;
    /// # use runtime_traits::snapshot::Retention;
    /// let retention = Retention { newest: Some(3), within: Some(Duration::from_secs(60)) };
    /// assert!(retention.of(&[], UnixMillis(0)).is_empty());
    /// ```
    pub fn of(&self, snapshots: &[SnapshotInfo], now: UnixMillis) -> Vec<StateId> {
        if self.newest.is_none() && self.within.is_none() {
            return Vec::new();
        }
        let mut newest_first: Vec<&SnapshotInfo> = snapshots.iter().collect();
        newest_first.sort_by_key(|info| std::cmp::Reverse((info.at, info.state)));
        let newest = self.newest.unwrap_or(0) as usize;
        let young = |info: &SnapshotInfo| self.within.is_some_and(|within| now.since(info.at) <= within);
        let goes = newest_first.into_iter().skip(newest).filter(|info| !young(info));
        let mut goes: Vec<StateId> = goes.map(|info| info.state).collect();
        goes.reverse();
        goes
    }
}
