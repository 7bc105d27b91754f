//! A store as a runtime leaves it: an agent with conversations, runs that are over and one that is open.

use std::sync::Arc;

use bytes::Bytes;
use runtime_codec::{
    CHUNK, Cursor, EndedRun, IdemRecord, NameRecord, OpenRun, OwnerRecord, Record, SpecRecord, StateRecord,
    SweptRun, WantRecord, chunks, encode, encode_entry, keys,
};
use runtime_state::{MemoryStore, StateManager, Unfenced, Verified, verify_store};
use runtime_testkit::fakes::SeededEntropy;
use runtime_traits::agent::AgentSpec;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, NodeId, RunId, StateId};
use runtime_traits::log::{
    Accepted, Author, Effect, Ended, Entry, EntryKind, Head, Message, Outcome, Price, Started, StepKey,
    StepOpened, StepSort, Usage,
};
use runtime_traits::name::{IdempotencyKey, Name, SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::{SessionPolicy, Want};
use runtime_traits::snapshot::{Save, Snapshots};
use runtime_traits::store::{Batch, BatchId, Durability, Key, Log, Seq, StateStore, Then};
use uuid::Uuid;

pub(crate) const HERE: Partition = Partition { pool: Pool::MAIN, index: 17 };

/// The parts of a store, by their names.
pub(crate) struct Lived {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) tenant: Tenant,
    pub(crate) agent: AgentId,
    pub(crate) session: SessionName,
    /// Three runs that are over, each with two messages.
    pub(crate) ended: Vec<RunId>,
    pub(crate) open: RunId,
    pub(crate) state: StateId,
    /// What the last message names.
    pub(crate) large: Content,
    pub(crate) batches: std::sync::atomic::AtomicU64,
}

impl Lived {
    pub(crate) async fn in_memory() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn over(store: Arc<dyn StateStore>) -> Self {
        Self::with(store, vec![7; 2 * CHUNK + 11]).await
    }

    /// Another tenant's.
    pub(crate) async fn of(tenant: &str) -> Self {
        let tenant = Tenant::new(tenant).unwrap();
        Self::built(Arc::new(MemoryStore::new()), tenant, vec![7; 2 * CHUNK + 11]).await
    }

    /// With a last answer that is so large.
    pub(crate) async fn with(store: Arc<dyn StateStore>, large: Vec<u8>) -> Self {
        Self::built(store, Tenant::default(), large).await
    }

    async fn built(store: Arc<dyn StateStore>, tenant: Tenant, large: Vec<u8>) -> Self {
        let id = |n: u128| Uuid::from_u128(0x0193_571c_8a2f_7c3e_9d1a_5b6c_7d8e_9f00 + n);
        let lived = Self {
            store,
            tenant,
            agent: AgentId::from_parts(HERE, id(0)),
            session: SessionName::new("talk").unwrap(),
            ended: (1..=3).map(|n| RunId::from_parts(HERE, id(n))).collect(),
            open: RunId::from_parts(HERE, id(9)),
            state: StateId::from_parts(HERE, id(100)),
            large: Content::bytes(large),
            batches: 1.into(),
        };
        lived.declare().await;
        lived.talk().await;
        lived.begin().await;
        let manager = StateManager::new(Arc::clone(&lived.store));
        let save = Save { agent: lived.agent, kind_version: 1, state: lived.state, at: at(9) };
        let owner = Unfenced::new(Arc::clone(&lived.store), Arc::new(SeededEntropy::new(1)));
        manager.save(&lived.tenant, save, &owner).await.unwrap();
        lived
    }

    /// Writes what the test wants.
    pub(crate) async fn write(&self, partition: Partition, then: Vec<Then>) {
        let id = self.batches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let batch = Batch {
            id: BatchId(u128::from(id)),
            partition,
            fence: None,
            when: vec![],
            then,
            durability: Durability::Memory,
        };
        self.store.commit(batch).await.unwrap();
    }

    pub(crate) async fn put(&self, key: Key, value: impl Into<Bytes>) {
        self.write(key.partition, vec![Then::Put(key, value.into())]).await;
    }

    pub(crate) async fn delete(&self, key: Key) {
        self.write(key.partition, vec![Then::Delete(key)]).await;
    }

    pub(crate) async fn verify(&self) -> Verified {
        verify_store(&*self.store, |_| {}).await.unwrap()
    }

    /// What is left of the first run that is over, if its log is let go.
    pub(crate) fn stub(&self) -> SweptRun {
        SweptRun {
            tenant: self.tenant.clone(),
            agent: self.agent,
            session: self.session.clone(),
            accepted_at: at(2),
            ended_at: at(3),
            swept_at: at(4),
            attempt: 1,
            entries: 3,
            outcome: Outcome::RolledBack,
            usage: Usage::default(),
        }
    }

    pub(crate) fn spec() -> AgentSpec {
        serde_json::from_str(r#"{"kind":"writer","name":"Anna"}"#).unwrap()
    }

    pub(crate) fn messages(&self) -> Log {
        keys::messages(&self.tenant, &self.agent, &self.session)
    }

    pub(crate) fn head(&self) -> Key {
        keys::head(&self.tenant, &self.agent, &self.session)
    }

    async fn declare(&self) {
        let (tenant, agent) = (&self.tenant, &self.agent);
        let spec = serde_json::to_string(&Self::spec()).unwrap();
        let spec = SpecRecord { revision: 1, at: at(1), spec };
        let owner = OwnerRecord { epoch: 4, node: NodeId(Uuid::from_u128(5)), since: at(1) };
        let owner = [&[9; 16][..], &encode(&owner)].concat();
        let want = WantRecord { want: Want::Active, generation: 1 };
        self.write(
            HERE,
            vec![
                Then::Put(keys::own(HERE), owner.into()),
                Then::Put(keys::spec(tenant, agent), encode(&spec)),
                Then::Put(keys::spec_revision(tenant, agent, 1), encode(&spec)),
                Then::Put(keys::want(tenant, agent), encode(&want)),
                Then::Put(keys::taken(HERE), encode(&Cursor { done: 0 })),
            ],
        )
        .await;
        let name = Name::new("Anna").unwrap();
        let record = NameRecord { agent: *agent, name: name.to_string() };
        self.put(keys::name(Pool::MAIN, tenant, &name), encode(&record)).await;
    }

    async fn talk(&self) {
        let (tenant, agent) = (&self.tenant, &self.agent);
        let blob = |content: &Content| -> Vec<Then> {
            let keys = (0..).map(|n| keys::blob(tenant, HERE, &content.digest(), n));
            keys.zip(chunks(&content.bytes)).map(|(key, chunk)| Then::Put(key, chunk)).collect()
        };
        self.write(HERE, blob(&self.large)).await;
        for (nth, run) in self.ended.iter().enumerate() {
            let before = nth as u64 * 2;
            let input = Content::text(format!("question {nth}"));
            let output = if nth == 2 { self.large.clone() } else { Content::text(format!("answer {nth}")) };
            let output = Payload::of(&output);
            let outcome = Outcome::Completed(output.clone());
            let ended = Ended { outcome, usage: Usage::default(), price: Price::default() };
            let kinds = vec![self.accepted(&input, None), started(), EntryKind::Ended(ended)];
            let message = |author, content, after: u64| {
                let after = (after > 0).then_some(Seq(after));
                encode(&Message { author, content, run: *run, at: at(3), after })
            };
            let said = vec![
                message(Author::Caller, Payload::of(&input), before),
                message(Author::Agent, output, before + 1),
            ];
            let head = Head { last: Seq(before + 2), messages: before + 2, run: *run, at: at(3) };
            let over = EndedRun { session: self.session.clone(), at: at(3) };
            self.write(
                HERE,
                vec![
                    Then::Append(keys::run_log(run), entries(kinds)),
                    Then::Append(self.messages(), said),
                    Then::Put(self.head(), encode(&head)),
                    Then::Put(keys::ended(tenant, agent, run), encode(&over)),
                    Then::Add(keys::usage(tenant, agent, "model-calls"), 1),
                ],
            )
            .await;
        }
        let value = Payload::of(&Content::json(&serde_json::json!({ "mood": "good" })).unwrap());
        self.put(keys::state(tenant, agent, &self.session), encode(&StateRecord { value })).await;
    }

    async fn begin(&self) {
        let input = Content::text("the open question");
        let key = IdempotencyKey::new("once").unwrap();
        let opened = StepOpened {
            key: StepKey::first(Name::new("send").unwrap()),
            sort: StepSort::Tool,
            effect: Effect::AtMostOnce,
            request: Payload::of(&Content::text("a letter")),
            digest: Content::text("a letter").digest(),
            reserved: 0,
            reserved_usage: Usage::default(),
            dispatched: true,
        };
        let kinds = vec![self.accepted(&input, Some(key.clone())), started(), EntryKind::StepOpened(opened)];
        let open = OpenRun { tenant: self.tenant.clone(), agent: self.agent, session: self.session.clone() };
        let idem = IdemRecord { run: self.open, digest: input.digest() };
        self.write(
            HERE,
            vec![
                Then::Append(keys::run_log(&self.open), entries(kinds)),
                Then::Put(keys::open(&self.open), encode(&open)),
                Then::Put(keys::idem(&self.tenant, &self.agent, &self.session, &key), encode(&idem)),
            ],
        )
        .await;
    }

    fn accepted(&self, input: &Content, idempotency_key: Option<IdempotencyKey>) -> EntryKind {
        EntryKind::Accepted(Box::new(Accepted {
            agent: self.agent,
            spec_rev: 1,
            session: self.session.clone(),
            policy: SessionPolicy::Enqueue,
            input: Payload::of(input),
            digest: input.digest(),
            idempotency_key,
            parent: None,
            copied_from: None,
            principal: None,
            trace: None,
            deadline: None,
            priority: 0,
            chain: None,
            labels: Default::default(),
        }))
    }
}

pub(crate) fn at(seconds: u64) -> UnixMillis {
    UnixMillis(1_764_000_000_000 + seconds * 1_000)
}

fn started() -> EntryKind {
    EntryKind::Started(Started {
        kind_version: 1,
        build: "0.1.0".to_owned(),
        node: NodeId(Uuid::from_u128(5)),
        suspects: 0,
    })
}

fn entries(kinds: Vec<EntryKind>) -> Vec<Bytes> {
    let entry = |(kind, seq)| Entry { seq: Seq(seq), at: at(2), attempt: 1, epoch: 4, kind };
    kinds.into_iter().zip(1..).map(entry).map(|entry| encode_entry(&entry)).collect()
}

/// A record that a later version of this program wrote.
pub(crate) fn newer<R: Record>(record: &R) -> Bytes {
    let mut bytes = encode(record).to_vec();
    bytes[2] = 200;
    bytes.into()
}
