//! Turns of health, told on the bus.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_events::catalogue::{Announced, HealthChanged};
use runtime_traits::Tenant;
use runtime_traits::bus::{Bus, Event, Who};
use runtime_traits::health::HealthTurn;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many turns wait for the bus; more are not told: what is shown is in the health all the same.
const WAITING: usize = 1_024;
/// How long the bus may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Tells turns of health on the bus, as long as this is there.
pub(super) struct Teller {
    turns: mpsc::Sender<HealthTurn>,
    /// Ends with this.
    _task: Mutex<JoinSet<()>>,
}

impl Teller {
    pub(super) fn begin(executor: &Handle, bus: Arc<dyn Bus>, tenant: Tenant) -> Self {
        let (turns, mut to_tell) = mpsc::channel::<HealthTurn>(WAITING);
        let mut task = JoinSet::new();
        // Whoever drops the runtime is free to open its store again, also before this task has ended.
        let bus = Arc::downgrade(&bus);
        let tell = async move {
            while let Some(turn) = to_tell.recv().await {
                let Some(bus) = bus.upgrade() else { return };
                let event = Arc::new(event_of(turn, tenant.clone()));
                // A bus that is away misses what turned meanwhile; what is shown is asked for elsewhere.
                let _ = timeout(WITHIN, bus.publish(&Who::System, event)).await;
            }
        };
        task.spawn_on(tell, executor);
        Self { turns, _task: Mutex::new(task) }
    }

    pub(super) fn tell(&self, turn: &HealthTurn) {
        let _ = self.turns.try_send(turn.clone());
    }
}

fn event_of(turn: HealthTurn, tenant: Tenant) -> Event {
    let HealthTurn { watched, check, from, to, at } = turn;
    let watched = watched.to_string();
    let (before, now) = (from.verdict.to_string(), to.verdict.to_string());
    let event = HealthChanged { check, watched, before, now, reason: to.reason }.event();
    Event { tenant, time: at, ..event }
}
