//! Input for a session that is busy: it ends the run at work, or is the answer that this one waits for.

use std::sync::Arc;

use runtime_traits::id::AgentId;
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{Reply, RunRequest, RuntimeError, SessionPolicy};

use super::answer::Word;
use super::cancel::{Wish, caller};
use super::inner::Inner;
use super::run_slot::RunSlot;
use crate::engine::batches::Place;

impl Inner {
    /// Ends the run at work in the session of `place`, if the policy of the run there says so.
    pub(super) async fn displace(self: &Arc<Self>, place: &Place, policy: SessionPolicy) {
        let wish = match policy {
            SessionPolicy::Interrupt => Wish::Cancelled,
            SessionPolicy::Rollback => Wish::RolledBack,
            SessionPolicy::Enqueue | SessionPolicy::Reject | SessionPolicy::Answer => return,
        };
        let at_work = self.in_session(place, |session| session.at_work()).flatten();
        let Some(run) = at_work.filter(|run| *run != place.run) else { return };
        let Some(slot) = self.run_slot(&run) else { return };
        let reason = format!("`{}` takes its place", place.run);
        if let Err(error) = self.end_early(&slot, &reason, std::time::Duration::ZERO, wish).await {
            tracing::warn!(%run, %error, "the run could not be ended for the next one, which waits for it");
        }
    }

    /// Gives a request as the answer that the session's run waits for. `None`: the session is idle, or its run asks nothing.
    pub(super) async fn answer_with(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentId,
        request: &RunRequest,
    ) -> Result<Option<Arc<RunSlot>>, RuntimeError> {
        let at_work = self
            .with_agent(tenant, agent, |found, _| found.session(&request.session).at_work())
            .await?
            .and_then(|run| self.run_slot(&run));
        let Some(slot) = at_work else { return Ok(None) };
        let Some(step) = self.asks(&slot.place.run).await? else { return Ok(None) };
        let reply = Reply::Answer(request.input.clone());
        self.tell(&slot, Word::Reply { by: caller(), step, reply }).await?;
        Ok(Some(slot))
    }
}
