//! Opens the topics of a pattern that have something to work on.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use runtime_traits::bus::{BusError, Start, Topic};
use tokio::time::sleep_until;

use super::open_topics::{OpenTopics, Parked};
use crate::durable::Desk;
use crate::durable::bell::Bell;
use crate::durable::wanted::Wanted;
use crate::steady::steady_now;
use crate::watch::Watch;

/// After which pause a topic that could not be opened is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// When there is nothing to look at again.
const LATER: Duration = Duration::from_secs(86_400);

/// Opens the topics of a pattern that have something to work on, and closes others for them.
pub(super) struct Keeper {
    desk: Weak<Desk>,
    wanted: Wanted,
    watch: Arc<Watch>,
    open: Arc<OpenTopics>,
    bell: Arc<Bell>,
    /// All topics that there are.
    known: BTreeSet<Topic>,
    waiting: Waiting,
    /// After how long topics are looked at again that other processes may have left behind.
    sweep: Option<Duration>,
}

/// Topics in the order in which they are to be opened, each once.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Topic>,
    there: HashSet<Topic>,
}

impl Waiting {
    fn push(&mut self, topic: Topic) {
        if self.there.insert(topic.clone()) {
            self.order.push_back(topic);
        }
    }

    fn pop(&mut self) -> Option<Topic> {
        let topic = self.order.pop_front()?;
        self.there.remove(&topic);
        Some(topic)
    }
}

impl Keeper {
    pub(super) fn new(desk: &Arc<Desk>, wanted: Wanted, open: Arc<OpenTopics>, bell: Arc<Bell>) -> Self {
        // From here on nothing that grows is missed.
        let watch = desk.journal.watch(&wanted.name.tenant, &wanted.name.topics);
        let is_shared = wanted.group && desk.journal.sharing().is_some();
        let sweep = desk.journal.lease().filter(|_| is_shared);
        let (desk, known, waiting) = (Arc::downgrade(desk), BTreeSet::new(), Waiting::default());
        Self { desk, wanted, watch, open, bell, known, waiting, sweep }
    }

    /// Works until the subscription is closed or the bus is gone.
    pub(super) async fn work(mut self) {
        let mut listed = false;
        let mut next_sweep = steady_now() + self.sweep.unwrap_or(LATER);
        loop {
            let mut until = next_sweep;
            match self.round(&mut listed).await {
                Ok(true) => {}
                Ok(false) => until = until.min(steady_now() + AGAIN),
                Err(error) if error.is_transient() => {
                    tracing::warn!(name = %self.wanted.name.name, %error, "topics of a pattern cannot be opened");
                    until = until.min(steady_now() + AGAIN);
                }
                Err(error) => {
                    self.open.end(error);
                    return self.bell.ready.notify_waiters();
                }
            }
            if self.open.is_closed() || self.desk.strong_count() == 0 {
                return;
            }
            tokio::select! {
                () = self.watch.told() => {}
                () = self.bell.look.notified() => {}
                () = sleep_until(until) => {}
            }
            if let Some(sweep) = self.sweep
                && steady_now() >= next_sweep
            {
                // What is behind is asked for anew.
                listed = false;
                next_sweep = steady_now() + sweep;
            }
        }
    }

    /// Opens what there is to open. `false`: something is to be tried again.
    async fn round(&mut self, listed: &mut bool) -> Result<bool, BusError> {
        let Some(desk) = self.desk.upgrade() else { return Ok(true) };
        if !*listed {
            self.list(&desk).await?;
            *listed = true;
        }
        for topic in self.watch.take() {
            if desk.is_about(&self.wanted.name, &topic) {
                self.known.insert(topic.clone());
                self.waiting.push(topic);
            }
        }
        self.open.failed().into_iter().for_each(|topic| self.waiting.push(topic));
        self.fill(&desk).await
    }

    /// Looks for all topics, and for those among them that have something to work on.
    async fn list(&mut self, desk: &Desk) -> Result<(), BusError> {
        if self.known.is_empty() {
            self.known.extend(desk.topics(&self.wanted.name).await?);
        }
        let closed: Vec<Topic> = self.known.iter().filter(|topic| !self.open.has(topic)).cloned().collect();
        let name = &self.wanted.name;
        let behind = desk.journal.behind(&name.tenant, &name.name, &closed).await?;
        behind.into_iter().for_each(|topic| self.waiting.push(topic));
        Ok(())
    }

    async fn fill(&mut self, desk: &Arc<Desk>) -> Result<bool, BusError> {
        let mut failed = Vec::new();
        loop {
            // From here on it is told when a topic may be closed.
            self.bell.crowded.store(!self.waiting.order.is_empty(), Ordering::Release);
            let Some(topic) = self.waiting.order.front() else { break };
            if self.open.is_closed() {
                return Ok(true);
            }
            if !self.open.has(topic) && self.open.is_full() {
                match self.open.park() {
                    Some(parked) => self.look_after(desk, parked).await?,
                    None => break,
                }
            }
            let Some(topic) = self.waiting.pop() else { break };
            if self.open.has(&topic) {
                continue;
            }
            // What is there and has no cursor came to be later.
            let wanted = self.wanted.over(&topic, Start::Earliest);
            match desk.open(&wanted, Some(Arc::clone(&self.bell))).await {
                Ok(member) => {
                    self.open.insert(topic, member);
                    self.bell.ready.notify_waiters();
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(%topic, %error, "a topic of a pattern cannot be opened");
                    failed.push(topic);
                }
                Err(error) => return Err(error),
            }
        }
        let all = failed.is_empty();
        failed.into_iter().for_each(|topic| self.waiting.push(topic));
        Ok(all)
    }

    /// What was closed waits for its next turn, if there is more.
    async fn look_after(&mut self, desk: &Desk, parked: Parked) -> Result<(), BusError> {
        let Parked { topic, member, is_idle } = parked;
        if !is_idle {
            drop(member);
            self.waiting.push(topic);
            return Ok(());
        }
        let cursor = Arc::clone(&member.cursor);
        drop(member);
        // Of a group that is shared somebody else may have the rest: that is looked at now and then.
        if self.sweep.is_some() {
            return Ok(());
        }
        cursor.has_gone().await;
        // Something may have come after the last look.
        let name = &self.wanted.name;
        let behind = desk.journal.behind(&name.tenant, &name.name, std::slice::from_ref(&topic)).await;
        // Where that is not known it is opened again.
        if behind.is_err() || behind.is_ok_and(|behind| !behind.is_empty()) {
            self.waiting.push(topic);
        }
        Ok(())
    }
}
