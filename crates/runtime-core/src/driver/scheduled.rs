//! Schedules are declared, changed, looked at and deleted.

use std::collections::HashMap;
use std::sync::Arc;

use runtime_codec::{ScheduleRecord, SpecRecord, encode};
use runtime_traits::content::Payload;
use runtime_traits::id::AgentId;
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, Page, RuntimeError};
use runtime_traits::schedule::{Schedule, ScheduleError, ScheduleFilter, ScheduleView, ScheduledBy};
use runtime_traits::store::{Revision, StateError, Then, When};

use super::inner::Inner;
use super::list::{cursor, written};
use super::load::{PAGE, read};
use super::register::parse_spec;
use super::ticks::{Which, declared, due_at};
use crate::engine::batches::Writes;
use crate::engine::keys;
use crate::engine::schedule::{check, times_of};

/// How many schedules an agent may have.
const MOST: usize = 1_000;
/// How many are on a page, unless somebody asks for another number.
const PAGE_DEFAULT: u32 = 100;

/// A schedule that is stored.
struct Stored {
    record: ScheduleRecord,
    schedule: Schedule,
    revision: Revision,
}

impl Inner {
    /// Declares a schedule.
    pub(super) async fn put_schedule(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentRef,
        schedule: Schedule,
        by: ScheduledBy,
    ) -> Result<ScheduleView, RuntimeError> {
        self.check(&schedule.run)?;
        let (size, limit) = (schedule.run.input.bytes.len(), Payload::INLINE_LIMIT);
        if size > limit {
            let what = "the input of a schedule".to_owned();
            return Err(RuntimeError::TooLarge { what, size: size as u64, limit: limit as u64 });
        }
        self.change_schedule(tenant, agent, &schedule.name, |before| {
            let now = self.clock.now();
            let Some(Stored { record, schedule: was, .. }) = before else {
                let times = check(&schedule, now)?;
                return Ok(ScheduleRecord {
                    schedule: json(&schedule)?,
                    by,
                    declared_at: now,
                    id: self.declaration(),
                    since: now,
                    upto: now,
                    paused: false,
                    next: times.after(now),
                    fired: 0,
                    missed: 0,
                    last: Vec::new(),
                });
            };
            if *was == schedule {
                return Ok(ScheduleRecord { by, ..record.clone() });
            }
            let is_moved = was.timing != schedule.timing;
            let (since, upto) = if is_moved { (now, now) } else { (record.since, record.upto) };
            let times = if is_moved { check(&schedule, now)? } else { times_of(&schedule.timing, since)? };
            Ok(ScheduleRecord {
                schedule: json(&schedule)?,
                by,
                declared_at: now,
                id: self.declaration(),
                since,
                upto,
                next: times.after(upto).filter(|_| !record.paused),
                ..record.clone()
            })
        })
        .await
    }

    /// Pauses a schedule, or ends its pause.
    pub(super) async fn pause_schedule(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentRef,
        name: &Name,
        paused: bool,
    ) -> Result<ScheduleView, RuntimeError> {
        self.change_schedule(tenant, agent, name, |before| {
            let Stored { record, schedule, .. } = before.ok_or_else(|| unknown(agent, name))?;
            if record.paused == paused {
                return Ok(record.clone());
            }
            // What passed meanwhile is not missed; and a clock that was set back makes nothing due again.
            let upto = if paused { record.upto } else { record.upto.max(self.clock.now()) };
            let next = times_of(&schedule.timing, record.since)?.after(upto).filter(|_| !paused);
            Ok(ScheduleRecord { paused, upto, next, ..record.clone() })
        })
        .await
    }

    /// Deletes a schedule.
    pub(super) async fn delete_schedule(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
        name: &Name,
    ) -> Result<(), RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let _admin = self.home(id.partition()).admin.lock(&id).await;
        let cell = keys::schedule(tenant, &id, name);
        loop {
            let Some(found) = self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten() else {
                self.agent_name(tenant, &id, agent).await?;
                return Err(unknown(agent, name));
            };
            let mut writes = Writes::of(
                vec![When::Revision(cell.clone(), found.revision)],
                vec![Then::Delete(cell.clone())],
            );
            // One that cannot be read can be deleted all the same: its `due/` cell then finds nothing to do.
            if let Ok(ScheduleRecord { next: Some(next), .. }) = read(&cell, &found) {
                writes.then.push(Then::Delete(keys::due_schedule(&id, next, name)));
            }
            match self.commit_now(id.partition(), writes).await {
                // It fired meanwhile.
                Err(StateError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.ticks.let_go(&which(tenant, &id, name));
                    return Ok(());
                }
            }
        }
    }

    /// One schedule.
    pub(super) async fn schedule(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
        name: &Name,
    ) -> Result<ScheduleView, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let agent_name = self.agent_name(tenant, &id, agent).await?;
        let found = self.schedule_in(&keys::schedule(tenant, &id, name)).await?;
        let (record, schedule, _) = found.ok_or_else(|| unknown(agent, name))?;
        Ok(self.view_of(tenant, id, agent_name, record, schedule))
    }

    /// The schedules of a tenant, partition by partition.
    pub(super) async fn schedules(
        &self,
        tenant: &Tenant,
        filter: ScheduleFilter,
    ) -> Result<Page<ScheduleView>, RuntimeError> {
        let ScheduleFilter { agent, after, limit } = filter;
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE) } as usize;
        let (first, mut after) = cursor(self, after.as_deref())?;
        let mut names: HashMap<AgentId, Option<Name>> = HashMap::new();
        let mut items = Vec::new();
        for index in first..Partition::COUNT {
            let partition = Partition { pool: self.pool, index };
            let under = match &agent {
                Some(agent) if agent.partition() != partition => continue,
                Some(agent) => keys::of_agent(tenant, "schedule", agent),
                None => keys::schedules_all(partition, tenant),
            };
            let mut from = after.take();
            loop {
                let page = self.store.scan(&under, from.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                from = Some(last.clone());
                for (key, cell) in page {
                    let Some((_, id, _)) = keys::of_schedule(&key) else { continue };
                    if items.len() == limit {
                        return Ok(Page { next: last_of(tenant, &items), items });
                    }
                    let name = match names.get(&id) {
                        Some(name) => name.clone(),
                        None => {
                            let name = self.name_of(tenant, &id).await?;
                            names.entry(id).or_insert(name).clone()
                        }
                    };
                    // Of an agent that is being deleted.
                    let Some(name) = name else { continue };
                    let found = read(&key, &cell)
                        .and_then(|record| declared(&key, &record).map(|schedule| (record, schedule)));
                    match found {
                        Ok((record, schedule)) => {
                            items.push(self.view_of(tenant, id, name, record, schedule));
                        }
                        // The others are listed all the same.
                        Err(error) => {
                            tracing::warn!(schedule = %key, %error, "a schedule cannot be read, and is not listed");
                        }
                    }
                }
            }
        }
        Ok(Page { items, next: None })
    }

    /// Writes a schedule as `change` makes it of what is stored, until nobody else wrote it meanwhile.
    async fn change_schedule(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentRef,
        name: &Name,
        change: impl Fn(Option<&Stored>) -> Result<ScheduleRecord, RuntimeError>,
    ) -> Result<ScheduleView, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        // Under the lock under which somebody begins to delete the agent.
        let _admin = self.home(id.partition()).admin.lock(&id).await;
        let agent_name = self.agent_name(tenant, &id, agent).await?;
        let cell = keys::schedule(tenant, &id, name);
        let which = which(tenant, &id, name);
        loop {
            let before = self.schedule_in(&cell).await?;
            let before = before.map(|(record, schedule, revision)| Stored { record, schedule, revision });
            let record = change(before.as_ref())?;
            let schedule = declared(&cell, &record)?;
            if before.as_ref().is_some_and(|before| before.record == record) {
                return Ok(self.view_of(tenant, id, agent_name, record, schedule));
            }
            let mut writes = Writes::default();
            writes.when.push(match &before {
                Some(before) => When::Revision(cell.clone(), before.revision),
                None => {
                    self.check_count(tenant, agent, &id).await?;
                    When::Absent(cell.clone())
                }
            });
            if let Some(was) = before.as_ref().and_then(|before| before.record.next) {
                writes.then.push(Then::Delete(keys::due_schedule(&id, was, name)));
            }
            writes.then.extend(due_at(&which, record.next));
            writes.then.push(Then::Put(cell.clone(), encode(&record)));
            match self.commit_now(id.partition(), writes).await {
                // It fired meanwhile.
                Err(StateError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.ticks.let_go(&which);
                    self.look_at_tick(&which, record.next);
                    return Ok(self.view_of(tenant, id, agent_name, record, schedule));
                }
            }
        }
    }

    async fn check_count(&self, tenant: &Tenant, agent: &AgentRef, id: &AgentId) -> Result<(), RuntimeError> {
        let under = keys::of_agent(tenant, "schedule", id);
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
            count += page.len();
            if count >= MOST {
                let (agent, limit) = (agent.to_string(), MOST as u64);
                return Err(ScheduleError::TooMany { agent, limit }.into());
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// What tells a declaration from all others.
    fn declaration(&self) -> u64 {
        let mut id = [0; 8];
        self.entropy.fill(&mut id);
        u64::from_le_bytes(id)
    }

    /// What the agent is called that somebody named.
    async fn agent_name(
        &self,
        tenant: &Tenant,
        id: &AgentId,
        agent: &AgentRef,
    ) -> Result<Name, RuntimeError> {
        let unknown = || RuntimeError::UnknownAgent { agent: agent.to_string() };
        let name = self.name_of(tenant, id).await?.ok_or_else(unknown)?;
        if self.is_withdrawn(tenant, id).await? { Err(unknown()) } else { Ok(name) }
    }

    async fn name_of(&self, tenant: &Tenant, id: &AgentId) -> Result<Option<Name>, RuntimeError> {
        let record: Option<SpecRecord> = self.record(&keys::spec(tenant, id)).await?;
        record.map(|record| parse_spec(&record).map(|spec| spec.name)).transpose()
    }

    fn view_of(
        &self,
        tenant: &Tenant,
        agent: AgentId,
        agent_name: Name,
        record: ScheduleRecord,
        schedule: Schedule,
    ) -> ScheduleView {
        let times = times_of(&schedule.timing, record.since).ok();
        let held = self.ticks.held(&which(tenant, &agent, &schedule.name));
        let ScheduleRecord { by, declared_at, paused, next, fired, missed, last, .. } = record;
        let next_local = next.and_then(|next| times.map(|times| times.local(next)));
        ScheduleView {
            agent,
            agent_name,
            schedule,
            by,
            declared_at,
            paused,
            next,
            next_local,
            fired,
            missed,
            last,
            held,
        }
    }
}

fn which(tenant: &Tenant, agent: &AgentId, name: &Name) -> Which {
    let name = Name::new(name.folded()).unwrap_or_else(|_| name.clone());
    Which { tenant: tenant.clone(), agent: *agent, name }
}

/// Where the page after these begins.
fn last_of(tenant: &Tenant, items: &[ScheduleView]) -> Option<String> {
    items.last().map(|last| written(&keys::schedule(tenant, &last.agent, &last.schedule.name)))
}

fn unknown(agent: &AgentRef, name: &Name) -> RuntimeError {
    RuntimeError::UnknownSchedule { agent: agent.to_string(), schedule: name.to_string() }
}

fn json(schedule: &Schedule) -> Result<String, RuntimeError> {
    // What was read from JSON, or built of its types, is JSON.
    serde_json::to_string(schedule).map_err(|error| RuntimeError::Damaged { what: error.to_string() })
}
