//! The contract of whoever decides what is done about a failure.

use std::fmt;

use crate::clock::{Entropy, UnixMillis};
use crate::recovery::declared::AgentRecovery;
use crate::recovery::failure::Failure;
use crate::recovery::history::History;
use crate::recovery::remedy::Remedy;

/// Decides what is done about a failure. It is asked by whoever carries the remedy out, and changes nothing itself: the same question
/// has the same answer, but for what is drawn by chance.
///
/// What is in quarantine stays there: whatever the failure, [`Remedy::Quarantine`] is the answer as long as the history has one.
pub trait RecoveryPolicy: fmt::Debug + Send + Sync + 'static {
    /// What is done about `failure` of an agent that declares this, given what was done before.
    ///
    /// Of what fails in a run of an agent, [`Remedy::Restore`], [`Remedy::SwitchModel`] and [`Remedy::Act`] are not carried out: the
    /// runtime warns, and the failure stays the run's. So it does where a policy panics. A [`Remedy::Restart`] for which the declared
    /// window has no room waits until it has.
    fn decide(
        &self,
        declared: &AgentRecovery,
        failure: &Failure,
        history: &History,
        now: UnixMillis,
        entropy: &dyn Entropy,
    ) -> Remedy;
}
