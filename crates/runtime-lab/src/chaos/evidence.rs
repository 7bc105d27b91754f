//! What the store holds after the last server has ended, read without the runtime.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use agent_runtime::{OpenError, open_store};
use bytes::Bytes;
use runtime_codec::{
    CodecError, ContentRef, Cursor, Kept, Manifest, NameRecord, Record, SavedSession, Segment, SegmentIndex,
    SessionList, SessionPage, StateRecord, decode, decode_entry, decode_event,
};
use runtime_traits::bus::Event;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::log::{Entry, Head, Message};
use runtime_traits::name::SessionName;
use runtime_traits::partition::Partition;
use runtime_traits::store::{Key, Log, Seq, StateError, StateStore};
use runtime_traits::{AgentId, RunId, StateId};
use thiserror::Error;
use uuid::Uuid;

const PAGE: u32 = 512;

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) runs: BTreeMap<RunId, Vec<Entry>>,
    /// The runs that are to be gone on with by the next process.
    pub(super) open: BTreeSet<RunId>,
    /// The runs that timers are set for.
    pub(super) timers: BTreeSet<RunId>,
    pub(super) sessions: BTreeMap<(AgentId, SessionName), Conversation>,
    /// Who has a name.
    pub(super) names: BTreeMap<String, AgentId>,
    /// How many calls an agent's runs paid for.
    pub(super) tool_calls: BTreeMap<AgentId, u64>,
    /// How many calls of models an agent's runs paid for.
    pub(super) model_calls: BTreeMap<AgentId, u64>,
    pub(super) snapshots: BTreeMap<StateId, Manifest>,
    /// What comes into partitions, and what leaves them.
    pub(super) boxes: BTreeMap<Partition, Boxes>,
    /// The events of topics, in their order.
    pub(super) topics: BTreeMap<String, Vec<Event>>,
    blobs: HashMap<(Partition, Digest), BTreeMap<u32, Bytes>>,
}

/// The mail of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Boxes {
    pub(super) inbox: Mailbox,
    pub(super) outbox: Mailbox,
    /// What is to be told of the partition, a batch each.
    pub(super) announced: Mailbox,
    /// Up to which number the mail of each other partition has been taken.
    pub(super) taken_from: BTreeMap<String, u64>,
}

/// A log of mail, and how far it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// How many entries there ever were.
    pub(super) written: u64,
    /// How many are still there.
    pub(super) left: u64,
    pub(super) done: u64,
}

/// A session as it is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) head: Option<Head>,
    pub(super) state: Option<Payload>,
}

/// Why the store could not be read.
#[derive(Debug, Error)]
pub(super) enum EvidenceError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StateError),
    /// A record is no record.
    #[error("`{place}` cannot be read")]
    Record {
        /// Where.
        place: String,
        /// What the codec said.
        #[source]
        source: CodecError,
    },
    /// A place that no part of the runtime writes.
    #[error("nobody knows what `{0}` is")]
    Place(String),
}

impl Evidence {
    /// Reads the store in the file at `path`.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub(super) async fn read(path: &Path) -> Result<Self, EvidenceError> {
        let store = open_store(&format!("redb:{}", path.display())).await?;
        let mut evidence = Self::default();
        for partition in store.partitions().await? {
            evidence.read_cells(store.as_ref(), partition).await?;
            evidence.read_logs(store.as_ref(), partition).await?;
        }
        Ok(evidence)
    }

    /// What a payload refers to, if it is there and has the hash that it should have.
    pub(super) fn content(&self, partition: Partition, payload: &Payload) -> Option<Content> {
        match payload {
            Payload::Inline(content) => Some(content.clone()),
            Payload::Blob { hash, len, media } => {
                let content = Content { media: *media, bytes: self.blob(partition, hash)? };
                (content.bytes.len() as u64 == *len && content.digest() == *hash).then_some(content)
            }
        }
    }

    /// The bytes under a hash.
    pub(super) fn blob(&self, partition: Partition, hash: &Digest) -> Option<Bytes> {
        let chunks = self.blobs.get(&(partition, *hash))?;
        Some(chunks.values().flatten().copied().collect::<Vec<u8>>().into())
    }

    /// What snapshots are made of.
    fn made<R: Record>(&self, partition: Partition, hash: Digest, len: u64) -> Option<R> {
        let bytes = self.blob(partition, &hash)?;
        (Digest::of(&bytes) == hash && bytes.len() as u64 == len).then(|| decode(&bytes).ok())?
    }

    /// The conversations of a snapshot; `None` when one of its parts is not there, or not as it was.
    pub(super) fn saved_sessions(&self, manifest: &Manifest) -> Option<Vec<SavedSession>> {
        let partition = manifest.agent.partition();
        let ContentRef { hash, len } = match &manifest.kept {
            Kept::Here(sessions) => return Some(sessions.clone()),
            Kept::List(list) => *list,
        };
        let mut sessions = Vec::new();
        for page in self.made::<SessionList>(partition, hash, len)?.pages {
            sessions.extend(self.made::<SessionPage>(partition, page.hash, page.len)?.sessions);
        }
        Some(sessions)
    }

    /// The messages of a saved conversation.
    pub(super) fn saved_messages(
        &self,
        partition: Partition,
        session: &SavedSession,
    ) -> Option<Vec<Message>> {
        let mut segments = Vec::new();
        for index in &session.sealed {
            segments.extend(self.made::<SegmentIndex>(partition, index.hash, index.len)?.segments);
        }
        segments.extend(&session.open);
        let mut messages = Vec::new();
        for segment in segments {
            for message in self.made::<Segment>(partition, segment.hash, segment.len)?.messages {
                messages.push(decode(&message).ok()?);
            }
        }
        Some(messages)
    }

    async fn read_cells(
        &mut self,
        store: &dyn StateStore,
        partition: Partition,
    ) -> Result<(), EvidenceError> {
        let mut after = None;
        loop {
            let page = store.scan(&Key::all(partition), after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                self.take_cell(key, &cell.value)?;
            }
            let full = page.len() == PAGE as usize;
            after = page.into_iter().next_back().map(|(key, _)| key);
            if !full {
                return Ok(());
            }
        }
    }

    fn take_cell(&mut self, key: &Key, value: &Bytes) -> Result<(), EvidenceError> {
        let partition = key.partition;
        let unknown = || EvidenceError::Place(key.to_string());
        let record = |source| EvidenceError::Record { place: key.to_string(), source };
        let path = std::str::from_utf8(key.path.as_bytes()).map_err(|_| unknown())?;
        let parts: Vec<&str> = path.split('/').collect();
        let id = |text: &str| Uuid::try_parse(text).map_err(|_| unknown());
        match parts.as_slice() {
            ["open", run] => {
                self.open.insert(RunId::from_parts(partition, id(run)?));
            }
            ["due", _, "wake", run, _] => {
                self.timers.insert(RunId::from_parts(partition, id(run)?));
            }
            ["t", _, "name", name] => {
                let named: NameRecord = decode(value).map_err(record)?;
                self.names.insert((*name).to_owned(), named.agent);
            }
            ["t", _, "s", agent, session, what] => {
                let session = SessionName::new(session).map_err(|_| unknown())?;
                let place = (AgentId::from_parts(partition, id(agent)?), session);
                let conversation = self.sessions.entry(place).or_default();
                match *what {
                    "head" => conversation.head = Some(decode(value).map_err(record)?),
                    "state" => {
                        let state: StateRecord = decode(value).map_err(record)?;
                        conversation.state = Some(state.value);
                    }
                    _ => return Err(unknown()),
                }
            }
            ["t", _, "a", agent, "usage", what @ ("tool-calls" | "model-calls")] => {
                let calls = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let sums = if *what == "tool-calls" { &mut self.tool_calls } else { &mut self.model_calls };
                sums.insert(AgentId::from_parts(partition, id(agent)?), calls.ok_or_else(unknown)?);
            }
            ["c", which] | ["c", which @ "from", _] => {
                let Cursor { done } = decode(value).map_err(record)?;
                let boxes = self.boxes.entry(partition).or_default();
                match (*which, parts.last()) {
                    ("inbox", _) => boxes.inbox.done = done,
                    ("outbox", _) => boxes.outbox.done = done,
                    ("announced", _) => boxes.announced.done = done,
                    ("from", Some(from)) => drop(boxes.taken_from.insert((*from).to_owned(), done)),
                    _ => return Err(unknown()),
                }
            }
            ["t", _, "snap", state] => {
                let manifest = decode(value).map_err(record)?;
                self.snapshots.insert(StateId::from_parts(partition, id(state)?), manifest);
            }
            ["t", _, "blob", hash, chunk] => {
                let hash = serde_json::from_str(&format!("\"{hash}\"")).map_err(|_| unknown())?;
                let chunk = u32::from_str_radix(chunk, 16).map_err(|_| unknown())?;
                self.blobs.entry((partition, hash)).or_default().insert(chunk, value.clone());
            }
            ["own"] | ["due", ..] | ["swept", _] | ["t", _, "a" | "idem" | "mark" | "size", ..] => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }

    async fn read_logs(&mut self, store: &dyn StateStore, partition: Partition) -> Result<(), EvidenceError> {
        let mut after = None;
        loop {
            let page = store.logs(&Log::all(partition), after.as_ref(), PAGE).await?;
            for extent in &page {
                let log = &extent.log;
                let unknown = || EvidenceError::Place(log.to_string());
                if let which @ (b"inbox" | b"outbox" | b"announced") = log.path.as_bytes() {
                    let tail = store.read(log, Seq::FIRST, PAGE).await?;
                    let boxes = self.boxes.entry(partition).or_default();
                    let mailbox = match which {
                        b"inbox" => &mut boxes.inbox,
                        b"outbox" => &mut boxes.outbox,
                        _ => &mut boxes.announced,
                    };
                    mailbox.written = tail.next.0 - 1;
                    mailbox.left = tail.next.0 - tail.first.0;
                    continue;
                }
                let entries = entries(store, log).await?;
                let path = String::from_utf8_lossy(log.path.as_bytes()).into_owned();
                let parts: Vec<&str> = path.split('/').collect();
                let id = |text: &str| Uuid::try_parse(text).map_err(|_| unknown());
                let record = |source| EvidenceError::Record { place: log.to_string(), source };
                match parts.as_slice() {
                    ["run", run] => {
                        let numbered =
                            entries.iter().zip(1..).map(|(bytes, seq)| decode_entry(Seq(seq), bytes));
                        let entries = numbered.collect::<Result<_, _>>().map_err(record)?;
                        self.runs.insert(RunId::from_parts(partition, id(run)?), entries);
                    }
                    ["t", _, "msg", agent, session] => {
                        let session = SessionName::new(session).map_err(|_| unknown())?;
                        let place = (AgentId::from_parts(partition, id(agent)?), session);
                        let messages = entries.iter().map(|bytes| decode(bytes)).collect::<Result<_, _>>();
                        self.sessions.entry(place).or_default().messages = messages.map_err(record)?;
                    }
                    ["t", _, "topic", topic @ ..] => {
                        let events = entries.iter().map(|bytes| decode_event(bytes).map(|(_, event)| event));
                        let events = events.collect::<Result<_, _>>().map_err(record)?;
                        self.topics.insert(topic.join("/"), events);
                    }
                    _ => return Err(unknown()),
                }
            }
            let full = page.len() == PAGE as usize;
            after = page.into_iter().next_back().map(|extent| extent.log);
            if !full {
                return Ok(());
            }
        }
    }
}

async fn entries(store: &dyn StateStore, log: &Log) -> Result<Vec<Bytes>, StateError> {
    let mut entries: Vec<Bytes> = Vec::new();
    loop {
        let tail = store.read(log, Seq(entries.len() as u64 + 1), PAGE).await?;
        let more = !tail.entries.is_empty();
        entries.extend(tail.entries);
        if !more || entries.len() as u64 + 1 >= tail.next.0 {
            return Ok(entries);
        }
    }
}
