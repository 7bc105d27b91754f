//! From a queue to an endpoint: takes deliveries out, waits until they are due, and has so many under way at once.

use std::collections::{BTreeMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::UnixMillis;
use runtime_traits::bus::{
    BusError, Deliveries, Delivery, Durable, Event, EventId, Listener, Live, Position, Retry, Start, Who,
};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::answer::Answer;
use super::gate::Gate;
use super::intake::pause;
use super::job::Job;
use super::recent::recent;
use super::running::Shared;
use super::sending::{self, Tried};
use super::{body, queue_topic, subscription, test_topic};

/// Sends the deliveries of a webhook.
struct Pump {
    shared: Arc<Shared>,
    tests: Box<dyn Listener>,
    ending: watch::Receiver<bool>,
    gate: Gate,
    /// What is in the hand and not under way, by when it is due.
    waiting: BTreeMap<(UnixMillis, Position), Job>,
    at_work: JoinSet<Tried>,
    testing: JoinSet<(String, Answer)>,
    telling: JoinSet<()>,
}

/// What becomes of a delivery that is due.
enum Fate {
    Tried,
    /// It is a dead letter without a try.
    Dead(String),
    /// It waits on.
    Waits,
}

/// What happened.
enum Happened {
    Ending,
    Ended(Result<Tried, JoinError>),
    Tested(Result<(String, Answer), JoinError>),
    Told,
    Asked(Option<Delivery>),
    Came(Result<Delivery, BusError>),
    Time,
}

/// Who hears that the webhook is to be tested.
pub(super) async fn tests(shared: &Shared) -> Result<Box<dyn Listener>, BusError> {
    let topics = test_topic(&shared.webhook.name).into();
    let live = Live { tenant: shared.tenant.clone(), ..Live::of(topics) };
    shared.bus.listen(&Who::System, live).await
}

/// Sends the deliveries of a webhook until it is to end and nothing is under way.
pub(super) async fn deliver(shared: Arc<Shared>, tests: Box<dyn Listener>, ending: watch::Receiver<bool>) {
    let mut pump = Pump {
        shared,
        tests,
        ending,
        gate: Gate::default(),
        waiting: BTreeMap::new(),
        at_work: JoinSet::new(),
        testing: JoinSet::new(),
        telling: JoinSet::new(),
    };
    let (mut failed, mut was_elsewhere) = (0, true);
    loop {
        let opened = match open(&pump.shared).await {
            // Another process may have worked for the webhook, and knows better how it stands.
            Ok(reader) if was_elsewhere => {
                let Shared { ledger, bus, tenant, .. } = &*pump.shared;
                ledger.catch_up(&**bus, tenant).await.map(|()| reader)
            }
            opened => opened,
        };
        let error = match opened {
            Ok(reader) => {
                (failed, was_elsewhere) = (0, false);
                let Some(error) = pump.work(&reader).await else { return };
                error
            }
            Err(error) => error,
        };
        was_elsewhere |= matches!(error, BusError::Busy { .. } | BusError::Taken { .. });
        let webhook = &pump.shared.webhook.name;
        tracing::warn!(%webhook, %error, "the queue of the webhook cannot be worked; trying again");
        tokio::select! {
            () = sleep(pause(failed)) => {}
            _ = pump.ending.wait_for(|ending| *ending) => return,
        }
        failed += 1;
    }
}

/// Becomes the reader of the queue.
async fn open(shared: &Shared) -> Result<Arc<dyn Deliveries>, BusError> {
    let name = &shared.webhook.name;
    let durable = Durable {
        tenant: shared.tenant.clone(),
        start: Start::Earliest,
        // What is to be tried again is a delivery of its own, with its moment: what fails here is dead.
        retry: Retry { attempts: 1, ..Retry::default() },
        ..Durable::of(queue_topic(name), subscription(name))
    };
    shared.bus.open(&Who::System, durable).await.map(Into::into)
}

impl Pump {
    /// Works the queue. `None`: it is to end, and nothing is under way.
    async fn work(&mut self, reader: &Arc<dyn Deliveries>) -> Option<BusError> {
        // What was queued again before a crash, while the delivery before it was not said to be done.
        let known = match recent(&self.shared).await {
            Ok(known) => Arc::new(known),
            Err(error) => return Some(error),
        };
        let error = loop {
            self.begin(reader, &known);
            self.tell();
            match self.next(&**reader).await {
                Happened::Ending => break None,
                Happened::Ended(Ok(tried)) => {
                    if let Err(error) = self.ended(tried) {
                        break Some(error);
                    }
                }
                Happened::Ended(Err(panic)) => {
                    let webhook = &self.shared.webhook.name;
                    tracing::error!(%webhook, %panic, "a delivery of the webhook broke off; it comes again");
                    break Some(self.shared.broke_off());
                }
                Happened::Tested(Ok((test, answer))) => self.tested(test, answer),
                Happened::Tested(Err(_)) | Happened::Told | Happened::Time => {}
                Happened::Asked(Some(Delivery::Event { event, .. })) => self.test(event),
                Happened::Asked(Some(Delivery::Gap(_))) => {}
                Happened::Asked(None) => break Some(self.shared.broke_off()),
                Happened::Came(Ok(Delivery::Event { position, event, .. })) => {
                    self.shared.ledger.saw(position);
                    let job = Job::of(position, event);
                    self.waiting.insert((job.due, position), job);
                }
                Happened::Came(Ok(Delivery::Gap(gap))) => self.shared.lost(gap.lost()),
                Happened::Came(Err(error)) => break Some(error),
            }
        };
        // What is in the hand comes again when somebody reads the queue again.
        self.waiting.clear();
        while let Some(ended) = self.at_work.join_next().await {
            if let Ok(tried) = ended {
                // What was not settled comes again as well.
                let _ = self.ended(tried);
            }
        }
        if error.is_none() {
            self.telling.shutdown().await;
            let shared = Arc::clone(&self.shared);
            told(&shared).await;
        }
        error
    }

    /// Waits until something happens.
    async fn next(&mut self, reader: &dyn Deliveries) -> Happened {
        let now = self.shared.clock.now();
        let (redelivery, rests) = (self.shared.webhook.redelivery, self.gate.rests());
        let first = self.waiting.first_key_value().map(|((due, _), job)| (*due, redelivery.end(job.since)));
        let moments = [
            first.map(|(due, _)| due).filter(|due| *due > now),
            self.gate.until(now),
            // What waits for an endpoint that is left alone, or that has no room, is given up in its time all the same.
            first.filter(|(due, end)| (rests || *due <= now) && *end > now).map(|(_, end)| end),
            self.shared.ledger.due(now).filter(|_| self.telling.is_empty()),
        ];
        let wake = moments.into_iter().flatten().min();
        let tests = &mut self.tests;
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|ending| *ending) => Happened::Ending,
            Some(ended) = self.at_work.join_next() => Happened::Ended(ended),
            Some(tested) = self.testing.join_next() => Happened::Tested(tested),
            Some(_) = self.telling.join_next() => Happened::Told,
            asked = poll_fn(|cx| tests.poll_next(cx)) => Happened::Asked(asked),
            came = reader.next() => Happened::Came(came),
            () = async { sleep(wake.unwrap_or_default().since(now).max(Duration::from_millis(1))).await },
                if wake.is_some() => Happened::Time,
        }
    }

    /// Begins with what is due, as far as there is room.
    fn begin(&mut self, reader: &Arc<dyn Deliveries>, known: &Arc<HashSet<EventId>>) {
        let now = self.shared.clock.now();
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
            let fate = fate(&self.shared, &self.gate, first.get(), self.at_work.len(), now);
            let (shared, reader) = (Arc::clone(&self.shared), Arc::clone(reader));
            match fate {
                Fate::Waits => break,
                Fate::Tried => {
                    self.at_work.spawn(sending::tried(shared, reader, Arc::clone(known), first.remove()));
                }
                Fate::Dead(why) => {
                    let job = first.remove();
                    self.at_work.spawn(async move { sending::buried(&*reader, &job, &why).await });
                }
            }
        }
        let in_hand = (self.waiting.len() + self.at_work.len()) as u64;
        let until = self.gate.until(now).map(|until| until.0);
        self.shared.ledger.note(|state| (state.waiting, state.rests_until) = (in_hand, until));
    }

    /// Takes note of how a try ended.
    fn ended(&mut self, Tried { answer, settled }: Tried) -> Result<(), BusError> {
        let now = self.shared.clock.now();
        match answer {
            None => {}
            Some(Answer::Taken) => self.well(now),
            Some(Answer::Gone) => {
                let webhook = &self.shared.webhook.name;
                tracing::error!(%webhook, "the endpoint of the webhook is gone (status 410): nothing is sent any more");
                self.failed("it answers with status 410: the endpoint is gone", now);
                self.shared.ledger.note(|state| _ = state.disabled_at.get_or_insert(now.0));
            }
            Some(Answer::Failed { cause, wait, of_endpoint }) => {
                if of_endpoint {
                    let first = self.shared.webhook.redelivery.first;
                    self.gate.failed(first, wait, now, self.shared.chance());
                } else {
                    self.gate.answered();
                }
                self.failed(&cause, now);
            }
        }
        settled
    }

    fn well(&mut self, now: UnixMillis) {
        self.gate.answered();
        self.shared.ledger.note(|state| {
            (state.taken_at, state.failures, state.cause) = (Some(now.0), 0, None);
        });
    }

    fn failed(&self, cause: &str, now: UnixMillis) {
        self.shared.ledger.note(|state| {
            state.failures = state.failures.saturating_add(1);
            (state.failed_at, state.cause) = (Some(now.0), Some(cause.to_owned()));
        });
    }

    /// Tests the endpoint, if it is not being tested.
    fn test(&mut self, event: Arc<Event>) {
        if !self.testing.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.testing.spawn(async move {
            let ping = body::ping(shared.webhook.name.as_str(), &event);
            let answer = shared.post(&format!("msg_{}", event.id), ping).await;
            (event.id.to_string(), answer)
        });
    }

    /// Takes note of a test. One that was taken lets a webhook go on that was disabled.
    fn tested(&mut self, test: String, answer: Answer) {
        let failed = match answer {
            Answer::Taken => None,
            Answer::Gone => Some("it answers with status 410: the endpoint is gone".to_owned()),
            Answer::Failed { cause, .. } => Some(cause),
        };
        if failed.is_none() {
            self.well(self.shared.clock.now());
            self.shared.ledger.note(|state| state.disabled_at = None);
        }
        self.shared.ledger.note(|state| (state.test, state.test_failed) = (Some(test), failed));
    }

    /// Tells how it stands, if that changed and it is time.
    fn tell(&mut self) {
        let now = self.shared.clock.now();
        if self.telling.is_empty() && self.shared.ledger.due(now).is_some_and(|due| due <= now) {
            let shared = Arc::clone(&self.shared);
            self.telling.spawn(async move { told(&shared).await });
        }
    }
}

async fn told(shared: &Shared) {
    shared.ledger.tell(&*shared.bus, &shared.tenant, &*shared.clock, &*shared.entropy).await;
}

/// What becomes of a delivery that is due, while so many are under way.
fn fate(shared: &Shared, gate: &Gate, job: &Job, at_work: usize, now: UnixMillis) -> Fate {
    let (webhook, known) = (&shared.webhook, shared.ledger.known());
    if at_work >= webhook.at_once {
        return Fate::Waits;
    }
    if let Some(disabled) = known.disabled_at {
        let since = UnixMillis(disabled).to_rfc3339();
        return Fate::Dead(format!(
            "the webhook is disabled since {since}: its endpoint answered with status 410"
        ));
    }
    let room = gate.room(webhook.at_once, now);
    if (gate.rests() || room == 0) && now >= webhook.redelivery.end(job.since) {
        let cause = known.cause.unwrap_or_default();
        return Fate::Dead(format!("the endpoint fails for too long: {cause} (tried {} times)", job.tried));
    }
    if at_work < room { Fate::Tried } else { Fate::Waits }
}
