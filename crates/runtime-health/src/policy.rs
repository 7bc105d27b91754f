//! What is done about a failure, decided from the failure and from what was done before.

mod declared;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_traits::recovery::{Failure, History, Quarantine, Remedy};
use runtime_traits::{Entropy, UnixMillis};

use crate::backoff::Backoff;
pub use declared::DeclaredRecovery;

/// When an agent that is no longer working is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never: what ended has ended.
    Never,
    /// When it failed.
    #[default]
    OnFailure,
    /// Also when it ended by itself.
    Always,
}

/// How failures of one agent, run or check are recovered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRule {
    /// When it is started again.
    pub restart: Restart,
    /// So many failed starts without progress put it into quarantine.
    pub attempts: NonZeroU32,
    /// So many tries more, without progress between them, has what stalled or was refused for the moment, before it counts as a failed start.
    pub retries: u32,
    /// The pauses before restarts and retries, by how many there were without progress.
    pub backoff: Backoff,
    /// No more restarts than this within `within`; those beyond it wait.
    pub most: NonZeroU32,
    /// The window of `most`.
    pub within: Duration,
    /// How long nothing is tried when what failed is not the agent's doing.
    pub cool_down: Duration,
    /// The models that stand in when the agent's own is away, in this order.
    pub fallback: Vec<String>,
}

impl Default for RecoveryRule {
    /// Restarts on failure, 5 times within a minute at most; 3 attempts, 2 retries; pauses from 1 s to 60 s; 30 s to cool down.
    fn default() -> Self {
        Self {
            restart: Restart::OnFailure,
            attempts: NonZeroU32::MIN.saturating_add(2),
            retries: 2,
            backoff: Backoff { base: Duration::from_secs(1), max: Duration::from_secs(60) },
            most: NonZeroU32::MIN.saturating_add(4),
            within: Duration::from_secs(60),
            cool_down: Duration::from_secs(30),
            fallback: Vec::new(),
        }
    }
}

impl RecoveryRule {
    /// What is done about `failure`. Pure: [`History::took`] writes down what was done.
    ///
    /// # Examples
    /// ```
    /// use runtime_health::{Failure, History, RecoveryRule, Remedy};
    /// use runtime_traits::UnixMillis;
    /// # use runtime_testkit::fakes::SeededEntropy;
    /// # let entropy = SeededEntropy::new(1);
    /// let (rule, mut history) = (RecoveryRule::default(), History::default());
    /// let now = UnixMillis(1_800_000_000_000);
    /// for _ in 0..2 {
    ///     let remedy = rule.decide(&Failure::Panicked, &history, now, &entropy);
    ///     assert!(matches!(remedy, Remedy::Restart { .. }));
    ///     history.took(&remedy, rule.most, now);
    /// }
    /// let third = rule.decide(&Failure::Panicked, &history, now, &entropy);
    /// assert!(matches!(third, Remedy::Quarantine(_)));
    /// ```
    pub fn decide(
        &self,
        failure: &Failure,
        history: &History,
        now: UnixMillis,
        entropy: &dyn Entropy,
    ) -> Remedy {
        if let Some(quarantine) = history.quarantine() {
            return Remedy::Quarantine(quarantine.clone());
        }
        match failure {
            Failure::Ended if self.restart != Restart::Always => Remedy::Leave,
            Failure::Ended => self.restart(false, history, now, entropy),
            Failure::Died { suspects } if suspects.get() > 1 => self.restart(false, history, now, entropy),
            Failure::Crowded | Failure::StoreAway => self.cool_down(now, entropy),
            Failure::ModelAway => match self.fallback.get(history.switched() as usize) {
                Some(model) => Remedy::SwitchModel { model: model.clone() },
                None => self.cool_down(now, entropy),
            },
            Failure::Stalled { phase } if phase.is_of_a_call() && history.retried() < self.retries => {
                Remedy::Retry { at: now.after(self.backoff.draw(history.retried(), entropy)) }
            }
            Failure::Damaged { snapshot: true } if !history.restored() => {
                self.counted(failure, history, now, || Remedy::Restore {
                    at: self.when(history, now, entropy),
                })
            }
            Failure::Damaged { .. } => Remedy::Quarantine(Quarantine { since: now, why: failure.clone() }),
            Failure::Unhealthy { action: None } => Remedy::Leave,
            Failure::Unhealthy { action: Some(action) } => self.counted(failure, history, now, || {
                Remedy::Act { action: action.clone(), at: self.when(history, now, entropy) }
            }),
            Failure::Panicked
            | Failure::Failed
            | Failure::Memory
            | Failure::Died { .. }
            | Failure::Stalled { .. } => {
                self.counted(failure, history, now, || self.restart(true, history, now, entropy))
            }
        }
    }

    /// The remedy of a failure that counts, unless it is one too many.
    fn counted(
        &self,
        failure: &Failure,
        history: &History,
        now: UnixMillis,
        remedy: impl FnOnce() -> Remedy,
    ) -> Remedy {
        if history.attempts() + 1 >= self.attempts.get() {
            return Remedy::Quarantine(Quarantine { since: now, why: failure.clone() });
        }
        remedy()
    }

    fn restart(&self, counted: bool, history: &History, now: UnixMillis, entropy: &dyn Entropy) -> Remedy {
        match self.restart {
            Restart::Never => Remedy::Leave,
            Restart::OnFailure | Restart::Always => {
                Remedy::Restart { at: self.when(history, now, entropy), counted }
            }
        }
    }

    /// When the next restart may be: after its pause, and not before there is room in the window.
    fn when(&self, history: &History, now: UnixMillis, entropy: &dyn Entropy) -> UnixMillis {
        let paused = now.after(self.backoff.draw(history.attempts(), entropy));
        history.room_at(self.most, self.within).map_or(paused, |room| paused.max(room))
    }

    fn cool_down(&self, now: UnixMillis, entropy: &dyn Entropy) -> Remedy {
        let pause = Backoff { base: self.cool_down, max: self.cool_down };
        Remedy::CoolDown { until: now.after(pause.draw_long(0, entropy)) }
    }
}
