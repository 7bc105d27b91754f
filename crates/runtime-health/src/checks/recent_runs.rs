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
        let (mut events, mut whole_from) = (Vec::new(), UnixMillis(0));
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            let mut has_lost = false;
            // As much as is held: who publishes meanwhile does not keep this going for ever.
            for _ in 0..=RING.get() {
                match listener.poll_next(&mut cx) {
                    Poll::Ready(Some(Delivery::Event { event, .. })) => {
                        if std::mem::take(&mut has_lost) {
                            whole_from = whole_from.max(event.time);
                        }
                        events.push(event);
                    }
                    // What was lost is older than what is held. What failed then is not counted without what completed.
                    Poll::Ready(Some(Delivery::Gap(_))) => has_lost = true,
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
        events.iter().filter(|event| event.time >= whole_from).for_each(|event| self.note(event));
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
        // Sorts of runs are read one after the other: by order of reading, the newest of one sort would drive out those of another.
        runs.insert(runs.partition_point(|run| run.at <= ended.at), ended);
        if runs.len() > MOST {
            runs.pop_front();
        }
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

#[cfg(test)]
mod tests {
    use runtime_testkit::fakes::runtime::FakeRuntime;
    use runtime_traits::bus::{Gap, Position};

    use super::*;

    /// What was held when somebody came to read.
    #[derive(Debug)]
    struct Held(VecDeque<Delivery>);

    impl Listener for Held {
        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Delivery>> {
            self.0.pop_front().map_or(Poll::Pending, |next| Poll::Ready(Some(next)))
        }
    }

    /// A run that ended in that millisecond.
    fn ended(at: u64, sort: &str, data: &serde_json::Value) -> Delivery {
        let event = Event::new(format!("agents/busy/run.{sort}").as_str(), data).unwrap();
        let run = Some(FakeRuntime::new().samples().run);
        let event = Arc::new(Event { run, time: UnixMillis(at), ..event });
        Delivery::Event { position: Position(at), attempt: 1, event }
    }

    fn completed(at: u64) -> Delivery {
        ended(at, "completed", &serde_json::json!({ "agent": "busy" }))
    }

    fn failed(at: u64) -> Delivery {
        ended(at, "failed", &serde_json::json!({ "agent": "busy", "message": "it fails" }))
    }

    /// How many of the runs that are kept failed, and how many there are.
    fn read(completed: Vec<Delivery>, failed: Vec<Delivery>) -> (usize, usize) {
        let held = |deliveries: Vec<Delivery>| -> Box<dyn Listener> { Box::new(Held(deliveries.into())) };
        let mut heard = Heard { listeners: vec![held(completed), held(failed)], ..Heard::default() };
        heard.read();
        let runs = &heard.by_name["busy"];
        assert!(runs.iter().is_sorted_by_key(|run| run.at), "the last one is the newest");
        (runs.iter().filter(|run| run.failed.is_some()).count(), runs.len())
    }

    #[test]
    fn of_a_busy_agent_as_many_are_kept_of_those_that_failed_as_failed_of_late() {
        let is_bad = |at: &u64| at.is_multiple_of(10);
        let all = || 1..=500_u64;

        let kept = read(
            all().filter(|at| !is_bad(at)).map(completed).collect(),
            all().filter(is_bad).map(failed).collect(),
        );

        assert_eq!(kept, (13, MOST), "10 of 100");
    }

    #[test]
    fn what_failed_before_what_completed_was_lost_is_not_counted_alone() {
        let gap = Delivery::Gap(Gap { from: Position(1), to: Position(400) });
        let held = std::iter::once(gap).chain((401..=450).map(completed)).collect();

        assert_eq!(read(held, (1..=50).map(|at| failed(at * 9)).collect()), (6, 56));
    }
}
