//! That there is no room under a limit is told on the bus: with the entry that says so, or from memory, where none does.

use std::sync::Arc;

use runtime_traits::bus::Happening;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Limit, NoRoom, Refused, ResourceLimits, Whose};

use super::inner::Inner;
use super::run_slot::RunSlot;
use crate::engine::batches::Place;

impl Inner {
    /// It with what the limit is, where it is one of the agent's own.
    pub(super) fn with_allowed(&self, place: &Place, no_room: NoRoom) -> NoRoom {
        let limits = self.in_agent(place, |agent| agent.limits.as_deref().copied()).flatten();
        allowed_by(&limits.unwrap_or_default(), no_room)
    }

    /// Tells that a run waits to be worked.
    pub(super) fn tell_entering(self: &Arc<Self>, run: &RunSlot) {
        let no_room = self.with_allowed(&run.place, own(Limit::MaxConcurrentRequests, true));
        self.tell_no_room(&run.place.tenant, &run.place.agent, Some(run.place.run), no_room);
    }

    /// Tells that no run is accepted.
    pub(super) fn tell_refused(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentId,
        limits: &ResourceLimits,
        refused: &Refused,
    ) {
        if let Some(no_room) = refused.no_room(self.clock.now()) {
            self.tell_no_room(tenant, agent, None, allowed_by(limits, no_room));
        }
    }

    /// Tells that no run is accepted, because as many are queued as may.
    pub(super) fn tell_queue_full(self: &Arc<Self>, tenant: &Tenant, agent: &AgentId, most: u32) {
        let no_room = NoRoom { allowed: Some(u64::from(most)), ..own(Limit::MaxQueued, false) };
        self.tell_no_room(tenant, agent, None, no_room);
    }

    /// Tells that an agent, or a run of it, finds no room. Nobody waits for that to be told.
    pub(super) fn tell_no_room(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentId,
        run: Option<RunId>,
        no_room: NoRoom,
    ) {
        if !self.announcing.as_ref().is_some_and(|announcing| announcing.is_interested()) {
            return;
        }
        let (inner, tenant, agent) = (Arc::clone(self), tenant.clone(), *agent);
        self.spawn_control(async move {
            let what = Happening::NoRoom { run: run.as_ref(), no_room: &no_room };
            inner.tell_at_once(&tenant, &agent, &what, run).await;
        });
    }
}

/// No room under a limit of an agent.
const fn own(limit: Limit, waits: bool) -> NoRoom {
    NoRoom { limit, whose: Whose::Agent, allowed: None, waits, until: None }
}

/// With what the limit is, if the agent's limits say so: those of others are not among them.
fn allowed_by(limits: &ResourceLimits, no_room: NoRoom) -> NoRoom {
    let allowed = match no_room.whose {
        Whose::Run | Whose::Agent => limits.of(no_room.limit),
        Whose::Tenant | Whose::Provider => None,
    };
    NoRoom { allowed: no_room.allowed.or(allowed), ..no_room }
}
