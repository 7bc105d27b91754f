//! Calls that are over are told to whoever counts: those that were let through, and those of which nobody was asked before.

use std::sync::Mutex;

use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{Price, Usage};
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Call, Known, OnLimit};

use super::govern::Governing;
use super::inner::Inner;
use super::run_slot::{RunSlot, lock};
use crate::engine::batches::Place;
use crate::engine::machine::RunMachine;
use crate::engine::machine::admit::EndedCall;
use crate::engine::spent::believable;

/// What was used before is being read.
pub(super) struct Reading<'a> {
    of: &'a Mutex<Vec<Tenant>>,
    tenant: &'a Tenant,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut reading = lock(self.of);
        if let Some(at) = reading.iter().position(|tenant| tenant == self.tenant) {
            reading.swap_remove(at);
        }
    }
}

impl Governing {
    /// Tells that what a tenant used before is being read, until what this gives is dropped.
    pub(super) fn reading<'a>(&'a self, tenant: &'a Tenant) -> Reading<'a> {
        lock(&self.reading).push(tenant.clone());
        Reading { of: &self.reading, tenant }
    }
}

/// Tells of the calls that are over.
pub(super) fn settle_over(inner: &Inner, run: &RunSlot, machine: &Mutex<RunMachine>, now: UnixMillis) {
    let Some(governing) = &inner.governing else { return };
    let (over, counted, priority) = {
        let mut machine = lock(machine);
        (machine.take_over_calls(), machine.counted_as(), machine.priority())
    };
    for call in over {
        if call.held {
            governing.governor().settle(call.id, call.took, now);
        } else if inner.counts_now(governing, &run.place) {
            let EndedCall { id, model, took: most, .. } = call;
            let (tenant, agent, on_limit) = (run.place.tenant.clone(), run.place.agent, OnLimit::Wait);
            let call = Call { id, tenant, agent, run: counted, model, most, on_limit, priority };
            governing.governor().record(&call, now);
        }
    }
}

impl Inner {
    /// What the call under way costs by now, with what it says that it used as well.
    pub(super) fn price_with(&self, machine: &Mutex<RunMachine>, slot: Slot, used: Usage) -> Price {
        let Some(governing) = &self.governing else { return Price::default() };
        let under_way = lock(machine).call_under_way(slot);
        let priced = under_way.and_then(|call| Some((call.model?, call.took)));
        let price =
            priced.map(|(model, took)| governing.governor().price(&model.name, &believable(took.plus(used))));
        price.unwrap_or_default()
    }

    /// Whether what a run's log says by now has to be told to whoever counts: what was used before is known there, or is being read,
    /// maybe without it. Otherwise the log is read when somebody has to know.
    fn counts_now(&self, governing: &Governing, place: &Place) -> bool {
        // In this order: who reads no longer has told.
        let is_read = lock(&governing.reading).contains(&place.tenant);
        let known = self.in_agent(place, |agent| {
            let limits = agent.limits.as_deref().copied().unwrap_or_default();
            governing.governor().limit(&place.tenant, &place.agent, &limits)
        });
        is_read || known != Some(Known::No)
    }
}
