//! What is in a queue already: stores forget with their process which events they have, and what was published before a crash
//! would be there twice.

use std::collections::HashSet;

use runtime_traits::bus::{BusError, EventId, Position, Who};

use super::queue_topic;
use super::running::Shared;

/// How many of the last events are looked at: far more than can be in doubt after a crash.
const LOOKED_AT: u64 = 1_024;
/// How many are read at once.
const PAGE: u32 = 256;

/// The ids of the last events of the queue.
pub(super) async fn recent(shared: &Shared) -> Result<HashSet<EventId>, BusError> {
    let (queue, mut ids) = (queue_topic(&shared.webhook.name), HashSet::new());
    let end = shared.bus.read(&Who::System, &shared.tenant, &queue, Position(u64::MAX >> 1), 1).await?.next;
    let mut from = Position(end.0.saturating_sub(LOOKED_AT).max(1));
    while from < end {
        match shared.bus.read(&Who::System, &shared.tenant, &queue, from, PAGE).await {
            Ok(page) => {
                let Some(last) = page.events.last() else { break };
                from = last.position.next();
                ids.extend(page.events.iter().map(|kept| kept.event.id));
            }
            Err(BusError::BeforeRetention { first, .. }) if first > from => from = first,
            Err(error) => return Err(error),
        }
    }
    Ok(ids)
}
