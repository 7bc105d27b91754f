//! The policy by what each agent declares.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::recovery::{AgentRecovery, Failure, History, RecoveryPolicy, Remedy, RestartWhen};
use runtime_traits::{Entropy, UnixMillis};

use super::{RecoveryRule, Restart};
use crate::backoff::Backoff;

/// Decides by the rule that an agent declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclaredRecovery;

impl RecoveryPolicy for DeclaredRecovery {
    fn decide(
        &self,
        declared: &AgentRecovery,
        failure: &Failure,
        history: &History,
        now: UnixMillis,
        entropy: &dyn Entropy,
    ) -> Remedy {
        RecoveryRule::from(declared).decide(failure, history, now, entropy)
    }
}

impl From<&AgentRecovery> for RecoveryRule {
    /// The rule that is declared; a number that nothing could be kept to counts as 1.
    fn from(declared: &AgentRecovery) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            restart: match declared.restart {
                RestartWhen::Never => Restart::Never,
                RestartWhen::OnFailure => Restart::OnFailure,
            },
            attempts: at_least_one(declared.attempts),
            retries: declared.retries,
            backoff: Backoff {
                base: Duration::from_millis(declared.pause_ms),
                max: Duration::from_millis(declared.longest_pause_ms),
            },
            most: at_least_one(declared.most),
            within: Duration::from_millis(declared.within_ms),
            cool_down: Duration::from_millis(declared.cool_down_ms),
            fallback: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_testkit::fakes::SeededEntropy;

    use super::*;

    #[test]
    fn what_an_agent_declares_by_default_is_the_rule_by_default() {
        assert_eq!(RecoveryRule::from(&AgentRecovery::default()), RecoveryRule::default());
    }

    #[test]
    fn what_is_declared_decides() {
        let decide = |declared: AgentRecovery| {
            let (history, entropy) = (History::default(), SeededEntropy::new(1));
            DeclaredRecovery.decide(&declared, &Failure::Panicked, &history, UnixMillis(7), &entropy)
        };
        let default = AgentRecovery::default();

        assert!(matches!(decide(default), Remedy::Restart { counted: true, .. }));
        assert_eq!(decide(AgentRecovery { restart: RestartWhen::Never, ..default }), Remedy::Leave);
        let once = AgentRecovery { attempts: 1, ..default };
        assert!(matches!(decide(once), Remedy::Quarantine(_)));
    }
}
