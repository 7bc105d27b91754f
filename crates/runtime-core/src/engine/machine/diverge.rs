//! An agent asks for something else than its log holds: nothing is done, and a person is waited for.

use runtime_traits::content::Digest;
use runtime_traits::log::{AttemptEnded, AttemptEnding, EntryKind, WaitId, WaitOn, WaitOpened};

use super::{Over, RunMachine};

impl RunMachine {
    pub(super) fn diverge(&mut self, asked: String) {
        let recorded = match self.log[self.given].kind {
            EntryKind::StepOpened(ref opened) => format!("step `{}`", opened.key),
            EntryKind::StepSettled(ref settled) => format!("step `{}`", settled.key),
            EntryKind::WaitOpened(ref opened) => format!("wait {:?}", opened.on),
            EntryKind::StepUnknown(ref unknown) => format!("step `{}` dropped", unknown.key),
            ref other => format!("{other:?}"),
        };
        self.diverged(recorded, asked);
    }

    pub(super) fn diverged(&mut self, recorded: String, asked: String) {
        if self.over != Over::No {
            return;
        }
        let wait = WaitId(self.next_seq().0);
        let digest = Digest::of(format!("{recorded}/{asked}").as_bytes());
        let on = WaitOn::Diverged { recorded, asked };
        self.append(EntryKind::WaitOpened(WaitOpened {
            wait,
            on,
            digest,
            wake_at: None,
            holds_session: true,
        }));
        self.append(EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Parked, counted: false }));
        self.over = Over::Attempt;
    }
}
