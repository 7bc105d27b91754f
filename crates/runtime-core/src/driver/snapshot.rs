//! Snapshots: manifests over sealed segments of the session logs, kept under their hashes. A save writes what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use runtime_codec::{
    Manifest, Segment, SegmentRef, SessionManifest, SpecRecord, StateRecord, decode, encode,
};
use runtime_traits::content::{Digest, Payload};
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::log::{Head, Message};
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RuntimeError, Want};
use runtime_traits::store::{Key, Seq, Then, When};

use super::commit::Patience;
use super::inner::Inner;
use super::load::read;
use super::register::parse_spec;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Messages in a segment. Fixed places, so that two snapshots share all segments that are full.
const SEGMENT: u64 = 64;
/// The most messages that are written in one batch of a restore, and the most bytes.
const GROUP: usize = 100;
const GROUP_BYTES: usize = 512 * 1024;

impl Inner {
    /// Freezes an agent's conversations and state, each at its session's last outcome.
    pub(super) async fn save(&self, tenant: &Tenant, agent: &AgentRef) -> Result<StateId, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let cell = keys::spec(tenant, &id);
        let record = self.record::<SpecRecord>(&cell).await?;
        let record = record.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let kind_version = self.with_agent(tenant, &id, |slot, _| slot.kind_version).await?;
        let mut sessions = Vec::new();
        for session in self.sessions_of(tenant, &id).await? {
            sessions.push(self.save_session(tenant, &id, session).await?);
        }
        let manifest = Manifest {
            agent: id,
            revision: record.revision,
            spec: record.spec,
            kind_version,
            at: self.clock.now(),
            sessions,
        };
        let state = StateId::mint(id.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let cell = keys::snapshot(tenant, &state);
        let bytes = encode(&manifest);
        let limit = self.store.profile().limits.value as u64;
        if bytes.len() as u64 > limit {
            let what = format!("the snapshot of `{agent}`");
            return Err(RuntimeError::TooLarge { what, size: bytes.len() as u64, limit });
        }
        let writes = Writes::of(vec![When::Absent(cell.clone())], vec![Then::Put(cell, bytes)]);
        self.commit_now(id.partition(), writes).await?;
        Ok(state)
    }

    /// The sessions of which anything is kept.
    async fn sessions_of(&self, tenant: &Tenant, agent: &AgentId) -> Result<Vec<SessionName>, RuntimeError> {
        let mut sessions = BTreeMap::new();
        for (key, _) in self.cells(&keys::of_agent(tenant, "s", agent)).await? {
            let path = String::from_utf8_lossy(key.path.as_bytes()).into_owned();
            let session = path.rsplit('/').nth(1).map(SessionName::new);
            let damaged = || RuntimeError::Damaged { what: format!("`{key}`") };
            sessions.insert(session.and_then(Result::ok).ok_or_else(damaged)?, ());
        }
        Ok(sessions.into_keys().collect())
    }

    async fn save_session(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        session: SessionName,
    ) -> Result<SessionManifest, RuntimeError> {
        // Head and state of one moment: they are read in one page, and messages before the head do not change.
        let keys = [keys::head(tenant, agent, &session), keys::state(tenant, agent, &session)];
        let mut cells = self.store.get(&keys).await?.into_iter();
        let head = cells.next().flatten().map(|cell| read::<Head>(&keys[0], &cell)).transpose()?;
        let state = cells.next().flatten().map(|cell| read::<StateRecord>(&keys[1], &cell)).transpose()?;
        let mut segments = Vec::new();
        if let Some(head) = head {
            let log = keys::messages(tenant, agent, &session);
            let mut from = Seq::FIRST;
            while from <= head.last {
                let to = ((from.0 - 1) / SEGMENT + 1) * SEGMENT;
                let to = to.min(head.last.0);
                let tail = self.store.read(&log, from, (to - from.0 + 1) as u32).await?;
                if tail.first > from {
                    from = tail.first;
                    continue;
                }
                segments.push(self.seal(tenant, agent.partition(), from, tail.entries).await?);
                from = Seq(to + 1);
            }
        }
        Ok(SessionManifest { session, head, state: state.map(|record| record.value), segments })
    }

    async fn seal(
        &self,
        tenant: &Tenant,
        partition: Partition,
        first: Seq,
        messages: Vec<Bytes>,
    ) -> Result<SegmentRef, RuntimeError> {
        let count = messages.len() as u32;
        let bytes = encode(&Segment { messages });
        let hash = Digest::of(&bytes);
        self.write_blob(tenant, partition, hash, &bytes, Patience::OfCaller).await?;
        Ok(SegmentRef { hash, len: bytes.len() as u64, first: first.0, messages: count })
    }

    /// Makes a new, started agent of a snapshot.
    pub(super) async fn restore(
        self: &Arc<Self>,
        tenant: &Tenant,
        state: &StateId,
        name: Option<Name>,
    ) -> Result<AgentId, RuntimeError> {
        let unknown = RuntimeError::UnknownState { state: *state };
        if !self.checked(state.partition()) {
            return Err(unknown);
        }
        let manifest = self.record::<Manifest>(&keys::snapshot(tenant, state)).await?.ok_or(unknown)?;
        let stored = SpecRecord { revision: 1, at: manifest.at, spec: manifest.spec.clone() };
        let mut spec = parse_spec(&stored)?;
        let given = name.is_some();
        let value = lock(&self.attached).get(&manifest.agent).cloned();
        if value.is_none() && self.kind(&spec.kind).is_none() {
            return Err(self.unknown_kind(&spec.kind));
        }
        let wanted = name.unwrap_or_else(|| spec.name.clone());
        let mut draw = [0; 8];
        self.entropy.fill(&mut draw);
        let partition = Partition::of_hash(self.pool, u64::from_le_bytes(draw));
        let agent = AgentId::mint(partition, self.clock.as_ref(), self.entropy.as_ref());
        let mut nth = 1;
        spec.name = wanted.clone();
        while self.named(tenant, &spec.name).await?.is_some() {
            if given {
                let kind = spec.kind.to_string();
                return Err(RuntimeError::NameTaken { name: wanted.to_string(), kind });
            }
            nth += 1;
            spec.name = numbered(&wanted, nth)?;
        }
        self.declare(tenant, &agent, &spec, Want::Active).await?;
        for session in manifest.sessions {
            self.restore_session(tenant, state.partition(), &agent, session).await?;
        }
        if !self.write_name(tenant, &agent, &spec.name).await? {
            self.purge(tenant, &agent).await?;
            let (name, kind) = (spec.name.to_string(), spec.kind.to_string());
            return Err(RuntimeError::NameTaken { name, kind });
        }
        if let Some(value) = value {
            lock(&self.attached).insert(agent, value);
        }
        Ok(agent)
    }

    async fn restore_session(
        &self,
        tenant: &Tenant,
        from: Partition,
        agent: &AgentId,
        manifest: SessionManifest,
    ) -> Result<(), RuntimeError> {
        let SessionManifest { session, head, state, segments } = manifest;
        let log = keys::messages(tenant, agent, &session);
        // The copy begins at 1, also where the original was trimmed.
        let shift = segments.first().map_or(0, |segment| segment.first - 1);
        let mut next = Seq::FIRST;
        for segment in segments {
            let bytes = self.read_blob(tenant, from, &segment.hash, segment.len).await?;
            let damaged = || RuntimeError::Damaged { what: format!("the segment `{}`", segment.hash) };
            if Digest::of(&bytes) != segment.hash {
                return Err(damaged());
            }
            let segment: Segment = decode(&bytes).map_err(|_| damaged())?;
            let mut group = Vec::new();
            let mut size = 0;
            for bytes in segment.messages {
                let mut message: Message = decode(&bytes).map_err(|_| damaged())?;
                message.after = message.after.map(|after| Seq(after.0.saturating_sub(shift)));
                self.copy_blob(tenant, from, agent.partition(), &message.content).await?;
                let bytes = encode(&message);
                if group.len() == GROUP || size + bytes.len() > GROUP_BYTES {
                    next = self.append_messages(&log, next, std::mem::take(&mut group)).await?;
                    size = 0;
                }
                size += bytes.len();
                group.push(bytes);
            }
            next = self.append_messages(&log, next, group).await?;
        }
        let mut writes = Writes::default();
        if let Some(head) = head {
            let head = Head { last: Seq(head.last.0 - shift), ..head };
            self.put_new(&mut writes, keys::head(tenant, agent, &session), encode(&head));
        }
        if let Some(value) = state {
            self.copy_blob(tenant, from, agent.partition(), &value).await?;
            self.put_new(&mut writes, keys::state(tenant, agent, &session), encode(&StateRecord { value }));
        }
        if !writes.then.is_empty() {
            self.commit_now(agent.partition(), writes).await?;
        }
        Ok(())
    }

    fn put_new(&self, writes: &mut Writes, cell: Key, value: Bytes) {
        writes.when.push(When::Absent(cell.clone()));
        writes.then.push(Then::Put(cell, value));
    }

    async fn append_messages(
        &self,
        log: &runtime_traits::store::Log,
        next: Seq,
        messages: Vec<Bytes>,
    ) -> Result<Seq, RuntimeError> {
        if messages.is_empty() {
            return Ok(next);
        }
        let after = Seq(next.0 + messages.len() as u64);
        let when = vec![When::Next(log.clone(), next)];
        let then = vec![Then::Append(log.clone(), messages)];
        self.commit_now(log.partition, Writes::of(when, then)).await?;
        Ok(after)
    }

    /// Copies content that is kept under its hash to where the new agent is.
    async fn copy_blob(
        &self,
        tenant: &Tenant,
        from: Partition,
        to: Partition,
        payload: &Payload,
    ) -> Result<(), RuntimeError> {
        if let Payload::Blob { .. } = payload
            && from != to
        {
            let content = self.resolve(tenant, from, payload).await?;
            self.write_blobs(tenant, to, std::slice::from_ref(&content), Patience::OfCaller).await?;
        }
        Ok(())
    }
}

/// `name-2`, `name-3`, …, within the length of a name.
fn numbered(name: &Name, nth: u32) -> Result<Name, RuntimeError> {
    let suffix = format!("-{nth}");
    let kept = &name.as_str()[..name.as_str().len().min(64 - suffix.len())];
    Ok(Name::new(format!("{kept}{suffix}"))?)
}
