//! Quarantine: a run waits for an operator, and its session goes on without it, until a person requeues or drops it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use runtime_traits::id::RunId;
use runtime_traits::log::{DecidedBy, Entry, EntryKind, RunView, WaitOn};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::RuntimeError;

use super::cancel::{MOVES_WITHIN, leaves};
use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::claim::Next;
use crate::engine::machine::said::said_in;
use crate::engine::suspects::{let_out, set_aside};

const NOT_ASIDE: &str = "it is not in quarantine; see where it is with `agent-runtime status`";
const WENT_ON: &str = "its conversation went on without it, and what it has said would tear it in two; go on in a conversation of its \
     own with `agent-runtime fork`, and drop it with `agent-runtime cancel`";

impl Inner {
    /// Puts a run into quarantine that has begun, and says why. One that is there stays there.
    ///
    /// # Errors
    /// [`RuntimeError::RunOver`], and what kept it from being recorded.
    pub(super) async fn quarantine(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        why: &str,
    ) -> Result<(), RuntimeError> {
        let run = slot.place.run;
        loop {
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(_) => return Err(RuntimeError::RunOver { run }),
                Stage::Working(machine) => {
                    {
                        let mut machine = lock(&machine);
                        machine.pass(self.clock.now());
                        machine.set_aside(why);
                    }
                    slot.signal.raise();
                    let left = tokio::time::timeout(MOVES_WITHIN, leaves(slot, &machine)).await;
                    left.map_err(|_| RuntimeError::Busy {
                        what: format!("`{run}`, whose agent does not pause,"),
                        limit: 1,
                        retry_after: std::time::Duration::from_secs(1),
                    })?;
                }
                Stage::Parked(_) => {
                    let Some(waited_for) = slot.take_parked() else { continue };
                    let set = self.quarantine_parked(slot, why).await;
                    return set.inspect_err(|_| self.park_again(slot, waited_for));
                }
                Stage::Accepting | Stage::Moving | Stage::Queued => self.until_moved(slot).await?,
            }
        }
    }

    async fn quarantine_parked(self: &Arc<Self>, slot: &Arc<RunSlot>, why: &str) -> Result<(), RuntimeError> {
        let (log, view) = self.run_log(&slot.place.run).await?;
        let kinds = if view.is_quarantined() { Vec::new() } else { vec![set_aside(log.len(), why)] };
        let until = self.deadline_of(&slot.place, &log);
        self.go_on(slot, log, &view, kinds, Next::Wait { until }).await
    }

    /// Lets the session go on without a run that was put into quarantine by these entries.
    pub(super) fn release(self: &Arc<Self>, slot: &RunSlot, entries: &[Entry]) {
        let releases =
            |entry: &Entry| matches!(&entry.kind, EntryKind::WaitOpened(opened) if !opened.holds_session);
        if !entries.iter().any(releases) {
            return;
        }
        slot.aside.store(true, Ordering::Relaxed);
        let place = &slot.place;
        self.trials.forget(&place.run);
        tracing::warn!(run = %place.run, "the run is in quarantine: it waits for an operator");
        self.in_session(place, |session| {
            session.leave(&place.run);
            // It may have said something.
            session.known = None;
        });
        self.begin_next(place);
    }

    /// Lets a run out of quarantine.
    pub(super) async fn requeue(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        by: DecidedBy,
    ) -> Result<(), RuntimeError> {
        let Some(slot) = self.open_slot(tenant, run)? else {
            self.tenant_log(tenant, run).await?;
            return Err(RuntimeError::RunOver { run: *run });
        };
        loop {
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(_) => return Err(RuntimeError::RunOver { run: *run }),
                Stage::Working(_) | Stage::Queued => return Err(cannot(run, NOT_ASIDE)),
                Stage::Parked(_) => {
                    let Some(waited_for) = slot.take_parked() else { continue };
                    let requeued = self.requeue_parked(&slot, by.clone()).await;
                    return requeued.inspect_err(|_| self.park_again(&slot, waited_for));
                }
                Stage::Accepting | Stage::Moving => self.until_moved(&slot).await?,
            }
        }
    }

    /// Lets a run out of quarantine that somebody has in hand.
    pub(super) async fn requeue_parked(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        by: DecidedBy,
    ) -> Result<(), RuntimeError> {
        let place = &slot.place;
        let (log, view) = self.run_log(&place.run).await?;
        let wait = quarantine_of(&view).ok_or_else(|| cannot(&place.run, NOT_ASIDE))?;
        if let Some((_, end)) = said_in(&log)
            && self.session(place).await?.conversation.next > end
        {
            return Err(cannot(&place.run, WENT_ON));
        }
        let take_back =
            |agent: &mut super::inner::AgentSlot| agent.session(&place.session).take_back(place.run);
        let is_its_turn = self.with_agent(&place.tenant, &place.agent, |agent, _| take_back(agent)).await?;
        let next = if is_its_turn { Next::Start } else { Next::Queue };
        let went_on = self.go_on(slot, log, &view, vec![let_out(wait, by)], next).await;
        if went_on.is_ok() {
            slot.aside.store(false, Ordering::Relaxed);
            self.in_session(place, |session| session.accepted(&place.run));
        } else {
            self.in_session(place, |session| session.leave(&place.run));
        }
        if went_on.is_err() || !is_its_turn {
            // The one before it may have ended meanwhile, or others have come behind it.
            self.begin_next(place);
        }
        went_on
    }
}

/// The wait for an operator.
pub(super) fn quarantine_of(view: &RunView) -> Option<runtime_traits::log::WaitId> {
    view.waits.iter().find(|wait| matches!(wait.on, WaitOn::Operator { .. })).map(|wait| wait.wait)
}

fn cannot(run: &RunId, reason: &str) -> RuntimeError {
    RuntimeError::CannotRequeue { run: *run, reason: reason.to_owned() }
}
