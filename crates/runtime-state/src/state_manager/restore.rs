//! Restoring: a new agent is filled, or one that is stopped is put back.
//!
//! To put an agent back may take many batches. The first of them leaves a cell that says so, in the batch that sees the
//! agent stopped; before it nothing is changed, and behind it nobody starts the agent before it is through.

use bytes::Bytes;
use runtime_codec::{
    ContentRef, Due, OpenRun, SavedSession, SpecRecord, StateRecord, WantRecord, encode, keys,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::{RuntimeError, Want};
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Key, Log, Revision, Seq, StateError, Then, When};

use super::StateManager;
use super::contents::{Contents, record_in};
use super::frozen::{entries_in, messages_in, segments_in, sessions_in, spec_in};
use super::place::{Copies, Place, place};
use super::writer::Writer;

/// Writes in one batch, and bytes.
const WRITES: usize = 100;
const BYTES: usize = 512 * 1024;

/// What makes sure that nobody else writes there.
#[derive(Clone, Debug)]
enum Guard {
    /// The agent is new: nothing of it is there.
    New,
    /// The cell that says that the agent is put back.
    Cell(Key, Revision),
}

/// Conversations on their way into an agent.
struct Filling<'a> {
    manager: &'a StateManager,
    /// Where they are kept.
    from: &'a Contents,
    agent: AgentId,
    /// Whether it is the agent that was saved.
    is_same_agent: bool,
    owner: &'a dyn PartitionOwner,
    guard: Guard,
    /// Heads and states that are not moved yet.
    when: Vec<When>,
    then: Vec<Then>,
}

impl StateManager {
    pub(super) async fn fill_new(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let frozen = self.frozen(tenant, state).await?;
        let to = self.contents_of(tenant, agent);
        if to.partition != frozen.contents.partition {
            let (mut walk, mut writer) = (frozen.walk(), Writer::new(&to, owner));
            while let Some((what, bytes)) = walk.next().await? {
                if what.media.is_some() {
                    writer.put(what.hash, &bytes).await?;
                }
            }
            writer.flush().await?;
        }
        let mut filling = Filling::new(self, &frozen.contents, *agent, false, owner, Guard::New);
        for session in frozen.sessions().await? {
            filling.session(session).await?;
        }
        filling.flush().await
    }

    /// Sees that the agent is at rest and the snapshot whole, and leaves the cell with which it is put back.
    pub(super) async fn begin_to_put_back(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        let frozen = self.frozen(tenant, state).await?;
        self.go_on(tenant, agent, owner).await?;
        let refused = |reason: String| RuntimeError::WrongState {
            agent: agent.to_string(),
            action: "put back".to_owned(),
            reason,
        };
        let want = self.at_rest(tenant, agent).await?.map_err(|reason| refused(reason.to_owned()))?;
        let (spec_key, want_key) = (keys::spec(tenant, agent), keys::want(tenant, agent));
        let cell = self.store.get(std::slice::from_ref(&spec_key)).await?.pop().flatten();
        let cell = cell.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let now = spec_in(&record_in::<SpecRecord>(&spec_key, &cell)?.spec)?;
        let saved = spec_in(&frozen.manifest.spec)?;
        if now.kind != saved.kind {
            let (now, saved) = (now.kind, saved.kind);
            return Err(refused(format!(
                "it is of kind `{now}`, and the snapshot of kind `{saved}`; restore that as an agent of its own"
            )));
        }
        // All of it is read before anything is written. What is needed lies in the agent's partition from here on, so
        // that it does not matter what becomes of the snapshot.
        let to = self.contents_of(tenant, agent);
        let is_elsewhere = to.partition != frozen.contents.partition;
        let (mut walk, mut writer) = (frozen.walk(), Writer::new(&to, owner));
        while let Some((what, bytes)) = walk.next().await? {
            if is_elsewhere || frozen.contents.made.contains_key(&what.hash) {
                writer.put(what.hash, &bytes).await?;
            }
        }
        writer.flush().await?;
        let restoring = keys::restoring(agent);
        let due = Due::Restore {
            tenant: tenant.clone(),
            agent: *agent,
            of: frozen.manifest.agent,
            at,
            spec: frozen.manifest.spec.clone(),
            sessions: frozen.list,
        };
        let when = vec![When::Revision(want_key, want), When::Absent(restoring.clone())];
        match owner.commit(agent.partition(), when, vec![Then::Put(restoring, encode(&due))]).await {
            Ok(_) => Ok(()),
            Err(StateError::Conflict { .. }) => {
                Err(refused("somebody else changed it just now; look at it again".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Which commit stopped the agent; or why it is not at rest.
    async fn at_rest(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<Result<Revision, &'static str>, RuntimeError> {
        const PAGE: u32 = 512;
        let key = keys::want(tenant, agent);
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let cell = cell.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        if record_in::<WantRecord>(&key, &cell)?.want != Want::Stopped {
            return Ok(Err("it is not stopped; stop it first"));
        }
        let mut after: Option<Key> = None;
        loop {
            let open = self.store.scan(&keys::open_all(agent.partition()), after.as_ref(), PAGE).await?;
            for (key, cell) in &open {
                if record_in::<OpenRun>(key, cell)?.agent == *agent {
                    return Ok(Err("it has open runs; cancel them or let them end first"));
                }
            }
            if open.len() < PAGE as usize {
                return Ok(Ok(cell.revision));
            }
            after = open.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// Goes on with what [`StateManager::begin_to_put_back`] left, whoever began it.
    pub(super) async fn go_on(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<bool, RuntimeError> {
        let key = keys::restoring(agent);
        let Some(cell) = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return Ok(false);
        };
        let Due::Restore { of, at, spec, sessions, .. } = record_in(&key, &cell)? else {
            return Err(RuntimeError::Damaged { what: format!("`{key}`") });
        };
        let guard = Guard::Cell(key.clone(), cell.revision);
        if !self.is_declared(tenant, agent).await? {
            // Deleted meanwhile: there is nothing to put back.
            owner.commit(agent.partition(), guard.when(), vec![Then::Delete(key)]).await?;
            return Ok(true);
        }
        self.put_sessions(tenant, agent, &of, &sessions, owner, &guard).await?;
        self.declare_again(tenant, agent, &spec, at, owner, key, &guard).await?;
        Ok(true)
    }

    async fn is_declared(&self, tenant: &Tenant, agent: &AgentId) -> Result<bool, RuntimeError> {
        let cells = [keys::spec(tenant, agent), keys::want(tenant, agent)];
        Ok(self.store.get(&cells).await?.iter().all(Option::is_some))
    }

    async fn put_sessions(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        of: &AgentId,
        list: &ContentRef,
        owner: &dyn PartitionOwner,
        guard: &Guard,
    ) -> Result<(), RuntimeError> {
        let contents = self.contents_of(tenant, agent);
        let mut others = self.sessions_of(tenant, agent).await?;
        let mut filling = Filling::new(self, &contents, *agent, of == agent, owner, guard.clone());
        for session in sessions_in(&contents, list).await? {
            others.remove(&session.session);
            filling.session(session).await?;
        }
        for session in others {
            filling.forget(&session).await?;
        }
        filling.flush().await
    }

    /// The last batch: the declaration, if it is another one, and the end of the cell that says that the agent is put
    /// back.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing, and nobody else needs them together"
    )]
    async fn declare_again(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        spec: &str,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
        restoring: Key,
        guard: &Guard,
    ) -> Result<(), RuntimeError> {
        let key = keys::spec(tenant, agent);
        loop {
            let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
            let Some(cell) = cell else { return Ok(()) };
            let record: SpecRecord = record_in(&key, &cell)?;
            let now = spec_in(&record.spec)?;
            let mut saved = spec_in(spec)?;
            saved.name = now.name.clone();
            let mut when = guard.when();
            let mut then = Vec::new();
            if !saved.same_as(&now) {
                let spec = serde_json::to_string(&saved)
                    .map_err(|error| RuntimeError::Damaged { what: format!("`{key}` ({error})") })?;
                let next = encode(&SpecRecord { revision: record.revision + 1, at, spec });
                when.push(When::Revision(key.clone(), cell.revision));
                then.push(Then::Put(keys::spec_revision(tenant, agent, record.revision + 1), next.clone()));
                then.push(Then::Put(key.clone(), next));
            }
            then.push(Then::Delete(restoring.clone()));
            match owner.commit(agent.partition(), when, then).await {
                Ok(_) => return Ok(()),
                // Declared anew just now: look again.
                Err(StateError::Conflict { condition: 1 }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Guard {
    fn when(&self) -> Vec<When> {
        match self {
            Self::New => Vec::new(),
            Self::Cell(key, revision) => vec![When::Revision(key.clone(), *revision)],
        }
    }
}

impl<'a> Filling<'a> {
    fn new(
        manager: &'a StateManager,
        from: &'a Contents,
        agent: AgentId,
        is_same_agent: bool,
        owner: &'a dyn PartitionOwner,
        guard: Guard,
    ) -> Self {
        Self { manager, from, agent, is_same_agent, owner, guard, when: Vec::new(), then: Vec::new() }
    }

    /// Gives the agent a conversation and its state.
    async fn session(&mut self, saved: SavedSession) -> Result<(), RuntimeError> {
        let (tenant, agent) = (&self.from.tenant, self.agent);
        let log = keys::messages(tenant, &agent, &saved.session);
        let (head, state) =
            (keys::head(tenant, &agent, &saved.session), keys::state(tenant, &agent, &saved.session));
        let there = self.manager.store.read(&log, Seq::FIRST, 0).await?;
        let mut placed = place(&saved, self.is_same_agent, there.first, there.next);
        if matches!(placed, Some(Place::There(_))) && !self.stands(&log, &saved).await? {
            placed = place(&saved, false, there.first, there.next);
        }
        let no_room =
            || RuntimeError::Damaged { what: format!("the saved conversation `{}`", saved.session) };
        let wanted = match placed.ok_or_else(no_room)? {
            Place::Nowhere => None,
            Place::There(head) => Some(head),
            Place::Copies(copies) => {
                self.copy(&log, &saved, copies).await?;
                Some(copies.head())
            }
        };
        self.set(head, wanted.map(|head| encode(&head))).await?;
        self.set(state, saved.state.map(|value| encode(&StateRecord { value }))).await
    }

    /// Whether the log has, under the same numbers, what was saved. A damaged message is another one, and so is the notice
    /// that a repair has put in its place.
    async fn stands(&self, log: &Log, saved: &SavedSession) -> Result<bool, RuntimeError> {
        let Some(head) = saved.head else { return Ok(true) };
        for segment in segments_in(self.from, saved).await? {
            let mut kept = entries_in(self.from, &segment).await?;
            kept.truncate((head.last.0 + 1).saturating_sub(segment.first) as usize);
            let there = match self.manager.store.read(log, Seq(segment.first), kept.len() as u32).await {
                Ok(there) => there.entries,
                Err(StateError::Damaged { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            if there != kept {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes a conversation and its state away. What was said stays in its log, and is nobody's predecessor.
    async fn forget(&mut self, session: &SessionName) -> Result<(), RuntimeError> {
        let tenant = &self.from.tenant;
        let cells = [keys::head(tenant, &self.agent, session), keys::state(tenant, &self.agent, session)];
        for cell in cells {
            self.set(cell, None).await?;
        }
        Ok(())
    }

    async fn set(&mut self, cell: Key, value: Option<Bytes>) -> Result<(), RuntimeError> {
        match (value, &self.guard) {
            (Some(value), guard) => {
                if matches!(guard, Guard::New) {
                    self.when.push(When::Absent(cell.clone()));
                }
                self.then.push(Then::Put(cell, value));
            }
            (None, Guard::New) => {}
            (None, Guard::Cell(..)) => self.then.push(Then::Delete(cell)),
        }
        if self.then.len() >= WRITES || self.then.iter().map(Then::size).sum::<usize>() > BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RuntimeError> {
        let mut when = self.guard.when();
        when.append(&mut self.when);
        let then = std::mem::take(&mut self.then);
        if !then.is_empty() {
            self.owner.commit(self.agent.partition(), when, then).await?;
        }
        Ok(())
    }

    /// Appends copies of a conversation's messages.
    async fn copy(&self, log: &Log, saved: &SavedSession, copies: Copies) -> Result<(), RuntimeError> {
        let mut next = copies.at;
        let mut group = Vec::new();
        let mut size = 0;
        for segment in segments_in(self.from, saved).await? {
            for (seq, message) in messages_in(self.from, &segment).await? {
                if !copies.has(seq) {
                    continue;
                }
                let bytes = encode(&copies.copy(message));
                if group.len() >= WRITES || size + bytes.len() > BYTES {
                    next = self.append(log, next, std::mem::take(&mut group)).await?;
                    size = 0;
                }
                size += bytes.len();
                group.push(bytes);
            }
        }
        self.append(log, next, group).await?;
        Ok(())
    }

    async fn append(&self, log: &Log, next: Seq, messages: Vec<Bytes>) -> Result<Seq, RuntimeError> {
        if messages.is_empty() {
            return Ok(next);
        }
        let after = Seq(next.0 + messages.len() as u64);
        let mut when = self.guard.when();
        when.push(When::Next(log.clone(), next));
        self.owner.commit(log.partition, when, vec![Then::Append(log.clone(), messages)]).await?;
        Ok(after)
    }
}
