//! Reading an agent.

use std::collections::HashMap;

use bytes::Bytes;
use runtime_codec::{SpecRecord, StateRecord, WantRecord, count_chunks, decode, keys};
use runtime_traits::agent::AgentSpec;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::AgentId;
use runtime_traits::log::{Head, Message};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::{RuntimeError, Want};
use runtime_traits::snapshot::{Save, SnapshotInfo};
use runtime_traits::store::{Key, Seq};

use super::{MapSnapshots, Saved, Session};
use crate::suites::snapshots::Flaw;

/// More than a test writes.
const ALL: u32 = 100_000;

impl MapSnapshots {
    pub(super) async fn read_agent(&self, tenant: &Tenant, save: Save) -> Result<Saved, RuntimeError> {
        let agent = save.agent;
        let record: Option<SpecRecord> = self.cell(&keys::spec(tenant, &agent)).await?;
        let record = record.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let spec: AgentSpec = serde_json::from_str(&record.spec).expect("a spec is JSON");
        let mut sessions = Vec::new();
        let mut contents = Vec::new();
        for name in self.sessions_of(tenant, &agent).await? {
            let session = self.read_session(tenant, &agent, name).await?;
            let said = session.messages.iter().map(|message| &message.content);
            for payload in said.chain(&session.state) {
                contents.extend(self.content(tenant, &agent, payload).await?);
            }
            sessions.push(session);
        }
        let info = SnapshotInfo {
            state: save.state,
            agent,
            name: spec.name,
            kind: spec.kind,
            at: save.at,
            sessions: sessions.len() as u32,
            messages: sessions.iter().filter_map(|session| session.head).map(|head| head.messages).sum(),
            bytes: sessions.iter().map(Session::bytes).sum(),
        };
        let Save { kind_version, .. } = save;
        Ok(Saved { info, revision: record.revision, kind_version, spec: record.spec, sessions, contents })
    }

    pub(super) async fn sessions_of(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<Vec<SessionName>, RuntimeError> {
        let cells = self.store.scan(&keys::of_agent(tenant, "s", agent), None, ALL).await?;
        let mut names: Vec<SessionName> = cells
            .iter()
            .filter_map(|(key, _)| {
                SessionName::new(std::str::from_utf8(key.path.as_bytes()).ok()?.rsplit('/').nth(1)?).ok()
            })
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn read_session(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        name: SessionName,
    ) -> Result<Session, RuntimeError> {
        let head: Option<Head> = self.cell(&keys::head(tenant, agent, &name)).await?;
        let state: Option<StateRecord> = self.cell(&keys::state(tenant, agent, &name)).await?;
        let tail = self.store.read(&keys::messages(tenant, agent, &name), Seq::FIRST, ALL).await?;
        let read = |(bytes, seq): (&Bytes, u64)| (seq, decode::<Message>(bytes).expect("a message"));
        let mut said: HashMap<u64, Message> = tail.entries.iter().zip(tail.first.0..).map(read).collect();
        let mut messages = Vec::new();
        let mut at = head.map(|head| head.last.0);
        while let Some(message) = at.and_then(|at| said.remove(&at)) {
            at = message.after.map(|after| after.0);
            messages.push(message);
        }
        messages.reverse();
        Ok(Session { name, head, state: state.map(|record| record.value), messages })
    }

    async fn content(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        payload: &Payload,
    ) -> Result<Option<Content>, RuntimeError> {
        let Payload::Blob { hash, len, media } = payload else { return Ok(None) };
        let mut bytes = Vec::new();
        for chunk in 0..count_chunks(*len as usize) {
            let key = keys::blob(tenant, agent.partition(), hash, chunk);
            let cell = self.store.get(&[key]).await?.pop().flatten().expect("a content is whole");
            bytes.extend_from_slice(&cell.value);
        }
        Ok(Some(Content { media: *media, bytes: bytes.into() }))
    }

    /// Refuses an agent that is not stopped, or has an open run.
    pub(super) async fn see_at_rest(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let want: Option<WantRecord> = self.cell(&keys::want(tenant, agent)).await?;
        let want = want.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?.want;
        let open = self.store.scan(&keys::open_all(agent.partition()), None, ALL).await?;
        let is_mine =
            |value: &[u8]| decode::<runtime_codec::OpenRun>(value).is_ok_and(|open| open.agent == *agent);
        let is_open = open.iter().any(|(_, cell)| is_mine(&cell.value));
        if (want == Want::Stopped && !is_open) || self.has(Flaw::AnyTime) {
            return Ok(());
        }
        Err(RuntimeError::WrongState {
            agent: agent.to_string(),
            action: "put back".to_owned(),
            reason: "it is not stopped or has open runs; stop it and let them end first".to_owned(),
        })
    }

    pub(super) async fn cell<R: runtime_codec::Record>(&self, key: &Key) -> Result<Option<R>, RuntimeError> {
        let cell = self.store.get(std::slice::from_ref(key)).await?.pop().flatten();
        Ok(cell.map(|cell| decode(&cell.value).expect("a record of its sort")))
    }
}
