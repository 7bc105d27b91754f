//! Batches that a store refuses for one of their counters: nobody's run stays open for a damaged number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use runtime_codec::{CellSort, Whose, cell_sort};
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::name::Tenant;
use runtime_traits::store::{Batch, Key, StateError};

use super::inner::Inner;
use super::run_slot::lock;
use crate::engine::counters::{Refusal, added, around, refusal};
use crate::engine::keys;
use crate::engine::spent::kept_until;

/// Counters of use that were found damaged as something was to be added to them.
#[derive(Debug, Default)]
pub(super) struct DamagedBooks(Mutex<BTreeSet<Key>>);

impl DamagedBooks {
    /// Whether nobody was told of it yet.
    fn is_new(&self, counter: &Key) -> bool {
        lock(&self.0).insert(counter.clone())
    }

    /// One of an agent's that is of use yet.
    pub(super) fn of(&self, tenant: &Tenant, agent: &AgentId, now: UnixMillis) -> Option<Key> {
        let all = keys::usage(tenant, agent, "");
        let mut damaged = lock(&self.0);
        damaged.retain(|key| until(key).is_none_or(|until| until > now));
        let is_its = |key: &&Key| {
            key.partition == all.partition && key.path.as_bytes().starts_with(all.path.as_bytes())
        };
        damaged.range(all.clone()..).next().filter(is_its).cloned()
    }
}

fn until(counter: &Key) -> Option<UnixMillis> {
    keys::last_part(counter).and_then(kept_until)
}

impl Inner {
    /// A refused batch that does without the counters for which it was refused. `None`: it was not for them.
    pub(super) async fn around_counters(&self, batch: &Batch) -> Result<Option<Box<Batch>>, StateError> {
        let added = added(&batch.then);
        let mut refused = BTreeMap::new();
        for (key, by) in &added {
            // One by one: what cannot be deciphered says so for all that are read with it.
            let refusal = match self.store.get(std::slice::from_ref(key)).await {
                Ok(cells) => {
                    let cell = cells.into_iter().next().flatten();
                    refusal(cell.as_ref().map(|cell| cell.value.as_ref()), *by)
                }
                Err(StateError::Damaged { .. }) => Some(Refusal::Damaged),
                Err(error) => return Err(error),
            };
            refused.extend(refusal.map(|refusal| (key.clone(), refusal)));
        }
        if refused.is_empty() {
            return Ok(None);
        }
        let Some(then) = around(&batch.then, &refused) else { return Ok(None) };
        for (counter, refusal) in &refused {
            self.log_refused(counter, *refusal);
        }
        Ok(Some(Box::new(Batch { id: self.batch_id(), then, ..batch.clone() })))
    }

    fn log_refused(&self, counter: &Key, refusal: Refusal) {
        let (sort, Whose { tenant, agent, .. }) = cell_sort(counter);
        let tenant = tenant.unwrap_or_default();
        let agent = agent.map_or_else(|| "all".to_owned(), |agent| agent.to_string());
        match (sort, refusal) {
            (CellSort::Usage, Refusal::Damaged) => {
                if let (Some(governing), Some(more)) = (&self.governing, keys::more(counter))
                    && let Some(until) = until(&more)
                {
                    governing.keep_until(until, more);
                }
                if self.damaged_books.is_new(counter) {
                    tracing::error!(
                        %tenant, agent, cell = %counter,
                        "what was used is damaged; it is counted on beside, and after a restart nothing is let through under \
                         limits: see `agent-runtime state verify`"
                    );
                }
            }
            (_, Refusal::Damaged) => tracing::warn!(
                %tenant, agent, cell = %counter, "a count of stored bytes is damaged; they are counted anew"
            ),
            (_, Refusal::Full) => {
                tracing::warn!(%tenant, agent, cell = %counter, "a counter has reached the most that a store counts")
            }
        }
    }
}
