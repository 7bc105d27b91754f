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
use crate::engine::machine::{Over, RunMachine, shortened};

/// How long after its time a run may take to be shut out, when its agent does not pause.
const GRACE: Duration = Duration::from_millis(500);
/// How long somebody else may take to move a run before this gives up.
pub(super) const MOVES_WITHIN: Duration = Duration::from_secs(10);

/// How a run is to be ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What it said stays; by whose wish.
    Cancelled(DecidedBy),
    /// As if it had not been.
    RolledBack,
}

/// Who asked, as long as there are no credentials.
pub(super) fn caller() -> DecidedBy {
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
        self.cancel_as(tenant, *run, reason, within, Wish::Cancelled(caller())).await
    }

    /// Ends a run early, or the last successor in which it goes on.
    pub(super) async fn cancel_as(
        self: &Arc<Self>,
        tenant: &Tenant,
        mut run: RunId,
        reason: &str,
        within: Duration,
        wish: Wish,
    ) -> Result<CancelReceipt, RuntimeError> {
        loop {
            let receipt = match self.open_slot(tenant, &run)? {
                Some(slot) => self.end_early(&slot, reason, within, wish.clone()).await?,
                None => {
                    let view = match self.tenant_log(tenant, &run).await {
                        Err(RuntimeError::RunSwept { .. }) => self.run_view(&run).await?,
                        read => read?.1,
                    };
                    let outcome = view.outcome.ok_or(RuntimeError::UnknownRun { run })?;
                    CancelReceipt::AlreadyEnded(outcome)
                }
            };
            match receipt {
                CancelReceipt::AlreadyEnded(Outcome::Continued(next)) => run = next,
                receipt => return Ok(receipt),
            }
        }
    }
    /// Ends a run in memory early.
    pub(super) async fn end_early(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        reason: &str,
        within: Duration,
        wish: Wish,
    ) -> Result<CancelReceipt, RuntimeError> {
        loop {
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(finished) => return Ok(receipt(&finished.outcome)),
                Stage::Working(machine) => {
                    self.end_working(slot, &machine, reason, within, wish.clone()).await?
                }
                Stage::Parked(_) => {
                    let Some(waited_for) = slot.take_parked() else { continue };
                    let answer = self.end_still(slot, reason, within, wish.clone()).await;
                    return answer.inspect_err(|_| self.park_again(slot, waited_for));
                }
                Stage::Queued if self.take_queued(slot) => {
                    let answer = self.end_still(slot, reason, within, wish.clone()).await;
                    return answer.inspect_err(|_| self.queue_again(slot));
                }
                Stage::Accepting | Stage::Moving | Stage::Queued => self.until_moved(slot).await?,
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
    pub(super) fn queue_again(self: &Arc<Self>, slot: &RunSlot) {
        slot.set_stage(Stage::Queued);
        self.in_session(&slot.place, |session| {
            if slot.entries() > 1 {
                return session.wait_again(slot.place.run);
            }
            session.admit(slot.place.run, false);
            session.accepted(&slot.place.run);
        });
        // The one before it may have ended meanwhile.
        self.begin_next(&slot.place);
    }

    pub(super) async fn until_moved(&self, slot: &RunSlot) -> Result<(), RuntimeError> {
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

    /// Asks an attempt to end, and shuts it out when it does not. Afterwards the run is somewhere else: it has its
    /// outcome, or its attempt was over before and it is still.
    async fn end_working(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        machine: &Arc<Mutex<RunMachine>>,
        reason: &str,
        within: Duration,
        wish: Wish,
    ) -> Result<(), RuntimeError> {
        {
            let mut machine = lock(machine);
            machine.tick(self.clock.now());
            match wish {
                Wish::Cancelled(by) => machine.cancel(by, reason.to_owned(), within),
                Wish::RolledBack => machine.roll_back(),
            }
        }
        slot.signal.raise();
        if tokio::time::timeout(within.saturating_add(GRACE), leaves(slot, machine)).await.is_ok() {
            return Ok(());
        }
        // The agent has not paused: it is shut out of its log, and its thread is left to it. A task sees to it, for
        // the store may take longer than the caller waits.
        lock(machine).stop_cancelled(Stopped::Abandoned);
        self.spawn_control(Arc::clone(self).shut_out(Arc::clone(slot), Arc::clone(machine)));
        tokio::time::timeout(GRACE, leaves(slot, machine)).await.map_err(|_| RuntimeError::Busy {
            what: format!("`{}`, whose end is not recorded yet,", slot.place.run),
            limit: 1,
            retry_after: Duration::from_secs(1),
        })
    }

    /// Commits the end of a run whose agent does not pause.
    async fn shut_out(self: Arc<Self>, slot: Arc<RunSlot>, machine: Arc<Mutex<RunMachine>>) {
        loop {
            let outgoing = lock(&machine).take_batch();
            let Some(outgoing) = outgoing else { break };
            let written = Arc::clone(&self).write(Arc::clone(&slot), Arc::clone(&machine), outgoing).await;
            if let Err(error) = written {
                return slot.set_stage(Stage::Left(error.into()));
            }
        }
        let log = {
            let machine = lock(&machine);
            // Somebody else's commit may be under way, or the attempt has come to its end after all.
            let ended = machine.over() == Over::Run && machine.durable() == machine.log().len();
            if ended { machine.log().to_vec() } else { Vec::new() }
        };
        if !log.is_empty() {
            self.run_over(&slot, &log).await;
        }
    }

    /// Ends a run that has no attempt.
    async fn end_still(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        reason: &str,
        within: Duration,
        wish: Wish,
    ) -> Result<CancelReceipt, RuntimeError> {
        let (log, view) = self.run_log(&slot.place.run).await?;
        let unknown = engine::claim::unknown_steps(&view);
        let by = match &wish {
            Wish::Cancelled(by) => by.clone(),
            Wish::RolledBack => DecidedBy::Policy,
        };
        let outcome = match wish {
            Wish::Cancelled(_) => Outcome::Cancelled(Receipt { stopped: Stopped::Complete, unknown }),
            Wish::RolledBack => Outcome::RolledBack,
        };
        let within_millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let kinds = vec![
            EntryKind::CancelRequested(CancelRequested {
                by,
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
                    let (over, recorded_by) = {
                        let mut machine = lock(&machine);
                        let over = machine.over() == Over::Attempt;
                        let decided = machine.decide(step, caller(), verdict.clone());
                        (over, decided.then(|| machine.log().len() as u64))
                    };
                    if over {
                        let left = tokio::time::timeout(MOVES_WITHIN, leaves(&slot, &machine)).await;
                        left.map_err(|_| nothing())?;
                        continue;
                    }
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
                Stage::Parked(_) => {
                    let Some(waited_for) = slot.take_parked() else { continue };
                    let answer = self.decide_parked(&slot, step, verdict).await;
                    return answer.inspect_err(|_| self.park_again(&slot, waited_for));
                }
                Stage::Accepting | Stage::Moving => self.until_moved(&slot).await?,
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
        if view.is_quarantined() && verdict == Verdict::Repeat {
            return self.requeue_parked(slot, caller()).await;
        }
        let decided = engine::decide::decide(&view, step, caller(), verdict);
        let (kinds, next) =
            decided.ok_or_else(|| RuntimeError::NothingToDecide { run, step: step.clone() })?;
        self.go_on(slot, log, &view, kinds, next).await
    }

    /// Waits until the log has this many entries: a verdict that was given to a running attempt is among them.
    pub(super) async fn until_recorded(&self, slot: &RunSlot, entries: u64) -> Result<(), RuntimeError> {
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

/// Waits until a run is no longer worked by this machine.
pub(super) async fn leaves(slot: &RunSlot, machine: &Arc<Mutex<RunMachine>>) {
    slot.until(|stage| match stage {
        Stage::Working(other) if Arc::ptr_eq(other, machine) => None,
        _ => Some(()),
    })
    .await
}

fn receipt(outcome: &Outcome) -> CancelReceipt {
    match outcome {
        Outcome::Cancelled(receipt) => CancelReceipt::Cancelled(receipt.clone()),
        outcome => CancelReceipt::AlreadyEnded(outcome.clone()),
    }
}
