//! Which of the runs in flight killed their process.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use runtime_traits::RunId;

/// A run that was open when its process died, as its log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The run.
    pub run: RunId,
    /// How many started together when it was last tried in a process that then died, it among them; 0: it was not tried, or
    /// it was cleared before the process died.
    pub tried_with: u32,
    /// How many of its starts count against it: deaths with it as the only suspect, without a newly settled step since.
    pub counted: u32,
}

/// The runs that start now, apart from all others; empty when no suspect is left. Their number is what their `Started` entries hold.
///
/// Suspects whom no trial has narrowed down start together. When such a group killed the process it is halved, the smaller half
/// first: if that lives, it was the other one, which is halved without being tried as a whole. Nothing else starts before those of
/// a trial have been cleared (a new step, wait or outcome, or 10 s alive) or have killed the process; whoever is cleared is left
/// out of the next call.
///
/// ```
/// use runtime_health::{Suspect, next_trial};
/// # use runtime_traits::{Partition, Pool, RunId};
/// # let run = |n| RunId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, uuid::Uuid::from_u128(n));
/// let suspect = |nth, tried_with| Suspect { run: run(nth), tried_with, counted: 0 };
/// assert_eq!(next_trial(&[suspect(1, 0), suspect(2, 0), suspect(3, 0)]).len(), 3);
/// assert_eq!(next_trial(&[suspect(1, 3), suspect(2, 3), suspect(3, 3)]), [run(1)]);
/// ```
pub fn next_trial(suspects: &[Suspect]) -> Vec<RunId> {
    let tried = suspects.iter().map(|suspect| suspect.tried_with).filter(|with| *with > 0);
    // The smallest group is the one that was narrowed down most.
    let Some(narrowest) = tried.min() else { return suspects.iter().map(|suspect| suspect.run).collect() };
    let group: Vec<RunId> = suspects
        .iter()
        .filter(|suspect| suspect.tried_with == narrowest)
        .map(|suspect| suspect.run)
        .collect();
    let half = (group.len() / 2).max(1);
    group[..half].to_vec()
}

/// Takes in that the process died of one of `trial`, and returns the runs that go into quarantine, having been started `attempts` times
/// for nothing. These are taken out of `suspects`, the open runs.
///
/// `trial` are the runs that had been started and not been cleared. The death counts against a run only if it was alone among
/// them. When the culprit is found, all others are as good as untried: what they were tried with is explained.
pub fn after_death(suspects: &mut Vec<Suspect>, trial: &[RunId], attempts: u32) -> Vec<RunId> {
    let together = u32::try_from(trial.len()).unwrap_or(u32::MAX);
    // A look-up for each suspect: a trial may have as many runs as the process had.
    let trial: HashSet<&RunId> = trial.iter().collect();
    for suspect in suspects.iter_mut().filter(|suspect| trial.contains(&suspect.run)) {
        suspect.tried_with = together;
        suspect.counted = suspect.counted.saturating_add(u32::from(together == 1));
    }
    let convicted: Vec<RunId> =
        suspects.iter().filter(|suspect| suspect.counted >= attempts).map(|suspect| suspect.run).collect();
    if !convicted.is_empty() {
        suspects.retain(|suspect| suspect.counted < attempts);
        for suspect in suspects {
            suspect.tried_with = 0;
        }
    }
    convicted
}
