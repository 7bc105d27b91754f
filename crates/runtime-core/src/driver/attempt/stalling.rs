//! What stands still for too long is given up.

use std::task::Context;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{FailureKind, RunFailure};
use runtime_traits::recovery::Failure;

use super::{Attempt, lock};
use crate::engine::machine::Stall;

impl Attempt {
    /// Gives up what has stood still for too long, as soon as it has. Whether something is to be done now.
    pub(super) fn looks_for_stall(&mut self, stall: &Stall, now: UnixMillis, cx: &mut Context<'_>) -> bool {
        let until = stall.until();
        if until <= now {
            self.give_up_stalled(stall);
            return true;
        }
        // Each sign of life puts it off. The alarm is set anew when it goes off, and not each time.
        if self.watch.as_ref().is_none_or(|(at, _)| *at > until) {
            let pause = until.since(now).max(Duration::from_millis(1));
            self.watch = Some((until, Box::pin(tokio::time::sleep(pause))));
        }
        let went_off = self.watch.as_mut().is_some_and(|(_, alarm)| alarm.as_mut().poll(cx).is_ready());
        if went_off {
            self.watch = None;
        }
        went_off
    }

    fn give_up_stalled(&mut self, stall: &Stall) {
        let (phase, says) = (stall.phase, stall.says());
        tracing::warn!(run = %self.slot.place.run, %phase, "{says}");
        // A thread that works for it does not end with the attempt: what it does must not be done beside it once more.
        let may_end = !self.beside.is_blocking() && lock(&self.machine).others_may_repeat(stall.slot);
        if may_end && self.inner.recovers(&self.slot, &self.machine, &Failure::Stalled { phase }, &says, None)
        {
            return;
        }
        if stall.slot.is_some() {
            let mut machine = lock(&self.machine);
            machine.pass(self.inner.clock.now());
            machine.give_up_stalled(stall);
        } else {
            self.drop_agent();
            self.ended = Some(Err(RunFailure { kind: FailureKind::Agent, message: says }));
        }
    }
}
