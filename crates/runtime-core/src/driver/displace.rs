//! Input for a session that is busy: it ends the run at work, or is the answer that this one waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{DecidedBy, EntryKind};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{Reply, RunRequest, RuntimeError, SessionPolicy};
use runtime_traits::store::Revision;

use super::answer::Word;
use super::attempt::READ_AGAIN_AFTER;
use super::cancel::{Wish, caller};
use super::inner::Inner;
use super::run_slot::RunSlot;
use crate::engine::batches::Place;

impl Inner {
    /// Ends the run that was at work when the run of `place` was accepted, or the successor in which it goes on, if the policy
    /// says so.
    pub(super) async fn displace(self: &Arc<Self>, place: &Place, policy: SessionPolicy, at_work: RunId) {
        let wish = match policy {
            SessionPolicy::Interrupt => Wish::Cancelled(DecidedBy::Policy),
            SessionPolicy::Rollback => Wish::RolledBack,
            SessionPolicy::Enqueue | SessionPolicy::Reject | SessionPolicy::Answer => return,
        };
        let reason = format!("`{}` takes its place", place.run);
        while !self.ending.is_cancelled() {
            match self.cancel_as(&place.tenant, at_work, &reason, Duration::ZERO, wish.clone()).await {
                // It is being moved, or does not pause.
                Err(RuntimeError::Busy { .. }) => {}
                Err(RuntimeError::Store(error)) if error.is_transient() => {
                    tracing::warn!(run = %at_work, %error, "the run cannot be ended yet; it is tried again");
                    tokio::time::sleep(READ_AGAIN_AFTER).await;
                }
                Err(error) => {
                    tracing::warn!(run = %at_work, %error, "the run could not be ended; the next one waits for it");
                    return;
                }
                Ok(_) => return,
            }
        }
    }

    /// Does what a process that died may not have come to: ends the run at work for one that was accepted to take its place.
    /// A run that began since is not meant.
    pub(super) async fn displace_again(
        self: &Arc<Self>,
        place: &Place,
        policy: SessionPolicy,
        accepted: (UnixMillis, Revision),
        revisions: &HashMap<RunId, Revision>,
    ) -> Result<(), RuntimeError> {
        let at_work = self.in_session(place, |session| session.at_work()).flatten();
        let Some(run) = at_work.filter(|run| *run != place.run) else { return Ok(()) };
        let (log, _) = self.run_log(&run).await?;
        let began = log.iter().find(|entry| matches!(entry.kind, EntryKind::Started(_)));
        // One that began with its acceptance has that commit's place; for others the clock has to do.
        let was_at_work = began.is_some_and(|began| {
            let at_once = log.first().is_some_and(|first| first.at == began.at);
            let earlier = revisions.get(&run).is_some_and(|revision| *revision < accepted.1);
            began.at < accepted.0 || (at_once && earlier)
        });
        if was_at_work {
            self.displace(place, policy, run).await;
        }
        Ok(())
    }

    /// Gives a request as the answer that the session's run waits for. `None`: the session is idle, or its run asks nothing.
    pub(super) async fn answer_with(
        self: Arc<Self>,
        tenant: Tenant,
        agent: AgentId,
        request: RunRequest,
    ) -> Result<Option<Arc<RunSlot>>, RuntimeError> {
        let at_work = self
            .with_agent(&tenant, &agent, |found, _| found.session(&request.session).at_work())
            .await?
            .and_then(|run| self.run_slot(&run));
        let Some(slot) = at_work else { return Ok(None) };
        let Some(step) = self.asks(&slot.place.run).await? else { return Ok(None) };
        let reply = Reply::Answer(request.input);
        match self.tell(&slot, Word::Reply { by: caller(), step, reply }).await {
            Ok(()) => Ok(Some(slot)),
            // Somebody else was faster.
            Err(RuntimeError::NothingToAnswer { .. } | RuntimeError::RunOver { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
