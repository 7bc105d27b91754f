//! Writing an agent.

use runtime_codec::{SpecRecord, StateRecord, chunks, encode, keys};
use runtime_traits::agent::AgentSpec;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::log::{Head, Message};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Seq, Then};

use super::{MapSnapshots, Saved, Session};
use crate::suites::snapshots::Flaw;

impl MapSnapshots {
    pub(super) async fn write_sessions(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        saved: &Saved,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let partition = agent.partition();
        for content in &saved.contents {
            for (chunk, nth) in chunks(&content.bytes).zip(0..) {
                let key = keys::blob(tenant, partition, &content.digest(), nth);
                owner.commit(partition, Vec::new(), vec![Then::Put(key, chunk)]).await?;
            }
        }
        for session in &saved.sessions {
            self.write_session(tenant, agent, session, owner).await?;
        }
        Ok(())
    }

    /// Appends the conversation as it was, as copies.
    async fn write_session(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        session: &Session,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let partition = agent.partition();
        let log = keys::messages(tenant, agent, &session.name);
        let next = self.store.read(&log, Seq::FIRST, 1).await?.next.0;
        if self.has(Flaw::TrimsHistory) {
            owner.commit(partition, Vec::new(), vec![Then::Trim(log.clone(), Seq(next))]).await?;
        }
        for (message, seq) in session.messages.iter().zip(next..) {
            let after = (seq > next).then(|| Seq(seq - 1));
            let message = encode(&Message { after, ..message.clone() });
            owner.commit(partition, Vec::new(), vec![Then::Append(log.clone(), vec![message])]).await?;
        }
        let count = session.messages.len() as u64;
        let head =
            session.head.filter(|_| count > 0).map(|head| Head { last: Seq(next + count - 1), ..head });
        let (at_head, at_state) =
            (keys::head(tenant, agent, &session.name), keys::state(tenant, agent, &session.name));
        let head = head.map(|head| Then::Put(at_head.clone(), encode(&head)));
        let state = session.state.clone().map(|value| encode(&StateRecord { value }));
        let state = state.map(|state| Then::Put(at_state.clone(), state));
        let then = vec![head.unwrap_or(Then::Delete(at_head)), state.unwrap_or(Then::Delete(at_state))];
        owner.commit(partition, Vec::new(), then).await?;
        Ok(())
    }

    pub(super) async fn forget_others(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        saved: &Saved,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        if self.has(Flaw::LeavesOthers) {
            return Ok(());
        }
        for name in self.sessions_of(tenant, agent).await? {
            if saved.sessions.iter().all(|session| session.name != name) {
                let cells = [keys::head(tenant, agent, &name), keys::state(tenant, agent, &name)];
                let then = cells.into_iter().map(Then::Delete).collect();
                owner.commit(agent.partition(), Vec::new(), then).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn write_spec(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        saved: &Saved,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let key = keys::spec(tenant, agent);
        let record: Option<SpecRecord> = self.cell(&key).await?;
        let record = record.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let read = |json: &str| -> AgentSpec { serde_json::from_str(json).expect("a spec is JSON") };
        let (now, mut then) = (read(&record.spec), read(&saved.spec));
        then.name = now.name.clone();
        if now.same_as(&then) {
            return Ok(());
        }
        if now.kind != then.kind {
            return Err(RuntimeError::WrongState {
                agent: agent.to_string(),
                action: "put back".to_owned(),
                reason: "it is of another kind".to_owned(),
            });
        }
        let spec = serde_json::to_string(&then).expect("a spec is JSON");
        let next = encode(&SpecRecord { revision: record.revision + 1, at, spec });
        let revision = keys::spec_revision(tenant, agent, record.revision + 1);
        let then = vec![Then::Put(key, next.clone()), Then::Put(revision, next)];
        owner.commit(agent.partition(), Vec::new(), then).await?;
        Ok(())
    }
}
