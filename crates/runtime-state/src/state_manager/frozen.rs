//! A snapshot that is read.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use runtime_codec::{
    ContentRef, IndexRef, Kept, Manifest, SavedSession, Segment, SegmentIndex, SegmentRef, SessionList,
    SessionPage, decode, encode, keys,
};
use runtime_traits::agent::AgentSpec;
use runtime_traits::content::Digest;
use runtime_traits::id::StateId;
use runtime_traits::log::Message;
use runtime_traits::name::Tenant;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::SnapshotInfo;
use runtime_traits::store::{Cell, Key, Revision};

use super::StateManager;
use super::contents::{Contents, damaged, record_in};
use super::walk::Walk;

/// Conversations in a page.
pub(super) const PAGE: usize = 64;

/// A snapshot that is read. Its conversations are in a list, also where an older version put them elsewhere.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) key: Key,
    pub(super) revision: Revision,
    pub(super) manifest: Manifest,
    pub(super) list: ContentRef,
    pub(super) contents: Contents,
}

impl StateManager {
    /// Reads a snapshot's manifest.
    pub(super) async fn frozen(&self, tenant: &Tenant, state: &StateId) -> Result<Frozen, RuntimeError> {
        let key = keys::snapshot(tenant, state);
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let cell = cell.ok_or(RuntimeError::UnknownState { state: *state })?;
        let mut manifest = manifest_in(&key, &cell)?;
        let mut made = HashMap::new();
        let list = match manifest.kept {
            Kept::List(list) => list,
            Kept::Here(sessions) => listed(&sessions, &mut made),
        };
        manifest.kept = Kept::List(list);
        let contents = Contents {
            store: Arc::clone(&self.store),
            tenant: tenant.clone(),
            partition: key.partition,
            made: Arc::new(made),
        };
        Ok(Frozen { key, revision: cell.revision, manifest, list, contents })
    }
}

impl Frozen {
    pub(super) fn info(&self) -> Result<SnapshotInfo, RuntimeError> {
        info_of(&self.key, &self.manifest)
    }

    pub(super) async fn sessions(&self) -> Result<Vec<SavedSession>, RuntimeError> {
        sessions_in(&self.contents, &self.list).await
    }

    /// Everything that the snapshot is made of, content by content.
    pub(super) fn walk(&self) -> Walk {
        Walk::new(self.contents.clone(), self.list)
    }
}

/// The conversations in a list.
pub(super) async fn sessions_in(
    contents: &Contents,
    list: &ContentRef,
) -> Result<Vec<SavedSession>, RuntimeError> {
    let mut sessions = Vec::new();
    for page in contents.record::<SessionList>(list).await?.pages {
        sessions.extend(contents.record::<SessionPage>(&page).await?.sessions);
    }
    Ok(sessions)
}

/// The segments of a conversation, in their order.
pub(super) async fn segments_in(
    contents: &Contents,
    session: &SavedSession,
) -> Result<Vec<SegmentRef>, RuntimeError> {
    let mut segments = Vec::new();
    for index in &session.sealed {
        segments.extend(contents.record::<SegmentIndex>(&at_index(index)).await?.segments);
    }
    segments.extend(&session.open);
    Ok(segments)
}

/// The entries of a log that a segment has.
pub(super) async fn entries_in(
    contents: &Contents,
    segment: &SegmentRef,
) -> Result<Vec<Bytes>, RuntimeError> {
    let Segment { messages } = contents.record(&at_segment(segment)).await?;
    if messages.len() == segment.messages as usize { Ok(messages) } else { Err(damaged(&segment.hash)) }
}

/// The messages of a segment, with their numbers.
pub(super) async fn messages_in(
    contents: &Contents,
    segment: &SegmentRef,
) -> Result<Vec<(u64, Message)>, RuntimeError> {
    let messages = entries_in(contents, segment).await?;
    let read = |(bytes, seq): (Bytes, u64)| match decode::<Message>(&bytes) {
        Ok(message) => Ok((seq, message)),
        Err(_) => Err(damaged(&segment.hash)),
    };
    messages.into_iter().zip(segment.first..).map(read).collect()
}

pub(super) fn at_index(index: &IndexRef) -> ContentRef {
    ContentRef { hash: index.hash, len: index.len }
}

pub(super) fn at_segment(segment: &SegmentRef) -> ContentRef {
    ContentRef { hash: segment.hash, len: segment.len }
}

/// Puts conversations into pages and these into a list, as a save does.
fn listed(sessions: &[SavedSession], made: &mut HashMap<Digest, Bytes>) -> ContentRef {
    let mut make = |bytes: Bytes| {
        let at = ContentRef { hash: Digest::of(&bytes), len: bytes.len() as u64 };
        made.insert(at.hash, bytes);
        at
    };
    let pages =
        sessions.chunks(PAGE).map(|sessions| make(encode(&SessionPage { sessions: sessions.to_vec() })));
    let pages = pages.collect();
    make(encode(&SessionList { pages }))
}

fn manifest_in(key: &Key, cell: &Cell) -> Result<Manifest, RuntimeError> {
    record_in(key, cell)
}

/// A snapshot in a line, from its manifest's cell.
pub(super) fn info_in(key: &Key, cell: &Cell) -> Result<SnapshotInfo, RuntimeError> {
    info_of(key, &manifest_in(key, cell)?)
}

/// A snapshot in a line.
pub(super) fn info_of(key: &Key, manifest: &Manifest) -> Result<SnapshotInfo, RuntimeError> {
    let state = keys::of_snapshot(key).ok_or_else(|| RuntimeError::Damaged { what: format!("`{key}`") })?;
    let AgentSpec { name, kind, .. } = spec_in(&manifest.spec)?;
    let Manifest { agent, at, sessions, messages, bytes, .. } = *manifest;
    Ok(SnapshotInfo { state, agent, name, kind, at, sessions, messages, bytes })
}

/// A declaration.
pub(super) fn spec_in(json: &str) -> Result<AgentSpec, RuntimeError> {
    serde_json::from_str(json)
        .map_err(|error| RuntimeError::Damaged { what: format!("an agent's declaration ({error})") })
}
