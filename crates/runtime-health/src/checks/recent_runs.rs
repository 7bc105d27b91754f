//! How the last runs of agents ended, from the events that say so.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use runtime_traits::bus::{Bus, Delivery, Event, Listener, Live, Who};
use runtime_traits::health::{Health, Verdict};
use runtime_traits::{AgentId, AgentRef, Cause, Clock, Runtime, Tenant, UnixMillis};
use serde::Deserialize;
use tokio::sync::Mutex;

/// The last runs of an agent that are kept.
const MOST: usize = 128;
/// How many events wait for the next look.
const RING: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not 0");
/// The most agents of which something is kept.
const AGENTS: usize = 100_000;
/// How much of what a failure says is kept.
const SAID: usize = 200;

const COMPLETED: &str = "agents/*/run.completed";
const FAILED: &str = "agents/*/run.failed";

/// How the last runs of a tenant's agents ended, from the events that say so: what happened since it was first looked at. A cheap
/// handle.
///
/// It listens to the bus live and reads when somebody looks. Where more happened in between than it holds, the newest counts.
#[derive(Clone)]
pub struct RecentRuns {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Arc<dyn Runtime>,
    bus: Arc<dyn Bus>,
    tenant: Tenant,
    clock: Arc<dyn Clock>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    listeners: Vec<Box<dyn Listener>>,
    by_name: HashMap<String, VecDeque<EndedRun>>,
    names: HashMap<AgentId, String>,
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndedRun {
    pub(super) at: UnixMillis,
    pub(super) took: Duration,
    /// What was said, if it failed.
    pub(super) failed: Option<String>,
}

/// What the events say that is needed here.
#[derive(Deserialize)]
struct Said {
    agent: String,
    #[serde(default)]
    message: Option<String>,
}

impl RecentRuns {
    /// Those of the agents of this runtime and tenant, which tells this bus of them.
    pub fn of(runtime: Arc<dyn Runtime>, bus: Arc<dyn Bus>, tenant: Tenant, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { runtime, bus, tenant, clock, heard: Mutex::default() }) }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.shared.clock.now()
    }

    /// The runs of an agent that ended within `window`, oldest first.
    pub(super) async fn of_agent(&self, agent: AgentId, window: Duration) -> Result<Vec<EndedRun>, Health> {
        let mut heard = self.shared.heard.lock().await;
        if heard.listeners.is_empty() {
            heard.listeners = self.listen().await?;
        }
        heard.read();
        let name = match heard.names.get(&agent) {
            Some(name) => name.clone(),
            None => {
                let status = self.shared.runtime.agent(&AgentRef::from(agent)).await;
                let status = status.map_err(|error| unknown("the agent cannot be looked at", &error))?;
                if heard.names.len() >= AGENTS {
                    heard.names.clear();
                }
                heard.names.insert(agent, status.name.to_string());
                status.name.to_string()
            }
        };
        let oldest =
            UnixMillis(self.now().0.saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX)));
        let runs = heard.by_name.get(&name).into_iter().flatten();
        Ok(runs.filter(|run| run.at >= oldest).cloned().collect())
    }

    async fn listen(&self) -> Result<Vec<Box<dyn Listener>>, Health> {
        let Shared { bus, tenant, .. } = &*self.shared;
        let who = Who::tenant(tenant.clone());
        let mut listeners = Vec::new();
        for topics in [COMPLETED, FAILED] {
            let live = Live::of(topics.parse().expect("it is a pattern"));
            let live = Live { tenant: tenant.clone(), ring: RING, ..live };
            let listener = bus.listen(&who, live).await;
            listeners.push(listener.map_err(|error| unknown("the bus cannot be listened to", &error))?);
        }
        Ok(listeners)
    }
}

impl Heard {
    /// Takes in what has come since the last look.
    fn read(&mut self) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut is_over = false;
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            // As much as is held: who publishes meanwhile does not keep this going for ever.
            for _ in 0..=RING.get() {
                match listener.poll_next(&mut cx) {
                    Poll::Ready(Some(Delivery::Event { event, .. })) => self.note(&event),
                    // What was lost is older than what is held.
                    Poll::Ready(Some(Delivery::Gap(_))) => {}
                    Poll::Ready(None) => {
                        is_over = true;
                        break;
                    }
                    // A reader may want to be asked once more before it says that there is nothing.
                    Poll::Pending if woken.0.swap(false, Ordering::Relaxed) => {}
                    Poll::Pending => break,
                }
            }
        }
        if !is_over {
            self.listeners = listeners;
        }
    }

    fn note(&mut self, event: &Event) {
        let (Ok(said), Some(run)) = (event.json::<Said>(), event.run) else { return };
        let ended = EndedRun {
            at: event.time,
            // An id is minted with the moment at which its run was asked for.
            took: run.minted_at().map_or(Duration::ZERO, |minted| event.time.since(minted)),
            failed: said.message.map(|message| message.chars().take(SAID).collect()),
        };
        if self.by_name.len() >= AGENTS && !self.by_name.contains_key(&said.agent) {
            self.by_name.clear();
        }
        let runs = self.by_name.entry(said.agent).or_default();
        if runs.len() >= MOST {
            runs.pop_front();
        }
        runs.push_back(ended);
    }
}

fn unknown(what: &str, error: &dyn std::error::Error) -> Health {
    Health::new(Verdict::Unknown, format!("{what}: {}", Cause::of(error)))
}

impl fmt::Debug for RecentRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentRuns").field("tenant", &self.shared.tenant).finish_non_exhaustive()
    }
}
