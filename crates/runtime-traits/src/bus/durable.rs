//! Durable subscriptions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Pattern, Position, Topic};
use crate::clock::UnixMillis;
use crate::error::Cause;
use crate::name::{Name, Tenant};

/// A durable subscription: a named cursor over the log of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Whose.
    pub tenant: Tenant,
    /// The topic, in full.
    pub topic: Topic,
    /// The cursor's name, unique in its topic.
    pub name: Name,
    /// Where a new cursor begins. One that is there already goes on where it is.
    pub start: Start,
    /// Whether several members may share the work.
    pub group: bool,
    /// What happens after a failure.
    pub retry: Retry,
}

/// A durable subscription to all topics that match and are kept: a cursor of this name for each of them.
///
/// The dead letters of its own name are never among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurablePattern {
    /// Whose.
    pub tenant: Tenant,
    /// Which topics.
    pub pattern: Pattern,
    /// The name of all its cursors, unique in each topic.
    pub name: Name,
    /// Where the cursors of a new subscription begin. In topics that come to be later they begin at the first event.
    pub start: Start,
    /// Whether several members may share the work.
    pub group: bool,
    /// What happens after a failure.
    pub retry: Retry,
}

/// Where a new cursor begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first event that is kept.
    #[default]
    Earliest,
    /// Behind the last event that is kept.
    Latest,
    /// At a place.
    At(Position),
    /// At the first event that was appended then or later.
    Since(UnixMillis),
}

/// How often an event is tried, and after which pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often an event is delivered before it is a dead letter: at least once.
    pub attempts: u32,
    /// The pause after the first failure; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// Why a handler did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it said.
    pub cause: Cause,
    /// Whether it panicked.
    pub panicked: bool,
}

impl Durable {
    /// The cursor `name` over `topic`, of the tenant `default`, for one member.
    pub fn of(topic: Topic, name: Name) -> Self {
        Self {
            tenant: Tenant::default(),
            topic,
            name,
            start: Start::default(),
            group: false,
            retry: Retry::default(),
        }
    }
}

impl DurablePattern {
    /// The cursors `name` over all topics of the tenant `default` that match, for one member.
    pub fn of(pattern: Pattern, name: Name) -> Self {
        Self {
            tenant: Tenant::default(),
            pattern,
            name,
            start: Start::default(),
            group: false,
            retry: Retry::default(),
        }
    }

    /// Its cursor over one of its topics.
    pub fn over(&self, topic: Topic) -> Durable {
        Durable {
            tenant: self.tenant.clone(),
            topic,
            name: self.name.clone(),
            start: self.start,
            group: self.group,
            retry: self.retry,
        }
    }
}

impl Retry {
    /// The pause after the failure of an attempt, 1, 2, 3, …; `None`: it was the last one.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use runtime_traits::bus::Retry;
    ///
    /// let retry = Retry { attempts: 4, first: Duration::from_secs(1), longest: Duration::from_secs(3) };
    /// let pauses = [1, 2, 3, 4].map(|attempt| retry.pause(attempt).map(|pause| pause.as_secs()));
    /// assert_eq!(pauses, [Some(1), Some(2), Some(3), None]);
    /// ```
    pub fn pause(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(self.first.saturating_mul(factor).min(self.longest))
    }
}

impl Default for Retry {
    /// Five attempts, with pauses from 200 ms up to 30 s.
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(200), longest: Duration::from_secs(30) }
    }
}

impl Failure {
    /// A failure that somebody told.
    pub fn says(cause: impl Into<String>) -> Self {
        Self { cause: Cause::says(cause), panicked: false }
    }
}
