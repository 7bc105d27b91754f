//! Wake-ups: hints that may get lost.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::partition::Partition;

/// Tells an owner that its inbox may have something new. Lossy by definition: polling is the truth.
///
/// # Contract
/// - `never-needed`: an owner that never hears a ring still finds everything, at its next look.
/// - `wait-ends`: `wait` returns after `timeout` at the latest.
#[async_trait]
pub trait Doorbell: fmt::Debug + Send + Sync + 'static {
    /// Rings for the owner of `partition`, if it can.
    async fn ring(&self, partition: Partition);

    /// Waits for a ring, at most for `timeout`; the partition that was rung for, if one was.
    async fn wait(&self, timeout: Duration) -> Option<Partition>;
}
