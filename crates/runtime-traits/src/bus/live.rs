//! Live subscriptions.

use std::num::NonZeroUsize;

use super::Pattern;
use crate::name::Tenant;

/// A live subscription: what is published from now on, as fast as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Whose events.
    pub tenant: Tenant,
    /// Which topics.
    pub pattern: Pattern,
    /// How many events are held for the reader.
    pub ring: NonZeroUsize,
    /// What happens when there are more.
    pub overflow: Overflow,
}

/// What happens when a reader is slower than the publishers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It loses the oldest events, and is told which.
    #[default]
    LoseOldest,
    /// It is told what it lost, gets what is held for it, and nothing more.
    Disconnect,
}

impl Live {
    /// How many events are held unless told otherwise.
    pub const RING: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is not 0");

    /// The events of the tenant `default` whose topics match.
    pub fn of(pattern: Pattern) -> Self {
        Self { tenant: Tenant::default(), pattern, ring: Self::RING, overflow: Overflow::default() }
    }
}
