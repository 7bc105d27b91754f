//! What the log of a run tells of its failures.

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, DecidedBy, Entry, EntryKind, WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::recovery::History;

/// What was done about the failures of a run: its failed starts and its calls made again since a step was newly settled, or a person let
/// it go on; with the restarts of its agent, the latest last.
pub fn history(log: &[Entry], starts: impl IntoIterator<Item = UnixMillis>) -> History {
    let (mut attempts, mut retried) = (0_u32, 0_u32);
    let mut set_aside: Option<WaitId> = None;
    for entry in log {
        match &entry.kind {
            EntryKind::StepSettled(_) => (attempts, retried) = (0, 0),
            EntryKind::AttemptEnded(AttemptEnded { counted: true, .. }) => {
                (attempts, retried) = (attempts.saturating_add(1), 0);
            }
            EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Failed { .. }, .. }) => {
                retried = retried.saturating_add(1);
            }
            EntryKind::WaitOpened(WaitOpened { wait, on: WaitOn::Operator { .. }, .. }) => {
                set_aside = Some(*wait)
            }
            EntryKind::WaitClosed(WaitClosed { wait, by: DecidedBy::Principal(_), .. })
                if set_aside == Some(*wait) =>
            {
                (attempts, retried) = (0, 0);
            }
            _ => {}
        }
    }
    History::of_run(attempts, retried, starts)
}
