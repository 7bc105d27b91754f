//! Ending a run early, and saying what becomes of a step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_traits::content::Payload;
use runtime_traits::id::RunId;
use runtime_traits::log::{
    CancelRequested, DecidedBy, Ended, EntryKind, Outcome, Price, Receipt, RunView, StepKey, Stopped, Verdict,
};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{CancelReceipt, Decision, RuntimeError};

use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine;
use crate::engine::claim::Next;
use crate::engine::machine::{RunMachine, shortened};

/// How long after its time a run may take to be shut out, when its agent does not pause.
const GRACE: Duration = Duration::from_millis(500);
/// How long somebody else may take to move a run before this gives up.
const MOVES_WITHIN: Duration = Duration::from_secs(10);

/// Who asked, as long as there are no credentials.
fn caller() -> DecidedBy {
    DecidedBy::Principal("caller".to_owned())
}

impl Inner {
    /// Ends a run early.
    pub(super) async fn cancel(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        loop {
            let Some(slot) = self.open_slot(tenant, run)? else {
                let (log, view) = self.tenant_log(tenant, run).await?;
                return match view.outcome {
                    Some(outcome) => Ok(CancelReceipt::AlreadyEnded(outcome)),
                    None => {
                        drop(log);
                        Err(RuntimeError::UnknownRun { run: *run })
                    }
                };
            };
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(finished) => return Ok(receipt(&finished.outcome)),
                Stage::Working(machine) => return self.cancel_working(&slot, &machine, reason, within).await,
                Stage::Parked(_) if slot.take_parked() => {
                    let answer = self.cancel_still(&slot, reason, within).await;
                    return answer.inspect_err(|_| slot.park_again());
                }
                Stage::Queued if self.take_queued(&slot) => {
                    let answer = self.cancel_still(&slot, reason, within).await;
                    return answer.inspect_err(|_| self.queue_again(&slot));
                }
                Stage::Accepting | Stage::Moving | Stage::Parked(_) | Stage::Queued => {
                    self.until_moved(&slot).await?
                }
            }
        }
    }

    /// A queued run leaves its queue, unless its turn is promised.
    pub(super) fn take_queued(&self, slot: &RunSlot) -> bool {
        let left =
            self.in_session(&slot.place, |session| session.leave_queue(&slot.place.run)).unwrap_or(false);
        if left {
            slot.set_stage(Stage::Moving);
        }
        left
    }

    /// A run that could not be ended waits for its turn again, behind the others.
    pub(super) fn queue_again(&self, slot: &RunSlot) {
        slot.set_stage(Stage::Queued);
        self.in_session(&slot.place, |session| {
            session.admit(slot.place.run, false);
            session.accepted(&slot.place.run);
        });
    }

    async fn until_moved(&self, slot: &RunSlot) -> Result<(), RuntimeError> {
        let moved = slot.until(|stage| match stage {
            Stage::Working(_) | Stage::Ended(_) | Stage::Left(_) | Stage::Parked(_) => Some(()),
            Stage::Accepting | Stage::Moving | Stage::Queued => None,
        });
        let retry_after = Duration::from_secs(1);
        tokio::time::timeout(MOVES_WITHIN, moved).await.map_err(|_| RuntimeError::Busy {
            what: format!("`{}`", slot.place.run),
            limit: 1,
            retry_after,
        })
    }

    async fn cancel_working(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        machine: &Arc<Mutex<RunMachine>>,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        {
            let mut machine = lock(machine);
            machine.tick(self.clock.now());
            machine.cancel(caller(), reason.to_owned(), within);
        }
        slot.signal.raise();
        if let Ok(answer) = tokio::time::timeout(within + GRACE, over(slot)).await {
            return answer;
        }
        // The agent has not paused: it is shut out of its log, and its thread is left to it.
        let outgoing = {
            let mut machine = lock(machine);
            machine.stop_cancelled(Stopped::Abandoned);
            machine.take_batch()
        };
        if let Some(outgoing) = outgoing {
            let writing = Arc::clone(self).write(Arc::clone(slot), Arc::clone(machine), outgoing);
            writing.await?;
            let log = lock(machine).log().to_vec();
            self.run_over(slot, &log).await;
        }
        let receipt = Receipt { stopped: Stopped::Abandoned, unknown: Vec::new() };
        let answer = tokio::time::timeout(GRACE, over(slot)).await;
        answer.unwrap_or(Ok(CancelReceipt::Cancelled(receipt)))
    }

    /// Ends a run that has no attempt.
    async fn cancel_still(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        reason: &str,
        within: Duration,
    ) -> Result<CancelReceipt, RuntimeError> {
        let (log, view) = self.run_log(&slot.place.run).await?;
        let unknown = engine::claim::unknown_steps(&view);
        let outcome = Outcome::Cancelled(Receipt { stopped: Stopped::Complete, unknown });
        let within_millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let kinds = vec![
            EntryKind::CancelRequested(CancelRequested {
                by: caller(),
                reason: shortened(reason.to_owned()),
                within_millis,
            }),
            EntryKind::Ended(Ended { outcome: outcome.clone(), usage: view.usage, price: Price::default() }),
        ];
        self.go_on(slot, log, &view, kinds, Next::Over).await?;
        Ok(receipt(&outcome))
    }

    /// Says what becomes of a step that nobody knows the end of.
    pub(super) async fn decide(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        step: &StepKey,
        decision: Decision,
    ) -> Result<(), RuntimeError> {
        let nothing = || RuntimeError::NothingToDecide { run: *run, step: step.clone() };
        let Some(slot) = self.open_slot(tenant, run)? else {
            self.tenant_log(tenant, run).await?;
            return Err(RuntimeError::RunOver { run: *run });
        };
        let verdict = Self::verdict(run, decision)?;
        loop {
            let seen = slot.entries();
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(_) => return Err(RuntimeError::RunOver { run: *run }),
                Stage::Queued => return Err(nothing()),
                Stage::Working(machine) => {
                    let recorded_by = {
                        let mut machine = lock(&machine);
                        machine.decide(step, caller(), verdict.clone()).then(|| machine.log().len() as u64)
                    };
                    if let Some(entries) = recorded_by {
                        slot.signal.raise();
                        return self.until_recorded(&slot, entries).await;
                    }
                    // The replay may not have come to the step yet.
                    let waits = RunView::of(*run, lock(&machine).log())
                        .is_some_and(|view| view.decision_on(step).is_some());
                    if !waits {
                        return Err(nothing());
                    }
                    let moved = tokio::time::timeout(MOVES_WITHIN, slot.moves(seen)).await;
                    moved.map_err(|_| nothing())?;
                }
                Stage::Parked(_) if slot.take_parked() => {
                    let answer = self.decide_parked(&slot, step, verdict).await;
                    return answer.inspect_err(|_| slot.park_again());
                }
                Stage::Accepting | Stage::Moving | Stage::Parked(_) => self.until_moved(&slot).await?,
            }
        }
    }

    async fn decide_parked(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        step: &StepKey,
        verdict: Verdict,
    ) -> Result<(), RuntimeError> {
        let run = slot.place.run;
        let (log, view) = self.run_log(&run).await?;
        let decided = engine::decide::decide(&view, step, caller(), verdict);
        let (kinds, next) =
            decided.ok_or_else(|| RuntimeError::NothingToDecide { run, step: step.clone() })?;
        self.go_on(slot, log, &view, kinds, next).await
    }

    /// Waits until the log has this many entries: a verdict that was given to a running attempt is among them.
    async fn until_recorded(&self, slot: &RunSlot, entries: u64) -> Result<(), RuntimeError> {
        loop {
            let seen = slot.entries();
            if seen >= entries {
                return Ok(());
            }
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(_) => return Ok(()),
                _ => slot.moves(seen).await,
            }
        }
    }

    fn verdict(run: &RunId, decision: Decision) -> Result<Verdict, RuntimeError> {
        Ok(match decision {
            Decision::Repeat => Verdict::Repeat,
            Decision::Fail => Verdict::Fail,
            Decision::Assume(value) => {
                let (size, limit) = (value.bytes.len(), Payload::INLINE_LIMIT);
                if size > limit {
                    let (size, limit) = (size as u64, limit as u64);
                    let what = format!("the value assumed in `{run}`");
                    return Err(RuntimeError::TooLarge { what, size, limit });
                }
                Verdict::Assume(Payload::of(&value))
            }
        })
    }

    /// A run in memory, if it is the tenant's.
    pub(super) fn open_slot(
        &self,
        tenant: &Tenant,
        run: &RunId,
    ) -> Result<Option<Arc<RunSlot>>, RuntimeError> {
        if !self.checked(run.partition()) {
            return Err(RuntimeError::UnknownRun { run: *run });
        }
        let slot = self.run_slot(run);
        match slot {
            Some(slot) if slot.place.tenant != *tenant => Err(RuntimeError::UnknownRun { run: *run }),
            slot => Ok(slot),
        }
    }
}

async fn over(slot: &RunSlot) -> Result<CancelReceipt, RuntimeError> {
    slot.until(|stage| match stage {
        Stage::Ended(finished) => Some(Ok(receipt(&finished.outcome))),
        Stage::Left(error) => Some(Err(error.clone())),
        _ => None,
    })
    .await
}

fn receipt(outcome: &Outcome) -> CancelReceipt {
    match outcome {
        Outcome::Cancelled(receipt) => CancelReceipt::Cancelled(receipt.clone()),
        outcome => CancelReceipt::AlreadyEnded(outcome.clone()),
    }
}
