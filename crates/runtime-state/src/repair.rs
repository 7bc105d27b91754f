//! A new store of everything that can still be read in a damaged one.

mod agents;
mod cells;
mod messages;
mod notes;
mod part;
mod runs;
mod schedules;
mod sizes;

use std::io;

use runtime_traits::clock::UnixMillis;
use runtime_traits::store::{StateError, StateStore};
use serde::Serialize;
use thiserror::Error;

use crate::copy::{self, inhabited};
use crate::steady::Steady;
use crate::{Copied, CopyError, Verified, verify_store};
use notes::Notes;
use part::Part;

pub use notes::{Change, ChangeSort, Quarantined};

/// Changes that are named; of more of them there is only the number.
const NAMED: usize = 10_000;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// What is in the new store.
    pub kept: Copied,
    /// What was done, by whose it is: the first 10,000.
    pub changes: Vec<Change>,
    /// How many changes there are.
    pub changed: u64,
    /// How many values went into quarantine.
    pub quarantined: u64,
}

/// What a repair is about at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairStep {
    /// It looks for damage.
    Looking,
    /// It writes the new store.
    Writing,
    /// It reads the new store and sees that it is whole.
    Checking,
}

/// Why a store was not repaired. The store itself is as it was.
#[derive(Debug, Error)]
pub enum RepairError {
    /// There is nothing to repair.
    #[error("the store is whole: there is nothing to repair")]
    Whole,
    /// A newer version wrote some of it, which this one would take for damage.
    #[error(
        "{newer} values were written by a newer version of this program: repair the store with that version"
    )]
    Newer {
        /// How many.
        newer: u64,
    },
    /// The damaged store does not even list its partitions.
    #[error("the damaged store cannot be read: {0}. Restore it from a copy")]
    From(#[source] StateError),
    /// The store cannot be read now, which is no damage. Nothing is known to be lost.
    #[error(
        "the store to repair does not answer: {0}. See to that, delete what was begun of the new store, and repair it again"
    )]
    Away(#[source] StateError),
    /// The new store cannot be written.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// What is left out cannot be kept aside.
    #[error("what is left out cannot be written beside the store: see that there is room for it")]
    Quarantine(#[source] io::Error),
    /// The new store has damage too.
    #[error("the new store is damaged in {damaged} places, first {first}: delete it, and report this")]
    StillDamaged {
        /// How many.
        damaged: u64,
        /// The first one.
        first: String,
    },
}

/// Writes everything of `from` that can still be read into `to`, in which nothing was ever written, so that `to` is whole
/// and a runtime can open it. `from` is not touched.
///
/// | what is damaged | becomes |
/// |---|---|
/// | a message, or a content that it names | a notice under its number; the conversation is cut to its longest whole piece |
/// | an entry of a run's log | the log ends before it: a run that was over keeps its outcome, an open one fails, visibly |
/// | the log of a run as a whole | a log that says so, and that the run failed |
/// | a declaration | the newest older one, or that of a snapshot; without either the agent is left out |
/// | what somebody wants of an agent | stopped |
/// | a head, a name, a cursor, an owner, the cell of a run | what the rest of the store says |
/// | a state, a snapshot, a sum, an idempotency key, an older declaration | left out |
///
/// Whatever is not in `to` as it was goes to `quarantine`, with its bytes where the store shows them. Each change is
/// named, by agent and session.
///
/// Until `to` is complete and was found whole it is marked, and [`open`](crate::open) refuses it.
///
/// # Errors
/// [`RepairError`].
pub async fn repair_store(
    from: &dyn StateStore,
    to: &dyn StateStore,
    now: UnixMillis,
    quarantine: &mut (dyn FnMut(Quarantined) -> io::Result<()> + Send + Sync),
    progress: &mut (dyn FnMut(RepairStep, u64) + Send),
) -> Result<Repaired, RepairError> {
    let found = verify_store(from, |so_far| progress(RepairStep::Looking, so_far.cells)).await;
    let found = found.map_err(unread)?;
    if found.newer > 0 {
        return Err(RepairError::Newer { newer: found.newer });
    }
    if found.damaged == 0 {
        return Err(RepairError::Whole);
    }
    let from = &Steady::over(from);
    let mark = copy::begin(from, to).await?;
    let mut notes = Notes::new(quarantine);
    let mut kept = Copied::default();
    let mut names = Vec::new();
    for partition in inhabited(from).await.map_err(unread)? {
        let part = Part::new(from, to, partition, now, &mut notes, &mut kept);
        names.extend(part.rescue(progress).await?);
        from.still().map_err(unread)?;
    }
    agents::name(to, names, &mut notes).await?;
    let checked = verify_store(to, |so_far| progress(RepairStep::Checking, so_far.cells)).await;
    let checked = checked.map_err(CopyError::To)?;
    if let Some(first) = first_of(&checked) {
        return Err(RepairError::StillDamaged { damaged: checked.damaged, first });
    }
    kept.partitions = checked.partitions;
    copy::end(to, mark).await?;
    let Notes { changes, changed, quarantined, .. } = notes;
    Ok(Repaired { kept, changes, changed, quarantined })
}

/// What it means to a repair that the store was not read.
fn unread(error: StateError) -> RepairError {
    match error {
        StateError::Damaged { .. } => RepairError::From(error),
        other => RepairError::Away(other),
    }
}

fn first_of(verified: &Verified) -> Option<String> {
    let damage = verified.damages.first()?;
    Some(format!("{} of partition `{}` ({})", damage.place, damage.partition, damage.what))
}
