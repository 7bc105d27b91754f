//! Attempts that fail, and the pause before the next one.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, EntryKind, StepKey, StepUnknown, UnknownCause, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::name::Name;

use super::asks::DROPPED;
use super::{MAX_ENTRIES, Over, ROOM_TO_END, RunMachine, shortened};
use crate::engine::suspects::set_aside;

/// Whether an entry says that the agent dropped something.
fn is_drop(kind: &EntryKind) -> bool {
    match kind {
        EntryKind::StepUnknown(unknown) => unknown.cause == UnknownCause::Dropped,
        EntryKind::WaitClosed(closed) => {
            matches!(&closed.answer, Payload::Inline(content) if content.bytes == DROPPED.as_bytes())
        }
        _ => false,
    }
}

impl RunMachine {
    /// Ends the attempt, not the run: its next attempt goes on. Steps under way are not known to have ended.
    pub fn end_attempt(&mut self, how: AttemptEnding) {
        self.end_attempt_as(how, false);
    }

    /// The same, and says whether it counts against the run.
    pub fn end_attempt_as(&mut self, how: AttemptEnding, counted: bool) {
        if self.over == Over::No {
            self.keep_waited();
            self.give_up_steps(UnknownCause::Crash);
            self.append(EntryKind::AttemptEnded(AttemptEnded { how, counted }));
            self.over = Over::Attempt;
        }
    }

    /// Puts the run into quarantine: its attempt is over, and it waits for an operator.
    pub fn set_aside(&mut self, why: &str) {
        if self.over == Over::No {
            self.end_attempt_as(AttemptEnding::Failed { error: shortened(why.to_owned()) }, true);
            let aside = set_aside(self.log.len(), why);
            self.append(aside);
        }
    }

    /// Records that a suspect lived long enough to be none any more. One that is paused did nothing, and shows nothing by that.
    pub fn clear_if_at_work(&mut self) {
        if self.over == Over::No && !self.paused {
            self.append(EntryKind::Cleared);
        }
    }

    /// Ends an attempt that failed: the run goes on with another one, not before `at`. `counted`: it counts against the run. What was
    /// dropped by the failure itself is at the end of the log, from entry `since` on.
    pub fn fail_attempt(&mut self, error: String, counted: bool, at: UnixMillis, since: usize) {
        if self.may_fail(since) {
            if at > self.now {
                let wait = WaitId(self.next_seq().0);
                let name = Name::new(WaitOn::RESTART).expect("a constant that is a name");
                let (on, digest) = (WaitOn::Time(StepKey::first(name)), Digest::of(&at.0.to_le_bytes()));
                let (wake_at, holds_session) = (Some(at), true);
                self.append(EntryKind::WaitOpened(WaitOpened { wait, on, digest, wake_at, holds_session }));
            }
            self.end_attempt_as(AttemptEnding::Failed { error: shortened(error) }, counted);
        }
    }

    /// Ends an attempt that was one too many: the run waits for a person, and its session goes on without it.
    pub fn give_up_run(&mut self, error: &str, since: usize) {
        if self.over == Over::No {
            self.take_back_drops(since);
            self.set_aside(error);
        }
    }

    fn may_fail(&mut self, since: usize) -> bool {
        if self.over == Over::No && self.log.len() + ROOM_TO_END > MAX_ENTRIES {
            self.log_full();
        }
        if self.over != Over::No {
            return false;
        }
        self.take_back_drops(since);
        true
    }

    /// A failure drops what the agent had under way, in the unwinding of its stack or at its `?`. That was no decision of the agent: the
    /// next attempt, which may come further, goes on with it, as after a crash.
    fn take_back_drops(&mut self, since: usize) {
        let since = since.max(self.sent);
        let mut dropped = Vec::new();
        while self.log.len() > since
            && let Some(entry) = self.log.pop_if(|entry| is_drop(&entry.kind))
        {
            dropped.push(entry.kind);
        }
        for kind in dropped.into_iter().rev() {
            if let EntryKind::StepUnknown(unknown) = kind
                && unknown.try_no > 0
            {
                self.append(EntryKind::StepUnknown(StepUnknown { cause: UnknownCause::Crash, ..unknown }));
            }
        }
    }

    /// Lets the attempt give its place up as soon as no step of it is under way: its agent is built anew.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.ask_no_more();
    }

    /// Whether it is to give its place up.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }
}
