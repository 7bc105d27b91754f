//! Whether new code could load what is stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use runtime_codec::{
    CellRecord, CellSort, CodecError, LogSort, Whose, beside, cell_sort, decode_cell, log_sort,
};
use runtime_traits::agent::AgentKind;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::EntryKind;
use runtime_traits::name::{Name, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::schema::{Schema, schema_of};
use runtime_traits::store::{Cell, Key, LogExtent, StateError, StateStore};
use serde::Serialize;

use crate::copy::inhabited;
use crate::steady::Steady;
use crate::verify::contents::Contents;
use crate::verify::damage::{DamagedPlace, Fault};
use crate::verify::entries::EachEntry;
use crate::verify::listing::Listing;
use crate::verify::logs::{Said, read_entry};
use crate::verify::walk::{Visit, walk};

/// Problems that are named; of more of them there is only the number.
const NAMED: usize = 10_000;
/// The largest value whose schema is looked at.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Why new code could not go on with something that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveSort {
    /// It has no such kind: the agent's runs would wait.
    UnknownKind,
    /// Its kind does not take the declaration.
    Declaration,
    /// Its kind does not read this schema, or not this version of it.
    Schema,
    /// The run goes on with the version of its kind that it began with, and that is another one: it would wait.
    KindVersion,
    /// A newer version of the runtime wrote it.
    Newer,
    /// It is damaged: `state verify` says more.
    Damaged,
}

/// Something that is stored and that new code could not go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveProblem {
    /// Why.
    pub problem: LiveSort,
    /// The partition.
    pub partition: Partition,
    /// Where in it.
    #[serde(flatten)]
    pub place: DamagedPlace,
    /// In words, with the remedy.
    pub what: String,
    /// Whose it is.
    #[serde(flatten)]
    pub whose: Whose,
    /// The agent's name, if it is known.
    pub name: Option<Name>,
}

/// What new code would find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Live {
    /// Agents.
    pub agents: u64,
    /// Runs that are not over.
    pub open_runs: u64,
    /// Values with a schema, or of a kind that has one.
    pub values: u64,
    /// What it could not go on with: the first 10,000.
    pub problems: Vec<LiveProblem>,
    /// How many problems there are.
    pub found: u64,
}

/// Reads everything in a store and says what code with these kinds could not go on with. Changes nothing.
///
/// Looked at are the formats of all values, the declarations of agents, the states of sessions, and of runs that are not
/// over the inputs and the versions of their kinds.
///
/// # Errors
/// What kept the store from reading and is no damage.
pub async fn check_live(store: &dyn StateStore, kinds: &[Arc<dyn AgentKind>]) -> Result<Live, StateError> {
    let kinds: Vec<Hosted<'_>> = kinds.iter().map(|kind| Hosted { kind, schemas: kind.schemas() }).collect();
    let (store, mut live) = (&Steady::over(store), Live::default());
    for partition in inhabited(store).await? {
        let mut look = Look {
            store,
            partition,
            contents: Contents::of(store, partition),
            kinds: &kinds,
            agents: HashMap::new(),
            open: HashSet::new(),
            live: &mut live,
        };
        let Ok(()) = walk(store, partition, Listing::Cells, &mut look).await;
        let Ok(()) = walk(store, partition, Listing::Logs, &mut look).await;
        store.still()?;
    }
    Ok(live)
}

struct Hosted<'a> {
    kind: &'a Arc<dyn AgentKind>,
    schemas: Vec<Schema>,
}

struct Look<'a> {
    store: &'a dyn StateStore,
    partition: Partition,
    contents: Contents<'a>,
    kinds: &'a [Hosted<'a>],
    /// The name of each agent, and which of the kinds is its own.
    agents: HashMap<AgentId, (Name, Tenant, Option<usize>)>,
    open: HashSet<RunId>,
    live: &'a mut Live,
}

impl Look<'_> {
    fn problem(&mut self, problem: LiveSort, place: DamagedPlace, what: impl Into<String>, whose: &Whose) {
        self.live.found += 1;
        if self.live.problems.len() < NAMED {
            let name = whose.agent.and_then(|agent| self.agents.get(&agent)).map(|(name, ..)| name.clone());
            let (partition, what, whose) = (self.partition, what.into(), whose.clone());
            self.live.problems.push(LiveProblem { problem, partition, place, what, whose, name });
        }
    }

    fn unread(&mut self, error: CodecError, place: DamagedPlace, whose: &Whose) {
        match error {
            error @ CodecError::Newer { .. } => {
                let what = format!("{error}: use the version that wrote it, or a later one");
                self.problem(LiveSort::Newer, place, what, whose);
            }
            error => self.problem(LiveSort::Damaged, place, error.to_string(), whose),
        }
    }

    fn kind_of(&self, agent: &AgentId) -> Option<&Hosted<'_>> {
        let (_, _, kind) = self.agents.get(agent)?;
        kind.map(|kind| &self.kinds[kind])
    }

    /// Holds a value against the schemas of its agent's kind.
    async fn value(&mut self, payload: &Payload, place: DamagedPlace, whose: &Whose) {
        let Some(agent) = whose.agent else { return };
        let has_schemas = self.kind_of(&agent).is_some_and(|hosted| !hosted.schemas.is_empty());
        let content = match self.content(payload, whose).await {
            Some(Ok(content)) => content,
            Some(Err(fault)) => return self.problem(LiveSort::Damaged, place, fault.what, whose),
            None => return,
        };
        let named = schema_of(&content);
        self.live.values += u64::from(named.is_some() || has_schemas);
        // Without its kind nothing of the agent can be loaded, which is told once.
        let Some(hosted) = self.kind_of(&agent) else { return };
        let kind = hosted.kind.name();
        let what = match (named, &hosted.schemas[..]) {
            (None, [only]) => only.check(&content).err().map(|error| error.to_string()),
            (None, _) => None,
            (Some(named), schemas) => {
                let name = named.rsplit_once('/').map_or(named.as_str(), |(name, _)| name);
                match schemas.iter().find(|schema| schema.name() == name) {
                    Some(schema) => schema.check(&content).err().map(|error| error.to_string()),
                    None => Some(format!(
                        "the value has schema `{named}`, which the kind `{kind}` of this program does not name: \
                         add it to `AgentKind::schemas`, with its migrations"
                    )),
                }
            }
        };
        if let Some(what) = what {
            self.problem(LiveSort::Schema, place, what, whose);
        }
    }

    async fn content(&self, payload: &Payload, whose: &Whose) -> Option<Result<Content, Fault>> {
        let (content, media) = match payload {
            Payload::Inline(content) => return Some(Ok(content.clone())),
            Payload::Blob { len, .. } if *len > LARGEST => return None,
            Payload::Blob { media, .. } => (beside(payload)?, *media),
        };
        let tenant = whose.tenant.clone().unwrap_or_default();
        let mut bytes = Vec::new();
        let read = self.contents.each_chunk(&tenant, &content, |chunk| bytes.extend_from_slice(chunk)).await;
        Some(read.map(|()| Content { media, bytes: bytes.into() }))
    }

    async fn run(&mut self, extent: LogExtent, mut whose: Whose) {
        let Some(run) = whose.run else { return };
        let is_open = self.open.contains(&run);
        let mut begun_with = None;
        let mut input = None;
        let path = extent.log.path.clone();
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.store).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: path.clone(), seq: seq.0 };
                let bytes = match read {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        self.problem(LiveSort::Damaged, place, Fault::from(&error).what, &whose);
                        continue;
                    }
                };
                match read_entry(LogSort::Run, seq, &bytes) {
                    Ok(Said::Run(EntryKind::Accepted(accepted))) => {
                        whose.agent = Some(accepted.agent);
                        whose.session = Some(accepted.session.clone());
                        whose.tenant = self.agents.get(&accepted.agent).map(|(_, tenant, _)| tenant.clone());
                        input = Some((accepted.input, place));
                    }
                    Ok(Said::Run(EntryKind::Started(started))) => {
                        begun_with = Some((started.kind_version, place))
                    }
                    Ok(_) => {}
                    Err(error) => self.unread(error, place, &whose),
                }
            }
        }
        if !is_open {
            return;
        }
        if let Some((input, place)) = input {
            self.value(&input, place, &whose).await;
        }
        let here = whose.agent.and_then(|agent| self.kind_of(&agent)).map(|hosted| hosted.kind.version());
        if let (Some((begun, place)), Some(here)) = (begun_with, here)
            && begun != here
        {
            let what = format!(
                "the run began with version {begun} of its kind, and this program has {here}: it waits until code of \
                 version {begun} is here, or somebody cancels it"
            );
            self.problem(LiveSort::KindVersion, place, what, &whose);
        }
    }
}

impl Visit for Look<'_> {
    type Error = std::convert::Infallible;

    async fn cell(&mut self, key: Key, cell: Cell) -> Result<(), Self::Error> {
        let (sort, whose) = cell_sort(&key);
        let place = DamagedPlace::Cell { path: key.path };
        match decode_cell(sort, &cell.value) {
            Err(error) => self.unread(error, place, &whose),
            Ok(CellRecord::Open(_)) => {
                self.live.open_runs += 1;
                self.open.extend(whose.run);
            }
            Ok(CellRecord::State(state)) => self.value(&state.value, place, &whose).await,
            Ok(CellRecord::Spec(_, spec)) if sort == CellSort::Spec => {
                self.live.agents += 1;
                let kind = self.kinds.iter().position(|hosted| hosted.kind.name() == spec.kind);
                if let (Some(agent), Some(tenant)) = (whose.agent, whose.tenant.clone()) {
                    self.agents.insert(agent, (spec.name.clone(), tenant, kind));
                }
                match kind.map(|kind| self.kinds[kind].kind.check(&spec)) {
                    None => {
                        let what = format!(
                            "this program has no kind `{}`: its runs would wait until it is here",
                            spec.kind
                        );
                        self.problem(LiveSort::UnknownKind, place, what, &whose);
                    }
                    Some(Err(error)) => self.problem(LiveSort::Declaration, place, error.to_string(), &whose),
                    Some(Ok(())) => {}
                }
            }
            Ok(_) => {}
        }
        Ok(())
    }

    async fn log(&mut self, extent: LogExtent) -> Result<(), Self::Error> {
        let (sort, whose) = log_sort(&extent.log);
        if sort == LogSort::Run {
            self.run(extent, whose).await;
            return Ok(());
        }
        let path = extent.log.path.clone();
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.store).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: path.clone(), seq: seq.0 };
                match read.map(|bytes| read_entry(sort, seq, &bytes)) {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => self.unread(error, place, &whose),
                    Err(error) => self.problem(LiveSort::Damaged, place, Fault::from(&error).what, &whose),
                }
            }
        }
        Ok(())
    }

    async fn unreadable(&mut self, place: DamagedPlace, error: &StateError) -> Result<(), Self::Error> {
        let whose = place.whose(self.partition);
        self.problem(LiveSort::Damaged, place, Fault::from(error).what, &whose);
        Ok(())
    }
}
