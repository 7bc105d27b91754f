//! What is known of a webhook, told on the bus as it changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_events::catalogue::{Announced, WebhookState};
use runtime_traits::bus::{Bus, BusError, Event, EventId, Position, Who};
use runtime_traits::clock::{Clock, Entropy};
use runtime_traits::{Name, Tenant, UnixMillis};

use super::{Webhook, queue_topic, state_topic};

/// How often it is told at most.
const EVERY: Duration = Duration::from_secs(1);

/// What is known of a webhook.
#[derive(Debug)]
pub(super) struct Ledger {
    name: Name,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: WebhookState,
    /// The last place of the queue that was taken out.
    seen: Position,
    /// When it was last told, and what, if that came to something.
    told: Option<(UnixMillis, Option<WebhookState>)>,
}

impl Ledger {
    /// Goes on with what was told last, if that was of the same address.
    ///
    /// # Errors
    /// What kept the bus from saying it.
    pub(super) async fn open(bus: &dyn Bus, tenant: &Tenant, webhook: &Webhook) -> Result<Self, BusError> {
        let before = told_last(bus, tenant, &webhook.name).await?;
        let mark = webhook.mark();
        let blank = WebhookState {
            webhook: webhook.name.to_string(),
            host: webhook.host(),
            mark: mark.clone(),
            taken_at: None,
            failed_at: None,
            cause: None,
            failures: 0,
            waiting: 0,
            rests_until: None,
            disabled_at: None,
            lost: 0,
            test: None,
            test_failed: None,
        };
        let known = before.filter(|before| before.mark == mark).unwrap_or(blank);
        let state = Mutex::new(State { known, seen: Position(0), told: None });
        Ok(Self { name: webhook.name.clone(), state })
    }

    /// Goes on with what another process told last, if that was of the same address.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) async fn catch_up(&self, bus: &dyn Bus, tenant: &Tenant) -> Result<(), BusError> {
        let last = told_last(bus, tenant, &self.name).await?;
        let mut state = self.lock();
        if let Some(last) = last.filter(|last| last.mark == state.known.mark) {
            // What was lost meanwhile may have been noted here.
            let lost = last.lost.max(state.known.lost);
            state.known = WebhookState { lost, ..last };
        }
        Ok(())
    }

    /// What is known now.
    pub(super) fn known(&self) -> WebhookState {
        self.lock().known.clone()
    }

    /// Changes what is known.
    pub(super) fn note(&self, change: impl FnOnce(&mut WebhookState)) {
        change(&mut self.lock().known);
    }

    /// When what changed is to be told; `None`: nothing did.
    pub(super) fn due(&self, now: UnixMillis) -> Option<UnixMillis> {
        let state = self.lock();
        match &state.told {
            None => Some(now),
            Some((_, told)) if told.as_ref() == Some(&state.known) => None,
            Some((at, _)) => Some(at.after(EVERY)),
        }
    }

    /// A delivery was taken out of the queue there.
    pub(super) fn saw(&self, position: Position) {
        let mut state = self.lock();
        state.seen = state.seen.max(position);
    }

    /// Tells it.
    pub(super) async fn tell(
        &self,
        bus: &dyn Bus,
        tenant: &Tenant,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) {
        let (known, seen) = {
            let state = self.lock();
            (state.known.clone(), state.seen)
        };
        let now = clock.now();
        let told = async {
            let behind = if seen < Position::FIRST { 0 } else { self.behind(bus, tenant, seen).await? };
            let told = WebhookState { waiting: known.waiting + behind, ..known.clone() };
            let event = Event {
                id: EventId::mint(clock, entropy),
                time: now,
                tenant: tenant.clone(),
                ..told.event()
            };
            bus.publish(&Who::System, Arc::new(event)).await
        };
        let known = match told.await {
            Ok(_) => Some(known),
            Err(error) => {
                let webhook = &known.webhook;
                tracing::warn!(webhook, %error, "how it stands with the webhook was not told; trying again");
                None
            }
        };
        self.lock().told = Some((now, known));
    }

    /// How many deliveries are in the queue behind the last one that was taken out.
    async fn behind(&self, bus: &dyn Bus, tenant: &Tenant, seen: Position) -> Result<u64, BusError> {
        let queue = queue_topic(&self.name);
        let end = bus.read(&Who::System, tenant, &queue, Position(u64::MAX >> 1), 1).await?.next;
        Ok(end.0.saturating_sub(seen.next().0))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told last of a webhook.
async fn told_last(bus: &dyn Bus, tenant: &Tenant, webhook: &Name) -> Result<Option<WebhookState>, BusError> {
    let topic = state_topic(webhook);
    let end = bus.read(&Who::System, tenant, &topic, Position(u64::MAX >> 1), 1).await?.next;
    let Some(last) = end.0.checked_sub(1).filter(|last| *last > 0) else { return Ok(None) };
    let last = bus.read(&Who::System, tenant, &topic, Position(last), 1).await?.events.pop();
    Ok(last.and_then(|kept| kept.event.json().ok()))
}
