//! How many bytes are stored of agents and sessions: counted with every write, and read here.

use std::collections::BTreeMap;

use runtime_traits::agent::StorageLimits;
use runtime_traits::id::AgentId;
use runtime_traits::name::{NameError, SessionName, Tenant};
use runtime_traits::runtime::{AgentRef, Page, RuntimeError, SessionStatus, Stored};
use runtime_traits::store::{Cell, Key, Log, Revision, Seq, StateError, Then};

use super::inner::Inner;
use super::load::PAGE;
use super::register::parse_spec;
use super::run_slot::lock;
use crate::engine::batches::{Writes, day_of, length};
use crate::engine::{counters, keys};

/// Sessions on a page, if the caller does not say.
const PAGE_DEFAULT: u32 = 100;

impl Inner {
    /// How many bytes the entries of a log have that come before `end`.
    pub(super) async fn bytes_before(&self, log: &Log, end: Seq) -> Result<i64, StateError> {
        let mut bytes = 0;
        let mut from = Seq::FIRST;
        while from < end {
            let limit = u32::try_from(end.0 - from.0).unwrap_or(PAGE).min(PAGE);
            let tail = self.store.read(log, from, limit).await?;
            if tail.entries.is_empty() {
                break;
            }
            let before = usize::try_from(end.0.saturating_sub(tail.first.0)).unwrap_or(usize::MAX);
            bytes += length(&tail.entries[..tail.entries.len().min(before)]);
            from = Seq(tail.first.0 + tail.entries.len() as u64);
        }
        Ok(bytes)
    }

    /// Counts what a snapshot writes into an agent: copies of messages, and states. Nobody else writes there meanwhile.
    pub(super) async fn book_restored(&self, writes: &mut Writes) -> Result<(), StateError> {
        let mut grown: BTreeMap<(Tenant, AgentId, SessionName), i64> = BTreeMap::new();
        let mut states: Vec<(Key, i64)> = Vec::new();
        for write in &writes.then {
            match write {
                Then::Append(log, messages) => {
                    if let Some(of) = keys::of_messages(log) {
                        *grown.entry(of).or_default() += length(messages);
                    }
                }
                Then::Put(key, value) => states.push((key.clone(), value.len() as i64)),
                Then::Delete(key) => states.push((key.clone(), 0)),
                Then::Add(..) | Then::Trim(..) | Then::Drop(_) => {}
            }
        }
        states.retain(|(key, _)| keys::of_state(key).is_some());
        let keys: Vec<Key> = states.iter().map(|(key, _)| key.clone()).collect();
        if !keys.is_empty() {
            for (before, (key, after)) in self.store.get(&keys).await?.into_iter().zip(states) {
                let before = before.map_or(0, |cell| cell.value.len() as i64);
                let Some(of) = keys::of_state(&key) else { continue };
                *grown.entry(of).or_default() += after - before;
            }
        }
        for ((tenant, agent, session), by) in grown {
            writes.book(&tenant, &agent, &session, by, self.clock.now());
        }
        Ok(())
    }

    /// How many bytes are stored of an agent.
    pub(super) async fn stored(&self, tenant: &Tenant, agent: &AgentId) -> Result<Stored, RuntimeError> {
        Ok(self.sum_of_agent(tenant, agent).await?.stored())
    }

    /// What the cells of an agent's days come to. What was written before anybody counted is counted now.
    async fn sum_of_agent(&self, tenant: &Tenant, agent: &AgentId) -> Result<Sum, RuntimeError> {
        let sum = self.sum_under(&keys::sizes(tenant, agent)).await?;
        if sum.is_whole && sum.damaged.is_empty() {
            return Ok(sum);
        }
        self.let_damaged_go(tenant, agent, &sum.damaged).await;
        let all = self.count_anew(tenant, agent).await?.values().sum();
        Ok(Sum { all, ..sum })
    }

    pub(super) async fn sum_under(&self, under: &Key) -> Result<Sum, RuntimeError> {
        let mut sum = Sum::default();
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.scan(under, after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let day = keys::last_part(key).and_then(|day| day.parse().ok());
                match day {
                    Some(day) => sum.add(key, cell, day, self.today()),
                    None => not_counted(key),
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(sum),
            }
        }
    }

    /// The sessions of which anything was ever written, and how many bytes there are of each.
    pub(super) async fn sessions(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionStatus>, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(1_000) } as usize;
        let after = match after {
            Some(after) => Some(
                SessionName::new(after)
                    .map_err(|_| NameError::new("page", after, "what the last page's `next` said"))?,
            ),
            None => None,
        };
        let Some(spec) = self.record::<runtime_codec::SpecRecord>(&keys::spec(tenant, &id)).await? else {
            return Err(RuntimeError::UnknownAgent { agent: agent.to_string() });
        };
        let StorageLimits { session_soft: soft, session_hard: hard, .. } = parse_spec(&spec)?.storage;
        self.see_to_count(tenant, &id).await?;
        let status = |(session, sum): (SessionName, Sum)| SessionStatus {
            session,
            stored: Stored { soft, hard, ..sum.stored() },
        };
        let under = keys::session_sizes_all(tenant, &id);
        let mut cursor = after.map(|session| keys::session_size(tenant, &id, &session, LAST_DAY));
        let mut items: Vec<SessionStatus> = Vec::new();
        let mut last: Option<(SessionName, Sum)> = None;
        loop {
            let page = self.store.scan(&under, cursor.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let Some((session, day)) = keys::of_session_size(key) else {
                    not_counted(key);
                    continue;
                };
                if last.as_ref().is_none_or(|(last, _)| *last != session)
                    && let Some(before) = last.replace((session, Sum::default()))
                {
                    items.push(status(before));
                    if items.len() == limit {
                        let next = items.last().map(|item| item.session.to_string());
                        return Ok(Page { items, next });
                    }
                }
                if let Some((_, sum)) = &mut last {
                    sum.add(key, cell, day, self.today());
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => cursor = Some(key),
                None => break,
            }
        }
        items.extend(last.map(status));
        Ok(Page { items, next: None })
    }

    /// Refuses new input for an agent or a session whose hard limit is reached, and warns once of a soft one.
    pub(super) async fn check_room(
        &self,
        tenant: &Tenant,
        called: &AgentRef,
        agent: &AgentId,
        session: &SessionName,
    ) -> Result<(), RuntimeError> {
        let Some(limits) = self.with_agent(tenant, agent, |slot, _| slot.storage.as_deref().copied()).await?
        else {
            return Ok(());
        };
        let StorageLimits { soft, hard, session_soft, session_hard } = limits;
        if soft.or(hard).is_some() {
            let sum = self.sum_of_agent(tenant, agent).await?;
            self.add_up(keys::size(tenant, agent, keys::DAYS_BEFORE), &sum.old).await;
            let stored = Stored { soft, hard, ..sum.stored() };
            let remedy = "delete the agent when it is no longer needed";
            self.check_stored(agent, None, &stored, format!("agent `{called}`"), remedy)?;
        }
        if session_soft.or(session_hard).is_some() {
            self.see_to_count(tenant, agent).await?;
            let mut sum = self.sum_under(&keys::session_sizes(tenant, agent, session)).await?;
            if !sum.damaged.is_empty() {
                self.let_damaged_go(tenant, agent, &sum.damaged).await;
                sum.all = self.count_anew(tenant, agent).await?.remove(session).unwrap_or(0);
            }
            self.add_up(keys::session_size(tenant, agent, session, keys::DAYS_BEFORE), &sum.old).await;
            let stored = Stored { soft: session_soft, hard: session_hard, ..sum.stored() };
            let what = format!("session `{session}` of agent `{called}`");
            self.check_stored(agent, Some(session), &stored, what, "go on in another session")?;
        }
        Ok(())
    }

    fn check_stored(
        &self,
        agent: &AgentId,
        session: Option<&SessionName>,
        stored: &Stored,
        what: String,
        remedy: &str,
    ) -> Result<(), RuntimeError> {
        let of = (*agent, session.cloned());
        let soft = stored.soft.unwrap_or(u64::MAX);
        if !stored.is_much() {
            lock(&self.warned).remove(&of);
        } else if lock(&self.warned).insert(of) {
            tracing::warn!(bytes = stored.bytes, soft, "{what} has reached its soft limit of stored bytes");
        }
        match stored.hard {
            Some(limit) if stored.is_full() => {
                let (bytes, remedy) = (stored.bytes, remedy.to_owned());
                Err(RuntimeError::StorageFull { what, bytes, limit, remedy })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn today(&self) -> u64 {
        day_of(self.clock.now())
    }
}

/// No day comes after it.
const LAST_DAY: u64 = 999_999;

/// What cells of days come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) all: i64,
    lately: i64,
    /// Whether the days before those that have cells of their own are among them.
    is_whole: bool,
    /// Days that nobody asks for any more by themselves.
    pub(super) old: Vec<OldDay>,
    /// Those that cannot be read.
    damaged: Vec<(Key, Revision)>,
}

/// The cell of a day.
#[derive(Clone, Debug)]
pub(super) struct OldDay {
    pub(super) key: Key,
    pub(super) revision: Revision,
    pub(super) by: i64,
}

impl Sum {
    fn add(&mut self, key: &Key, cell: &Cell, day: u64, today: u64) {
        let Some(by) = number(cell) else {
            self.damaged.push((key.clone(), cell.revision));
            return not_counted(key);
        };
        self.all = self.all.saturating_add(by);
        if day == keys::DAYS_BEFORE {
            self.is_whole = true;
        } else if day + 1 < today {
            self.old.push(OldDay { key: key.clone(), revision: cell.revision, by });
        } else {
            self.lately = self.lately.saturating_add(by);
        }
    }

    fn stored(&self) -> Stored {
        Stored { bytes: u64::try_from(self.all).unwrap_or(0), grown: self.lately, soft: None, hard: None }
    }
}

/// What a counter says.
pub(super) fn number(cell: &Cell) -> Option<i64> {
    counters::number(&cell.value)
}

/// What cannot be read of a sum keeps nobody from working, nor from being listed.
fn not_counted(key: &Key) {
    tracing::warn!(%key, "a count of stored bytes cannot be read");
}
