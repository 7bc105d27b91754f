//! Everything in a store that can be read, in lines that people and programs read.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use runtime_codec::file::FileContent;
use runtime_codec::{
    CellRecord, CellSort, LimitsRecord, LogSort, Whose, beside, cell_sort, decode_cell, decode_entry,
    log_sort, named_by_entry,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Media, Payload};
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::log::{Author, Entry, EntryKind, Head, Message};
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::resource::{LimitsBy, ResourceLimits};
use runtime_traits::runtime::Want;
use runtime_traits::store::{Cell, Key, LogExtent, StateError, StateStore};
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::copy::inhabited;
use crate::steady::Steady;
use crate::verify::contents::Contents;
use crate::verify::damage::{Damage, DamagedPlace, Fault};
use crate::verify::entries::EachEntry;
use crate::verify::listing::Listing;
use crate::verify::walk::{Visit, walk};

/// The form of the lines that this version writes.
pub const EXPORT_FORMAT: u32 = 1;
/// Contents up to here stand where they belong; larger ones come in pieces.
const IN_PLACE: u64 = 1024 * 1024;
/// Contents that are remembered as written. Beyond them one may come twice.
const REMEMBERED: usize = 65_536;

/// A line of an export.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ExportLine {
    /// The first line.
    Store {
        /// The form of the lines.
        format: u32,
    },
    /// How an agent is declared.
    Agent {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: Name,
        /// The number of the declaration.
        revision: u32,
        /// Since when.
        at: UnixMillis,
        /// The declaration, as it is stored.
        spec: Box<RawValue>,
    },
    /// What somebody wants of an agent.
    Want {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// What.
        want: Want,
    },
    /// What the agents of a tenant may use together.
    Limits {
        /// Whose.
        tenant: Tenant,
        /// Since when.
        at: UnixMillis,
        /// Who set it.
        by: LimitsBy,
        /// What.
        limits: ResourceLimits,
    },
    /// Where a conversation ends.
    Session {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The session.
        session: SessionName,
        /// Its last message, and how many it has.
        head: Head,
    },
    /// A session's state.
    State {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The session.
        session: SessionName,
        /// The state.
        value: Shown,
    },
    /// A message. Those that a head leads to are the conversation; others were taken back.
    Message {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The session.
        session: SessionName,
        /// Its number.
        seq: u64,
        /// The one before it in the conversation.
        after: Option<u64>,
        /// Who says it.
        author: Author,
        /// The run.
        run: RunId,
        /// When.
        at: UnixMillis,
        /// What.
        content: Shown,
    },
    /// A run that is open.
    Open {
        /// Whose.
        tenant: Tenant,
        /// The agent.
        agent: AgentId,
        /// The session.
        session: SessionName,
        /// The run.
        run: RunId,
    },
    /// An entry of a run's log.
    Run {
        /// The run.
        run: RunId,
        /// The entry.
        entry: Box<Entry>,
    },
    /// A snapshot. What it is made of is not here: `snapshot export` writes it as a file.
    Snapshot {
        /// Whose.
        tenant: Tenant,
        /// The snapshot.
        state: StateId,
        /// The agent that was saved.
        agent: AgentId,
        /// When.
        at: UnixMillis,
        /// How many conversations it has.
        sessions: u32,
        /// How many messages these have.
        messages: u64,
    },
    /// A content that entries name by its hash.
    Content {
        /// Its hash.
        hash: Digest,
        /// The content.
        content: Content,
    },
    /// A piece of a large content.
    Piece {
        /// The content's hash.
        hash: Digest,
        /// How to read the content.
        media: Media,
        /// Which piece, from 0.
        nth: u32,
        /// Its bytes, in hexadecimal digits.
        hex: String,
    },
    /// Something that cannot be read.
    Missing(Box<Damage>),
    /// The last line.
    End(Exported),
}

/// Content where it belongs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// It is large: its pieces are lines of their own.
    Pieces {
        /// Its hash.
        hash: Digest,
        /// How many bytes.
        len: u64,
    },
    /// It cannot be read: a line says why.
    Missing {
        /// Its hash.
        hash: Digest,
    },
    /// The content itself.
    #[serde(untagged)]
    Here(Content),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Agents.
    pub agents: u64,
    /// Conversations.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Logs of runs.
    pub runs: u64,
    /// Entries of them.
    pub entries: u64,
    /// Things that cannot be read.
    pub missing: u64,
}

/// Why an export broke off.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store cannot be read, and that is no damage; or it does not even list its partitions.
    #[error("the store cannot be read: {0}")]
    Store(#[source] StateError),
    /// A line cannot be written.
    #[error("what is in the store cannot be written: see that there is room for it")]
    Write(#[source] io::Error),
}

/// Tells everything of a runtime in `store` that can be read: agents, conversations with their messages and states, runs
/// with their logs, and the contents that these name. What cannot be read is a line too. Changes nothing.
///
/// It holds a page of values and one content of a mebibyte.
///
/// # Errors
/// [`ExportError`].
pub async fn export_store(
    store: &dyn StateStore,
    line: &mut (dyn FnMut(ExportLine) -> io::Result<()> + Send + Sync),
) -> Result<Exported, ExportError> {
    let store = &Steady::over(store);
    line(ExportLine::Store { format: EXPORT_FORMAT }).map_err(ExportError::Write)?;
    let mut done = Exported::default();
    for partition in inhabited(store).await.map_err(ExportError::Store)? {
        let contents = Contents::of(store, partition);
        let mut export = Export {
            store,
            steady: store,
            partition,
            contents,
            written: HashSet::new(),
            tenants: HashMap::new(),
            line,
            done: &mut done,
        };
        walk(store, partition, Listing::Cells, &mut export).await?;
        walk(store, partition, Listing::Logs, &mut export).await?;
        store.still().map_err(ExportError::Store)?;
    }
    line(ExportLine::End(done)).map_err(ExportError::Write)?;
    Ok(done)
}

struct Export<'a> {
    store: &'a dyn StateStore,
    /// The same store: whether it is still there.
    steady: &'a Steady<'a>,
    partition: Partition,
    contents: Contents<'a>,
    written: HashSet<Digest>,
    /// Whose agents are that are no default tenant's.
    tenants: HashMap<AgentId, Tenant>,
    line: &'a mut (dyn FnMut(ExportLine) -> io::Result<()> + Send + Sync),
    done: &'a mut Exported,
}

impl Export<'_> {
    fn write(&mut self, line: ExportLine) -> Result<(), ExportError> {
        self.steady.still().map_err(ExportError::Store)?;
        (self.line)(line).map_err(ExportError::Write)
    }

    fn missing(
        &mut self,
        place: DamagedPlace,
        fault: Fault,
        whose: Option<&Whose>,
    ) -> Result<(), ExportError> {
        self.done.missing += 1;
        let damage = Damage::at(self.partition, place, fault, whose);
        self.write(ExportLine::Missing(Box::new(damage)))
    }

    /// A payload as it is shown. What is wrong with its content is told at `place`.
    async fn shown(
        &mut self,
        payload: &Payload,
        tenant: &Tenant,
        place: &DamagedPlace,
        whose: &Whose,
    ) -> Result<Shown, ExportError> {
        let (content, media) = match (payload, beside(payload)) {
            (Payload::Inline(content), _) => return Ok(Shown::Here(content.clone())),
            (Payload::Blob { media, .. }, Some(content)) => (content, *media),
            (Payload::Blob { hash, .. }, None) => return Ok(Shown::Missing { hash: *hash }),
        };
        let FileContent { hash, len, .. } = content;
        if let Some(fault) = self.contents.check(tenant, &content).await {
            self.missing(place.clone(), fault, Some(whose))?;
            return Ok(Shown::Missing { hash });
        }
        if len > IN_PLACE {
            self.pieces(tenant, &content, media, place, whose).await?;
            return Ok(Shown::Pieces { hash, len });
        }
        match self.whole(tenant, &content).await {
            Ok(bytes) => Ok(Shown::Here(Content { media, bytes })),
            Err(fault) => {
                self.missing(place.clone(), fault, Some(whose))?;
                Ok(Shown::Missing { hash })
            }
        }
    }

    async fn whole(&self, tenant: &Tenant, content: &FileContent) -> Result<Bytes, Fault> {
        let mut bytes = Vec::new();
        self.contents.each_chunk(tenant, content, |chunk| bytes.extend_from_slice(chunk)).await?;
        Ok(bytes.into())
    }

    async fn pieces(
        &mut self,
        tenant: &Tenant,
        content: &FileContent,
        media: Media,
        place: &DamagedPlace,
        whose: &Whose,
    ) -> Result<(), ExportError> {
        if !self.is_new(content.hash) {
            return Ok(());
        }
        let (line, hash) = (&mut *self.line, content.hash);
        let (mut nth, mut failed) = (0, None);
        let read = self.contents.each_chunk(tenant, content, |chunk| {
            let piece = ExportLine::Piece { hash, media, nth, hex: hex(chunk) };
            nth += 1;
            if failed.is_none() {
                failed = line(piece).err();
            }
        });
        let read = read.await;
        match (failed, read) {
            (Some(error), _) => Err(ExportError::Write(error)),
            (None, Err(fault)) => self.missing(place.clone(), fault, Some(whose)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn is_new(&mut self, hash: Digest) -> bool {
        if self.written.len() >= REMEMBERED {
            self.written.clear();
        }
        self.written.insert(hash)
    }

    async fn record(
        &mut self,
        record: CellRecord,
        place: DamagedPlace,
        whose: Whose,
    ) -> Result<(), ExportError> {
        let (Some(tenant), agent) = (whose.tenant.clone(), whose.agent) else {
            if let (CellRecord::Open(open), Some(run)) = (record, whose.run) {
                let (tenant, agent, session) = (open.tenant, open.agent, open.session);
                return self.write(ExportLine::Open { tenant, agent, session, run });
            }
            return Ok(());
        };
        match (record, agent, whose.session.clone()) {
            (CellRecord::Spec(record, spec), Some(agent), _) => {
                self.done.agents += 1;
                let json = match RawValue::from_string(record.spec) {
                    Ok(json) => json,
                    // It was read as JSON before.
                    Err(error) => return self.missing(place, Fault::record(error.to_string()), Some(&whose)),
                };
                let (name, revision, at) = (spec.name, record.revision, record.at);
                self.write(ExportLine::Agent { tenant, agent, name, revision, at, spec: json })
            }
            (CellRecord::Want(record), Some(agent), _) => {
                self.write(ExportLine::Want { tenant, agent, want: record.want })
            }
            (CellRecord::Limits(LimitsRecord { at, by, .. }, limits), _, _) => {
                self.write(ExportLine::Limits { tenant, at, by, limits })
            }
            (CellRecord::Head(head), Some(agent), Some(session)) => {
                self.done.sessions += 1;
                self.write(ExportLine::Session { tenant, agent, session, head })
            }
            (CellRecord::State(state), Some(agent), Some(session)) => {
                let value = self.shown(&state.value, &tenant, &place, &whose).await?;
                self.write(ExportLine::State { tenant, agent, session, value })
            }
            (CellRecord::Snapshot(manifest), _, _) => {
                let Some(path) = place.path().cloned() else { return Ok(()) };
                let (sort, _) = cell_sort(&Key { partition: self.partition, path });
                let CellSort::Snapshot(state) = sort else { return Ok(()) };
                let (agent, at) = (manifest.agent, manifest.at);
                let (sessions, messages) = (manifest.sessions, manifest.messages);
                self.write(ExportLine::Snapshot { tenant, state, agent, at, sessions, messages })
            }
            _ => Ok(()),
        }
    }

    async fn entry(
        &mut self,
        sort: LogSort,
        place: DamagedPlace,
        seq: runtime_traits::store::Seq,
        bytes: &Bytes,
        whose: &Whose,
    ) -> Result<(), ExportError> {
        let tenant = whose.tenant.clone().unwrap_or_default();
        match (sort, whose) {
            (LogSort::Run, Whose { run: Some(run), .. }) => {
                let entry = match decode_entry(seq, bytes) {
                    Ok(entry) => entry,
                    Err(error) => return self.missing(place, error.into(), Some(whose)),
                };
                self.done.entries += 1;
                self.beside_entry(&entry, &tenant, &place, whose).await?;
                self.write(ExportLine::Run { run: *run, entry: Box::new(entry) })
            }
            (LogSort::Messages, Whose { agent: Some(agent), session: Some(session), .. }) => {
                let message: Message = match runtime_codec::decode(bytes) {
                    Ok(message) => message,
                    Err(error) => return self.missing(place, error.into(), Some(whose)),
                };
                self.done.messages += 1;
                let content = self.shown(&message.content, &tenant, &place, whose).await?;
                let Message { author, run, at, after, .. } = message;
                let (agent, session, after) = (*agent, session.clone(), after.map(|after| after.0));
                let seq = seq.0;
                self.write(ExportLine::Message {
                    tenant,
                    agent,
                    session,
                    seq,
                    after,
                    author,
                    run,
                    at,
                    content,
                })
            }
            _ => Ok(()),
        }
    }

    /// The content that an entry names, once.
    async fn beside_entry(
        &mut self,
        entry: &Entry,
        tenant: &Tenant,
        place: &DamagedPlace,
        whose: &Whose,
    ) -> Result<(), ExportError> {
        let Some(FileContent { hash, len, media: Some(media) }) = named_by_entry(&entry.kind) else {
            return Ok(());
        };
        if self.written.contains(&hash) {
            return Ok(());
        }
        let payload = Payload::Blob { hash, len, media };
        if let Shown::Here(content) = self.shown(&payload, tenant, place, whose).await? {
            self.is_new(hash);
            self.write(ExportLine::Content { hash, content })?;
        }
        Ok(())
    }
}

impl Visit for Export<'_> {
    type Error = ExportError;

    async fn cell(&mut self, key: Key, cell: Cell) -> Result<(), ExportError> {
        let (sort, whose) = cell_sort(&key);
        if let (Some(tenant), Some(agent), CellSort::Spec) = (&whose.tenant, whose.agent, sort)
            && *tenant != Tenant::default()
        {
            self.tenants.insert(agent, tenant.clone());
        }
        let place = DamagedPlace::Cell { path: key.path };
        match decode_cell(sort, &cell.value) {
            Ok(record) => self.record(record, place, whose).await,
            Err(error) => self.missing(place, error.into(), Some(&whose)),
        }
    }

    async fn log(&mut self, extent: LogExtent) -> Result<(), ExportError> {
        let (sort, mut whose) = log_sort(&extent.log);
        self.done.runs += u64::from(sort == LogSort::Run && extent.next > extent.first);
        if sort == LogSort::Run {
            whose.tenant = self.tenant_of_run(&extent).await;
        }
        let path = extent.log.path.clone();
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.store).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: path.clone(), seq: seq.0 };
                match read {
                    Ok(bytes) => self.entry(sort, place, seq, &bytes, &whose).await?,
                    Err(error) => self.missing(place, Fault::from(&error), Some(&whose))?,
                }
            }
        }
        Ok(())
    }

    async fn unreadable(&mut self, place: DamagedPlace, error: &StateError) -> Result<(), ExportError> {
        self.missing(place, Fault::from(error), None)
    }
}

impl Export<'_> {
    /// An agent has one tenant, and a run's log says whose agent's it is.
    async fn tenant_of_run(&self, extent: &LogExtent) -> Option<Tenant> {
        let tail = self.store.read(&extent.log, extent.first, 1).await.ok()?;
        match decode_entry(tail.first, tail.entries.first()?).ok()?.kind {
            EntryKind::Accepted(accepted) => self.tenants.get(&accepted.agent).cloned(),
            _ => None,
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes every byte.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
