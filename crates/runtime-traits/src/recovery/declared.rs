//! What an agent declares of its recovery.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How failures of an agent's runs are recovered from. An agent that declares nothing of it has each failure end its run.
///
/// There is no `always`: a run has one input and one outcome. A worker without an end goes on by
/// [`Ctx::continue_as`](crate::agent::Ctx::continue_as).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentRecovery {
    /// When a run that failed gets another attempt.
    pub restart: RestartWhen,
    /// So many failed starts without a newly settled step put a run into quarantine.
    pub attempts: u32,
    /// So many tries more, without a newly settled step, has a call that stalled, before it counts as a failed start.
    pub retries: u32,
    /// The most that the first pause before another start lasts, in milliseconds; each further one may last twice as long.
    pub pause_ms: u64,
    /// The most that any pause lasts, in milliseconds.
    pub longest_pause_ms: u64,
    /// No more restarts of the agent than this within `within_ms`; those beyond wait for their turn.
    pub most: u32,
    /// The window of `most`, in milliseconds.
    pub within_ms: u64,
    /// How long nothing is tried when what failed is not the agent's doing, in milliseconds.
    pub cool_down_ms: u64,
}

/// When a run that failed gets another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhen {
    /// Never: its failure is its outcome. A call that stalled is still made again.
    Never,
    /// When it panicked, failed, stalled, or took more memory than it may.
    #[default]
    OnFailure,
}

/// A declaration that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecoveryFault {
    /// No start at all.
    #[error("`recovery.attempts` is 0, so that nothing could ever start; set it to 1 or more")]
    NoAttempts,
    /// No room for a restart.
    #[error(
        "`recovery.most` is 0, so that no restart ever fits; set it to 1 or more, or write `restart = \"never\"`"
    )]
    NoRestarts,
    /// A window of no time.
    #[error("`recovery.within` is no time, so that `most` bounds nothing; set it to a second or more")]
    NoWindow,
    /// The first pause is longer than any may be.
    #[error("`recovery.pause` is above `recovery.longest_pause`: lower it, or raise that")]
    LongPause,
}

impl Default for AgentRecovery {
    /// Restarts on failure, 5 times within a minute at most; 3 attempts, 2 retries; pauses from 1 s to 60 s; 30 s to cool down.
    fn default() -> Self {
        Self {
            restart: RestartWhen::OnFailure,
            attempts: 3,
            retries: 2,
            pause_ms: 1_000,
            longest_pause_ms: 60_000,
            most: 5,
            within_ms: 60_000,
            cool_down_ms: 30_000,
        }
    }
}

impl AgentRecovery {
    /// Whether it can be kept to.
    ///
    /// # Errors
    /// [`RecoveryFault`], which names the setting and the remedy.
    pub fn check(&self) -> Result<(), RecoveryFault> {
        match self {
            Self { attempts: 0, .. } => Err(RecoveryFault::NoAttempts),
            Self { most: 0, .. } => Err(RecoveryFault::NoRestarts),
            Self { within_ms: 0, .. } => Err(RecoveryFault::NoWindow),
            Self { pause_ms, longest_pause_ms, .. } if pause_ms > longest_pause_ms => {
                Err(RecoveryFault::LongPause)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused_by_its_name() {
        let good = AgentRecovery::default();
        let faults = [
            (AgentRecovery { attempts: 0, ..good }, RecoveryFault::NoAttempts),
            (AgentRecovery { most: 0, ..good }, RecoveryFault::NoRestarts),
            (AgentRecovery { within_ms: 0, ..good }, RecoveryFault::NoWindow),
            (AgentRecovery { pause_ms: 2, longest_pause_ms: 1, ..good }, RecoveryFault::LongPause),
        ];

        assert_eq!(good.check(), Ok(()));
        for (declared, fault) in faults {
            assert_eq!(declared.check(), Err(fault));
        }
    }

    #[test]
    fn a_restart_is_written_as_people_write_it_and_always_is_none() {
        let read = |text: &str| serde_json::from_str::<AgentRecovery>(text);

        assert_eq!(read(r#"{"restart":"on-failure"}"#).unwrap(), AgentRecovery::default());
        assert_eq!(read(r#"{"restart":"never"}"#).unwrap().restart, RestartWhen::Never);
        assert!(read(r#"{"restart":"always"}"#).is_err());
    }
}
