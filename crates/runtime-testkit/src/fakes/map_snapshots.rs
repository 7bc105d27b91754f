//! Snapshots in memory: the simplest thing that keeps the contract, and wrong ones.

mod file;
mod read;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::log::{Head, Message};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::{
    PartitionOwner, Retention, Save, SessionDiff, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotSession,
    SnapshotView, Snapshots, SpecChange,
};
use runtime_traits::store::StateStore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::suites::snapshots::Flaw;

/// Snapshots of the agents of a store, kept in memory as copies. Nothing outlives it, and a crash in the middle of
/// putting an agent back leaves half.
pub struct MapSnapshots {
    store: Arc<dyn StateStore>,
    kept: Mutex<BTreeMap<(String, StateId), Saved>>,
    flaw: Option<Flaw>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    info: SnapshotInfo,
    revision: u32,
    kind_version: u32,
    spec: String,
    #[serde(skip)]
    sessions: Vec<Session>,
    #[serde(skip)]
    contents: Vec<Content>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Session {
    name: SessionName,
    head: Option<Head>,
    state: Option<Payload>,
    /// The conversation, oldest first.
    messages: Vec<Message>,
}

impl MapSnapshots {
    /// The snapshots of a store: none yet.
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store, kept: Mutex::default(), flaw: None }
    }

    /// Snapshots that break one clause.
    pub fn flawed(store: Arc<dyn StateStore>, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::new(store) }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<(String, StateId), Saved>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saved(&self, tenant: &Tenant, state: &StateId) -> Result<Saved, RuntimeError> {
        let found = self.kept().get(&(tenant.to_string(), *state)).cloned();
        found.ok_or(RuntimeError::UnknownState { state: *state })
    }

    fn keep(&self, tenant: &Tenant, saved: Saved) -> SnapshotInfo {
        let info = saved.info.clone();
        self.kept().insert((tenant.to_string(), info.state), saved);
        info
    }

    fn of(&self, tenant: &Tenant, agent: Option<&AgentId>) -> Vec<SnapshotInfo> {
        let kept = self.kept();
        let mine = kept.iter().filter(|((of, _), _)| *of == tenant.as_str()).map(|(_, saved)| &saved.info);
        mine.filter(|info| agent.is_none_or(|agent| info.agent == *agent)).cloned().collect()
    }
}

#[async_trait]
impl Snapshots for MapSnapshots {
    async fn save(
        &self,
        tenant: &Tenant,
        save: Save,
        _: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        let saved = self.read_agent(tenant, save).await?;
        Ok(self.keep(tenant, saved))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        agent: Option<&AgentId>,
        after: Option<&StateId>,
        limit: u32,
    ) -> Result<Vec<SnapshotInfo>, RuntimeError> {
        let mut found = self.of(tenant, agent);
        found.retain(|info| after.is_none_or(|after| info.state > *after));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn describe(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        let mut saved = self.saved(tenant, state)?;
        if self.has(Flaw::FollowsTheAgent) {
            let Saved { info, kind_version, .. } = &saved;
            let save =
                Save { agent: info.agent, kind_version: *kind_version, state: info.state, at: info.at };
            // An agent of another store cannot be followed.
            saved = self.read_agent(tenant, save).await.unwrap_or(saved);
        }
        let sessions = saved.sessions.iter().map(|session| SnapshotSession {
            name: session.name.clone(),
            messages: session.head.map_or(0, |head| head.messages),
            bytes: session.bytes(),
            state: session.state.clone(),
        });
        Ok(SnapshotView {
            sessions: sessions.collect(),
            info: saved.info,
            revision: saved.revision,
            kind_version: saved.kind_version,
            spec: saved.spec,
        })
    }

    async fn diff(
        &self,
        tenant: &Tenant,
        before: &StateId,
        after: &StateId,
    ) -> Result<SnapshotDiff, RuntimeError> {
        let (before, after) = (self.saved(tenant, before)?, self.saved(tenant, after)?);
        let mut diff = SnapshotDiff { spec: changes(&before.spec, &after.spec), ..SnapshotDiff::default() };
        for new in &after.sessions {
            let Some(old) = before.sessions.iter().find(|old| old.name == new.name) else {
                diff.added.push(new.name.clone());
                continue;
            };
            let mut change = old.differs_from(new);
            change.state_differs &= !self.has(Flaw::SameStates);
            if change.state_differs || change.only_before + change.only_after > 0 {
                diff.changed.push(change);
            }
        }
        let gone = before.sessions.iter().filter(|old| after.sessions.iter().all(|new| new.name != old.name));
        diff.removed = gone.map(|old| old.name.clone()).collect();
        Ok(diff)
    }

    async fn fill(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let saved = self.saved(tenant, state)?;
        self.write_sessions(tenant, agent, &saved, owner).await
    }

    async fn put_back(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let saved = self.saved(tenant, state)?;
        self.see_at_rest(tenant, agent).await?;
        self.write_spec(tenant, agent, &saved, at, owner).await?;
        self.write_sessions(tenant, agent, &saved, owner).await?;
        self.forget_others(tenant, agent, &saved, owner).await
    }

    async fn finish(&self, _: &Tenant, _: &AgentId, _: &dyn PartitionOwner) -> Result<bool, RuntimeError> {
        Ok(false)
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        state: &StateId,
        _: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        self.saved(tenant, state)?;
        if !self.has(Flaw::DeletesNothing) {
            self.kept().remove(&(tenant.to_string(), *state));
        }
        Ok(())
    }

    async fn retain(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        retention: Retention,
        now: UnixMillis,
        _: &dyn PartitionOwner,
    ) -> Result<Vec<StateId>, RuntimeError> {
        let of = if self.has(Flaw::RetainsForAll) { None } else { Some(agent) };
        let goes = retention.of(&self.of(tenant, of), now);
        goes.iter().for_each(|state| drop(self.kept().remove(&(tenant.to_string(), *state))));
        Ok(goes)
    }

    async fn keep_needed(
        &self,
        _: &Tenant,
        _: Partition,
        _: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        // It has copies of its own.
        Ok(())
    }

    async fn export(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        Ok(file::write(&self.saved(tenant, state)?))
    }

    async fn import(
        &self,
        tenant: &Tenant,
        pool: Pool,
        unique: Uuid,
        file: SnapshotFile,
        _: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        let mut saved = file::read(file, self.has(Flaw::TakesHalves)).await?;
        let partition = Partition { pool, index: saved.info.agent.partition().index };
        saved.info.state = StateId::from_parts(partition, unique);
        Ok(self.keep(tenant, saved))
    }
}

impl Session {
    fn bytes(&self) -> u64 {
        let len = |payload: &Payload| match payload {
            Payload::Inline(content) => content.bytes.len() as u64,
            Payload::Blob { len, .. } => *len,
        };
        let said: u64 = self.messages.iter().map(|message| len(&message.content)).sum();
        said + self.state.as_ref().map_or(0, len)
    }

    fn differs_from(&self, new: &Self) -> SessionDiff {
        let said = |session: &Self| -> Vec<Digest> {
            let alone = session.messages.iter().map(|message| Message { after: None, ..message.clone() });
            alone.map(|message| Digest::of(&runtime_codec::encode(&message))).collect()
        };
        let (old_said, mut new_said) = (said(self), said(new));
        let mut shared = 0;
        for digest in &old_said {
            if let Some(at) = new_said.iter().position(|new| new == digest) {
                new_said.remove(at);
                shared += 1;
            }
        }
        SessionDiff {
            name: new.name.clone(),
            shared,
            only_before: old_said.len() as u64 - shared,
            only_after: new_said.len() as u64,
            state_differs: self.state != new.state,
        }
    }
}

fn changes(before: &str, after: &str) -> Vec<SpecChange> {
    let fields = |spec: &str| -> BTreeMap<String, String> {
        let read: serde_json::Value = serde_json::from_str(spec).unwrap_or_default();
        let mut fields = BTreeMap::new();
        for (field, value) in read.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(settings) => fields.extend(
                    settings.iter().map(|(name, value)| (format!("{field}.{name}"), value.to_string())),
                ),
                None => drop(fields.insert(field.clone(), value.to_string())),
            }
        }
        fields
    };
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let change = |field: &String| SpecChange {
        field: field.clone(),
        before: before.get(field).cloned(),
        after: after.get(field).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

impl fmt::Debug for MapSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapSnapshots").field("flaw", &self.flaw).finish_non_exhaustive()
    }
}
