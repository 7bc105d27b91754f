//! Agents that are written straight into a store, and read from it: no runtime is needed to test snapshots.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use runtime_codec::{
    OpenRun, SpecRecord, StateRecord, WantRecord, chunks, count_chunks, decode, encode, keys,
};
use runtime_traits::AgentSpec;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::log::{Author, Head, Message};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::Want;
use runtime_traits::snapshot::{PartitionOwner, Save, SnapshotInfo, Snapshots};
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Durability, Key, Seq, StateError, StateStore, Then, When,
};
use uuid::Uuid;

use crate::suites::snapshots::SnapshotsFixture;

/// Writes to a store, as if it owned it.
#[derive(Debug)]
pub struct Plain {
    store: Arc<dyn StateStore>,
}

/// The next batch's id: two benches over one store must not share any.
static BATCHES: AtomicU64 = AtomicU64::new(1);

/// A store with agents in it, and its snapshots.
pub struct Bench {
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// What is tested.
    pub snapshots: Arc<dyn Snapshots>,
    /// The owner of all partitions.
    pub owner: Plain,
    /// Whose everything is.
    pub tenant: Tenant,
    drawn: AtomicU64,
}

#[async_trait]
impl PartitionOwner for Plain {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        let id = BatchId(u128::from(BATCHES.fetch_add(1, Ordering::Relaxed)));
        let durability = Durability::Memory;
        self.store.commit(Batch { id, partition, fence: None, when, then, durability }).await
    }
}

impl Bench {
    /// Over a store.
    pub fn over(store: Arc<dyn StateStore>, snapshots: Arc<dyn Snapshots>) -> Self {
        let owner = Plain { store: Arc::clone(&store) };
        Self { store, snapshots, owner, tenant: Tenant::default(), drawn: AtomicU64::new(1) }
    }

    pub(super) fn of(fixture: &dyn SnapshotsFixture) -> Self {
        let store: Arc<dyn StateStore> = Arc::new(crate::fakes::MapStore::new());
        let snapshots = fixture.over(Arc::clone(&store));
        Self::over(store, snapshots)
    }

    /// What no id has yet.
    pub fn unique(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.drawn.fetch_add(1, Ordering::Relaxed)))
    }

    /// An id of a snapshot that is to be made of an agent.
    pub fn state_of(&self, agent: &AgentId) -> StateId {
        StateId::from_parts(agent.partition(), self.unique())
    }

    /// A stopped agent of the kind `echo`, in a partition.
    pub async fn agent(&self, name: &str, index: u16) -> AgentId {
        let partition = Partition { pool: Pool::MAIN, index };
        let agent = AgentId::from_parts(partition, self.unique());
        self.declare(&agent, AgentSpec::new("echo", name).expect("names"), 1).await;
        self.want(&agent, Want::Stopped).await;
        agent
    }

    /// Declares an agent.
    pub async fn declare(&self, agent: &AgentId, spec: AgentSpec, revision: u32) {
        let spec = serde_json::to_string(&spec).expect("JSON");
        let record = encode(&SpecRecord { revision, at: UnixMillis(1), spec });
        let cells = [keys::spec(&self.tenant, agent), keys::spec_revision(&self.tenant, agent, revision)];
        self.write(agent, cells.into_iter().map(|cell| Then::Put(cell, record.clone())).collect()).await;
    }

    /// The declaration of an agent, and its number.
    pub async fn declared(&self, agent: &AgentId) -> (AgentSpec, u32) {
        let cell = self.cell(keys::spec(&self.tenant, agent)).await.expect("it is declared");
        let record: SpecRecord = decode(&cell.value).expect("a record");
        (serde_json::from_str(&record.spec).expect("JSON"), record.revision)
    }

    /// Sets what somebody wants of an agent.
    pub async fn want(&self, agent: &AgentId, want: Want) {
        let record = encode(&WantRecord { want, generation: 1 });
        self.write(agent, vec![Then::Put(keys::want(&self.tenant, agent), record)]).await;
    }

    /// Opens a run of an agent.
    pub async fn open_run(&self, agent: &AgentId) {
        let run = RunId::from_parts(agent.partition(), self.unique());
        let open = OpenRun { tenant: self.tenant.clone(), agent: *agent, session: SessionName::default() };
        self.write(agent, vec![Then::Put(keys::open(&run), encode(&open))]).await;
    }

    /// Goes on with a conversation, as a run's outcome does.
    pub async fn say(&self, agent: &AgentId, session: &str, said: &[&str]) {
        let contents: Vec<Content> = said.iter().map(|text| Content::text(*text)).collect();
        self.say_contents(agent, session, &contents).await;
    }

    /// The same, with any contents.
    pub async fn say_contents(&self, agent: &AgentId, session: &str, said: &[Content]) {
        let session = SessionName::new(session).expect("a name");
        let log = keys::messages(&self.tenant, agent, &session);
        let key = keys::head(&self.tenant, agent, &session);
        let before: Option<Head> =
            self.cell(key.clone()).await.map(|cell| decode(&cell.value).expect("a head"));
        let run = RunId::from_parts(agent.partition(), self.unique());
        let mut after = before.map(|head| head.last);
        let mut next = self.store.read(&log, Seq::FIRST, 1).await.expect("it reads").next;
        for content in said {
            let payload = self.payload(agent, content).await;
            let at = UnixMillis(self.drawn.fetch_add(1, Ordering::Relaxed));
            let message = Message { author: Author::Caller, content: payload, run, at, after };
            self.write(agent, vec![Then::Append(log.clone(), vec![encode(&message)])]).await;
            (after, next) = (Some(next), next.next());
        }
        let messages = before.map_or(0, |head| head.messages) + said.len() as u64;
        let last = after.expect("something was said");
        let at = UnixMillis(self.drawn.fetch_add(1, Ordering::Relaxed));
        self.write(agent, vec![Then::Put(key, encode(&Head { last, messages, run, at }))]).await;
    }

    /// Sets a session's state.
    pub async fn set(&self, agent: &AgentId, session: &str, state: &Content) {
        let session = SessionName::new(session).expect("a name");
        let value = self.payload(agent, state).await;
        let key = keys::state(&self.tenant, agent, &session);
        self.write(agent, vec![Then::Put(key, encode(&StateRecord { value }))]).await;
    }

    /// Trims the messages of a session before a number.
    pub async fn trim(&self, agent: &AgentId, session: &str, before: u64) {
        let log = keys::messages(&self.tenant, agent, &SessionName::new(session).expect("a name"));
        self.write(agent, vec![Then::Trim(log, Seq(before))]).await;
    }

    /// Everything that an agent remembers: its conversations and states, as text.
    pub async fn memory(&self, agent: &AgentId) -> Vec<(String, Vec<String>, Option<String>)> {
        let cells = self.store.scan(&keys::of_agent(&self.tenant, "s", agent), None, 100_000).await;
        let mut names: Vec<String> = cells
            .expect("it scans")
            .iter()
            .filter_map(|(key, _)| {
                String::from_utf8_lossy(key.path.as_bytes()).rsplit('/').nth(1).map(str::to_owned)
            })
            .collect();
        names.sort();
        names.dedup();
        let mut memory = Vec::new();
        for name in names {
            let session = SessionName::new(&name).expect("a name");
            let state = self.cell(keys::state(&self.tenant, agent, &session)).await;
            let state = match state.map(|cell| decode::<StateRecord>(&cell.value).expect("a state").value) {
                Some(payload) => Some(self.text(agent, &payload).await),
                None => None,
            };
            memory.push((name, self.said(agent, &session).await, state));
        }
        memory
    }

    async fn said(&self, agent: &AgentId, session: &SessionName) -> Vec<String> {
        let Some(head) = self.cell(keys::head(&self.tenant, agent, session)).await else { return Vec::new() };
        let head: Head = decode(&head.value).expect("a head");
        let entries: HashMap<u64, Bytes> = self.log(agent, session.as_str()).await.into_iter().collect();
        let mut said = Vec::new();
        let mut at = Some(head.last.0);
        while let Some(bytes) = at.and_then(|at| entries.get(&at)) {
            let message: Message = decode(bytes).expect("a message");
            at = message.after.map(|after| after.0);
            said.push(self.text(agent, &message.content).await);
        }
        said.reverse();
        said
    }

    /// The entries of a session's log, with their numbers.
    pub async fn log(&self, agent: &AgentId, session: &str) -> Vec<(u64, Bytes)> {
        let log = keys::messages(&self.tenant, agent, &SessionName::new(session).expect("a name"));
        let tail = self.store.read(&log, Seq::FIRST, 1_000_000).await.expect("it reads");
        (tail.first.0..).zip(tail.entries).collect()
    }

    /// Saves an agent at a time.
    pub async fn save_at(&self, agent: &AgentId, at: u64) -> SnapshotInfo {
        let save = Save { agent: *agent, kind_version: 1, state: self.state_of(agent), at: UnixMillis(at) };
        self.snapshots.save(&self.tenant, save, &self.owner).await.expect("it saves")
    }

    /// Saves an agent.
    pub async fn save(&self, agent: &AgentId) -> StateId {
        self.save_at(agent, 5).await.state
    }

    /// The bytes of a snapshot's file.
    pub async fn export(&self, state: &StateId) -> Vec<u8> {
        let file = self.snapshots.export(&self.tenant, state).await.expect("it exports");
        let pieces: Vec<Bytes> = file.try_collect().await.expect("the file is whole");
        pieces.concat()
    }

    /// Takes bytes for a snapshot's file, in pieces of a size.
    ///
    /// # Errors
    /// As [`Snapshots::import`].
    pub async fn import(
        &self,
        file: &[u8],
        piece: usize,
    ) -> Result<SnapshotInfo, runtime_traits::RuntimeError> {
        let pieces: Vec<_> = file.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let file = Box::pin(futures_util::stream::iter(pieces));
        self.snapshots.import(&self.tenant, Pool::MAIN, self.unique(), file, &self.owner).await
    }

    /// How many snapshots there are.
    pub async fn count(&self) -> usize {
        self.snapshots.list(&self.tenant, None, None, 1_000).await.expect("it lists").len()
    }

    async fn payload(&self, agent: &AgentId, content: &Content) -> Payload {
        let payload = Payload::of(content);
        if let Payload::Blob { hash, .. } = &payload {
            for (chunk, nth) in chunks(&content.bytes).zip(0..) {
                let key = keys::blob(&self.tenant, agent.partition(), hash, nth);
                self.write(agent, vec![Then::Put(key, chunk)]).await;
            }
        }
        payload
    }

    async fn text(&self, agent: &AgentId, payload: &Payload) -> String {
        let (hash, len) = match payload {
            Payload::Inline(content) => return content.to_string(),
            Payload::Blob { hash, len, .. } => (hash, *len as usize),
        };
        let mut bytes = Vec::new();
        for nth in 0..count_chunks(len) {
            let cell = self.cell(keys::blob(&self.tenant, agent.partition(), hash, nth)).await;
            bytes.extend_from_slice(&cell.expect("a content is whole").value);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn cell(&self, key: Key) -> Option<Cell> {
        self.store.get(&[key]).await.expect("it reads").pop().flatten()
    }

    async fn write(&self, agent: &AgentId, then: Vec<Then>) {
        self.owner.commit(agent.partition(), Vec::new(), then).await.expect("it writes");
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("snapshots", &self.snapshots).finish_non_exhaustive()
    }
}
