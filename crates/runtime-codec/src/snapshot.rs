//! What snapshots are made of: a small manifest, and contents under their hashes that snapshots share.
//!
//! The manifest names a list of pages; a page holds conversations; a conversation names segments of messages, the older
//! ones through indexes. Each of these is content, kept like any other.

use bytes::Bytes;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::log::Head;
use runtime_traits::name::SessionName;
use serde::{Deserialize, Serialize};

use crate::error::CodecError;
use crate::old::ManifestV1;
use crate::record::{Record, decode_body};
use crate::records::record;

/// `t/<tenant>/snap/<state>`: the frozen state of an agent, at each session's last outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The agent that was saved.
    pub agent: AgentId,
    /// Its declaration's number.
    pub revision: u32,
    /// Its declaration, as JSON.
    pub spec: String,
    /// The version of its kind.
    pub kind_version: u32,
    /// When it was saved.
    pub at: UnixMillis,
    /// How many conversations it has.
    pub sessions: u32,
    /// How many messages these have.
    pub messages: u64,
    /// How many bytes messages and states have, without large contents beside them.
    pub bytes: u64,
    /// Where the conversations are.
    pub kept: Kept,
}

impl Record for Manifest {
    const TAG: u16 = 112;
    /// Version 2: the conversations are kept as content of their own.
    const VERSION: u16 = 2;
    const WHAT: &'static str = "snapshot";

    fn read_old(version: u16, body: &[u8]) -> Option<Result<Self, CodecError>> {
        (version == 1).then(|| decode_body::<ManifestV1>(Self::WHAT, body).map(Self::from))
    }
}

/// Where the conversations of a snapshot are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// In the manifest: as version 1 has it.
    Here(Vec<SavedSession>),
    /// In a [`SessionList`].
    List(ContentRef),
}

/// Bytes that are kept under their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentRef {
    /// The hash.
    pub hash: Digest,
    /// How many bytes.
    pub len: u64,
}

/// The pages of a snapshot's conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// Each a [`SessionPage`], ordered by the conversations' names.
    pub pages: Vec<ContentRef>,
}
record!(SessionList, 117, "session list");

/// Some conversations of a snapshot, ordered by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPage {
    /// The conversations.
    pub sessions: Vec<SavedSession>,
}
record!(SessionPage, 118, "session page");

/// A conversation in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    /// Its name.
    pub session: SessionName,
    /// Where it ends.
    pub head: Option<Head>,
    /// Its state.
    pub state: Option<Payload>,
    /// Its older messages: each names a [`SegmentIndex`].
    pub sealed: Vec<IndexRef>,
    /// Its later messages: each names a [`Segment`].
    pub open: Vec<SegmentRef>,
}

/// A segment, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// The hash under which it is kept.
    pub hash: Digest,
    /// How many bytes.
    pub len: u64,
    /// The number of its first message.
    pub first: u64,
    /// How many messages.
    pub messages: u32,
}

/// An index, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRef {
    /// The hash under which it is kept.
    pub hash: Digest,
    /// How many bytes.
    pub len: u64,
    /// The number of its first message.
    pub first: u64,
    /// How many messages its segments have.
    pub messages: u64,
    /// How many bytes these have.
    pub bytes: u64,
}

/// Segments that follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentIndex {
    /// The segments.
    pub segments: Vec<SegmentRef>,
}
record!(SegmentIndex, 119, "segment index");

/// Messages as they stand in the session's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The encoded messages.
    pub messages: Vec<Bytes>,
}
record!(Segment, 113, "segment");

/// `t/<tenant>/a/<agent>/saved`: which snapshot was made of the agent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSaved {
    /// The snapshot. It may be deleted by now.
    pub state: StateId,
}
record!(LastSaved, 120, "last snapshot");

impl SegmentRef {
    /// The number after that of its last message.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.messages))
    }
}

impl IndexRef {
    /// The number after that of its last message.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.messages)
    }
}

impl SavedSession {
    /// The number of the first message that the snapshot has of it.
    pub fn first(&self) -> Option<u64> {
        let sealed = self.sealed.first().map(|index| index.first);
        sealed.or_else(|| self.open.first().map(|segment| segment.first))
    }

    /// How many messages the conversation has.
    pub fn messages(&self) -> u64 {
        self.head.map_or(0, |head| head.messages)
    }

    /// How many bytes its messages and its state have, without large contents beside them.
    pub fn bytes(&self) -> u64 {
        let state = match &self.state {
            None => 0,
            Some(Payload::Inline(content)) => content.bytes.len() as u64,
            Some(Payload::Blob { len, .. }) => *len,
        };
        let sealed = self.sealed.iter().map(|index| index.bytes);
        let open = self.open.iter().map(|segment| segment.len);
        sealed.chain(open).fold(state, u64::saturating_add)
    }
}
