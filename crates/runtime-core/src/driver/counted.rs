//! The counters of an agent's bytes: made where there were none, and kept few.

use std::collections::{BTreeMap, HashSet};

use runtime_codec::{ContentMark, SweptRun, decode, decode_entry};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::EntryKind;
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Cell, Key, Log, Revision, Seq, StateError, Then, When};

use super::inner::Inner;
use super::load::PAGE;
use super::size::{OldDay, number};
use crate::engine::batches::Writes;
use crate::engine::keys;

/// How often it is tried to count an agent that writes meanwhile.
const TRIES: u32 = 4;
/// Days that have cells of their own before they are added up: whoever asks for the sum reads all of them.
const DAYS: usize = 31;
/// Writes in one batch.
const GROUP: usize = 200;

/// Bytes by conversation.
pub(super) type Bytes = BTreeMap<SessionName, i64>;

/// Whether the cell of the days before says that all of an agent is counted.
fn is_counted(before: &Option<Cell>) -> bool {
    before.as_ref().is_some_and(|cell| number(cell).is_some())
}

impl Inner {
    /// Sees that all of an agent is counted, also what was written before anybody counted.
    pub(super) async fn see_to_count(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let before = keys::size(tenant, agent, keys::DAYS_BEFORE);
        if is_counted(&self.store.get(&[before]).await?[0]) {
            return Ok(());
        }
        self.count_anew(tenant, agent).await.map(|_| ())
    }

    /// Reads all that is stored of an agent, and lets its counters say that. Where the agent writes again and again
    /// meanwhile, they stay as they are until the next time.
    pub(super) async fn count_anew(&self, tenant: &Tenant, agent: &AgentId) -> Result<Bytes, RuntimeError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let still = self.nothing_changes(tenant, agent).await?;
            let there = self.bytes_there(tenant, agent).await?;
            let Some(still) = still else { return Ok(there) };
            match self.correct(tenant, agent, &still, &there).await {
                Err(RuntimeError::Store(StateError::Conflict { .. })) if tries > 0 => {}
                Ok(()) | Err(RuntimeError::Store(StateError::Conflict { .. })) => return Ok(there),
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets counts of an agent go that cannot be read, so that it is counted anew. What keeps it from that is tried by the next one
    /// who asks.
    pub(super) async fn let_damaged_go(&self, tenant: &Tenant, agent: &AgentId, damaged: &[(Key, Revision)]) {
        let own = keys::size(tenant, agent, keys::DAYS_BEFORE);
        for some in damaged.chunks(GROUP) {
            let when = some.iter().map(|(key, revision)| When::Revision(key.clone(), *revision)).collect();
            let mut then: Vec<Then> = some.iter().map(|(key, _)| Then::Delete(key.clone())).collect();
            then.push(Then::Delete(own.clone()));
            if let Err(error) = self.commit_now(agent.partition(), Writes::of(when, then)).await {
                tracing::debug!(%agent, %error, "damaged counts of its bytes are there yet");
            }
        }
    }

    /// What holds as long as nothing is written of an agent, for every such write is counted today. `None`: it is being
    /// deleted, or was counted by now. A count that cannot be read is none.
    async fn nothing_changes(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<Option<Vec<When>>, RuntimeError> {
        let today = self.today();
        let keys = [
            keys::want(tenant, agent),
            keys::size(tenant, agent, keys::DAYS_BEFORE),
            keys::size(tenant, agent, today),
            keys::size(tenant, agent, today + 1),
        ];
        let found = self.store.get(&keys).await?;
        if found[0].is_none() || is_counted(&found[1]) {
            return Ok(None);
        }
        let conditions = keys.into_iter().zip(found).map(|(key, cell)| match cell {
            Some(cell) => When::Revision(key, cell.revision),
            None => When::Absent(key),
        });
        Ok(Some(conditions.collect()))
    }

    /// Writes by how much the counters are wrong, the agent's own last: with it all of it is counted.
    async fn correct(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        still: &[When],
        there: &Bytes,
    ) -> Result<(), RuntimeError> {
        let mut wrong = there.clone();
        // Nothing can be added to what is no number: it is replaced. What was counted on a day that cannot be read is among
        // the days before, too.
        let mut unreadable = HashSet::new();
        let mut after: Option<Key> = None;
        loop {
            let under = keys::session_sizes_all(tenant, agent);
            let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let Some((session, day)) = keys::of_session_size(key) else { continue };
                match number(cell) {
                    Some(counted) => *wrong.entry(session).or_default() -= counted,
                    None if day == keys::DAYS_BEFORE => {
                        wrong.entry(session).or_default();
                        unreadable.insert(key.clone());
                    }
                    None => {}
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        let all = there.values().sum::<i64>() - self.sum_under(&keys::sizes(tenant, agent)).await?.all;
        let own = keys::size(tenant, agent, keys::DAYS_BEFORE);
        if self.store.get(std::slice::from_ref(&own)).await?[0].is_some() {
            tracing::warn!(%agent, "the count of its stored bytes could not be read; they are counted anew");
            unreadable.insert(own.clone());
        }
        let write = |key: Key, by: i64| match unreadable.contains(&key) {
            true => Then::Put(key, by.to_string().into()),
            false => Then::Add(key, by),
        };
        let mut then: Vec<Then> = wrong
            .into_iter()
            .map(|(session, by)| (keys::session_size(tenant, agent, &session, keys::DAYS_BEFORE), by))
            .filter(|(key, by)| *by != 0 || unreadable.contains(key))
            .map(|(key, by)| write(key, by))
            .collect();
        then.push(write(own, all));
        for group in then.chunks(GROUP) {
            self.commit_now(agent.partition(), Writes::of(still.to_vec(), group.to_vec())).await?;
        }
        Ok(())
    }

    /// How many bytes there are of an agent's messages, states and runs, and of contents that are counted with it. What
    /// cannot be read is nobody's.
    async fn bytes_there(&self, tenant: &Tenant, agent: &AgentId) -> Result<Bytes, RuntimeError> {
        let partition = agent.partition();
        let mut there = Bytes::new();
        for under in [keys::messages_all(tenant, agent), keys::run_logs(partition)] {
            let mut after: Option<Log> = None;
            loop {
                let page = self.store.logs(&under, after.as_ref(), PAGE).await?;
                for extent in page.iter().filter(|extent| extent.first < extent.next) {
                    if let Some(session) = self.session_of(agent, &extent.log).await? {
                        *there.entry(session).or_default() +=
                            self.bytes_before(&extent.log, Seq(u64::MAX)).await?;
                    }
                }
                match page.into_iter().next_back() {
                    Some(extent) => after = Some(extent.log),
                    None => break,
                }
            }
        }
        for under in [keys::of_agent(tenant, "s", agent), keys::marks_all(partition, tenant)] {
            let mut after: Option<Key> = None;
            loop {
                let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
                for (key, cell) in &page {
                    if let Some((_, _, session)) = keys::of_state(key) {
                        *there.entry(session).or_default() += cell.value.len() as i64;
                    } else if keys::of_mark(key).is_some()
                        && let Ok(ContentMark { of: Some((of, session)), len, .. }) = decode(&cell.value)
                        && of == *agent
                    {
                        *there.entry(session).or_default() += i64::try_from(len).unwrap_or(i64::MAX);
                    }
                }
                match page.into_iter().next_back() {
                    Some((key, _)) => after = Some(key),
                    None => break,
                }
            }
        }
        Ok(there)
    }

    /// The conversation of a log, if it is the agent's.
    async fn session_of(&self, agent: &AgentId, log: &Log) -> Result<Option<SessionName>, RuntimeError> {
        if let Some((_, _, session)) = keys::of_messages(log) {
            return Ok(Some(session));
        }
        let tail = self.store.read(log, Seq::FIRST, 1).await?;
        let first = tail.entries.first().and_then(|bytes| decode_entry(tail.first, bytes).ok());
        if let Some(EntryKind::Accepted(accepted)) = first.map(|entry| entry.kind) {
            return Ok((accepted.agent == *agent).then_some(accepted.session));
        }
        // It is being let go, and its stub says whose it was.
        let path = std::str::from_utf8(log.path.as_bytes()).ok().and_then(|path| path.strip_prefix("run/"));
        let Some(unique) = path.and_then(|id| uuid::Uuid::try_parse(id).ok()) else { return Ok(None) };
        let stub = keys::swept(&RunId::from_parts(log.partition, unique));
        let stub = self.store.get(&[stub]).await?.pop().flatten();
        let stub = stub.and_then(|cell| decode::<SweptRun>(&cell.value).ok());
        Ok(stub.filter(|stub| stub.agent == *agent).map(|stub| stub.session))
    }

    /// Adds days up that nobody asks for any more by themselves, once there are many of them. Whatever keeps it from that
    /// keeps nothing else: the next one who comes adds them up.
    pub(super) async fn add_up(&self, before: Key, old: &[OldDay]) {
        if old.len() < DAYS {
            return;
        }
        for days in old.chunks(GROUP) {
            let when = days.iter().map(|day| When::Revision(day.key.clone(), day.revision)).collect();
            let mut then: Vec<Then> = days.iter().map(|day| Then::Delete(day.key.clone())).collect();
            then.push(Then::Add(before.clone(), days.iter().map(|day| day.by).sum()));
            if let Err(error) = self.commit_now(before.partition, Writes::of(when, then)).await {
                tracing::debug!(cell = %before, %error, "the counters of its days are not added up yet");
                return;
            }
        }
    }
}
