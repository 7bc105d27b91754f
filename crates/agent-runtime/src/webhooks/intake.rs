//! From the ends of runs to deliveries: each end that a webhook tells of becomes one in its queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::{
    BusError, Delivery, DurablePattern, Event, EventId, PatternDeliveries, Position, Retry, Start, Topic, Who,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::recent::recent;
use super::redelivery::doubled;
use super::running::Shared;
use super::{RunEnd, body, job, queue_topic, subscription};

/// How many ends are worked on at once. Those of one agent come one after the other.
const AT_ONCE: usize = 16;
/// The pauses while the bus or the runtime is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Becomes the reader of the ends of one sort. A new one begins with what comes from now on.
pub(super) async fn open(shared: &Shared, end: RunEnd) -> Result<Arc<dyn PatternDeliveries>, BusError> {
    let durable = DurablePattern {
        tenant: shared.tenant.clone(),
        start: Start::Latest,
        // Nothing fails here for good.
        retry: Retry { attempts: u32::MAX, ..Retry::default() },
        ..DurablePattern::of(end.topics(), subscription(&shared.webhook.name))
    };
    shared.bus.open_pattern(&Who::System, durable).await.map(Into::into)
}

/// Takes in the ends of one sort for ever.
pub(super) async fn take_in(
    shared: Arc<Shared>,
    end: RunEnd,
    mut opened: Option<Arc<dyn PatternDeliveries>>,
) {
    let mut failed = 0;
    loop {
        let reader = match opened.take() {
            Some(reader) => Ok(reader),
            None => open(&shared, end).await,
        };
        let error = match reader {
            Ok(reader) => {
                failed = 0;
                read(&shared, end, reader).await
            }
            Err(error) => error,
        };
        let webhook = &shared.webhook.name;
        tracing::warn!(%webhook, %end, %error, "the ends of runs cannot be read for the webhook; trying again");
        sleep(pause(failed)).await;
        failed += 1;
    }
}

/// How long it is waited after so many failures in a row.
pub(super) fn pause(failed: u32) -> Duration {
    doubled(PAUSES.0, failed).min(PAUSES.1)
}

/// Reads until that fails.
async fn read(shared: &Arc<Shared>, end: RunEnd, reader: Arc<dyn PatternDeliveries>) -> BusError {
    // What was queued before a crash, and not said to be.
    let known = match recent(shared).await {
        Ok(known) => Arc::new(known),
        Err(error) => return error,
    };
    let mut at_work = JoinSet::new();
    loop {
        let next = tokio::select! {
            biased;
            Some(done) = at_work.join_next() => match done {
                Ok(Err(error)) => return error,
                Ok(Ok(())) => continue,
                Err(panic) => {
                    tracing::error!(%panic, "telling a webhook of a run broke off; it is tried again");
                    return shared.broke_off();
                }
            },
            next = reader.next(), if at_work.len() < AT_ONCE => next,
        };
        match next {
            Ok((topic, Delivery::Event { position, event, .. })) => {
                let (shared, reader) = (Arc::clone(shared), Arc::clone(&reader));
                let known = Arc::clone(&known);
                let place = (topic, position);
                at_work.spawn(async move { one(&shared, end, &*reader, &known, place, &event).await });
            }
            Ok((topic, Delivery::Gap(gap))) => {
                let (webhook, lost) = (&shared.webhook.name, gap.lost());
                tracing::error!(%webhook, %topic, lost, "ends of runs were not kept long enough to tell the webhook of them");
                shared.lost(lost);
            }
            Err(error) => return error,
        }
    }
}

/// Puts one end into the queue.
async fn one(
    shared: &Shared,
    end: RunEnd,
    reader: &dyn PatternDeliveries,
    known: &HashSet<EventId>,
    (topic, position): (Topic, Position),
    event: &Event,
) -> Result<(), BusError> {
    let is_queued = known.contains(&job::first_id(&shared.webhook.name, event));
    if !is_queued && shared.webhook.is_about(&body::told(event).agent) {
        match queue(shared, end, event, true).await {
            Err(BusError::TooLarge { .. }) => match queue(shared, end, event, false).await {
                Err(error) if !error.is_transient() => refused(shared, &topic, &error),
                queued => queued?,
            },
            Err(error) if !error.is_transient() => refused(shared, &topic, &error),
            queued => queued?,
        }
    }
    reader.done(&topic, position).await
}

async fn queue(shared: &Shared, end: RunEnd, event: &Event, whole: bool) -> Result<(), BusError> {
    let mut failed = 0;
    let body = loop {
        match body::of(&*shared.runtime, end, event, whole).await {
            Ok(body) => break body,
            Err(error) => {
                let webhook = &shared.webhook.name;
                tracing::warn!(%webhook, %error, "a run cannot be read for the webhook; trying again");
                sleep(pause(failed)).await;
                failed += 1;
            }
        }
    };
    let name = &shared.webhook.name;
    let delivery = job::first(name, queue_topic(name), event, event.run, body, shared.clock.now())?;
    shared.bus.publish(&Who::System, Arc::new(delivery)).await.map(drop)
}

/// It cannot be told for good, and holds up nothing.
fn refused(shared: &Shared, topic: &Topic, error: &BusError) {
    let webhook = &shared.webhook.name;
    tracing::error!(%webhook, %topic, %error, "the webhook is not told of a run");
    shared.lost(1);
}
