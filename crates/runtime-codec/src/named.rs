//! Which contents a record names.

use runtime_traits::content::{Digest, Media, Payload};
use runtime_traits::log::{EntryKind, Message, Outcome, Verdict};

use crate::cells::CellRecord;
use crate::file::FileContent;
use crate::mail::Mail;
use crate::records::Due;
use crate::snapshot::{ContentRef, Kept};

/// The content that a payload names, if it is kept beside the log.
pub fn beside(payload: &Payload) -> Option<FileContent> {
    match payload {
        Payload::Inline(_) => None,
        Payload::Blob { hash, len, media } => {
            Some(FileContent { hash: *hash, len: *len, media: Some(*media) })
        }
    }
}

/// The contents that an entry of a run's log names.
pub fn named_by_entry(kind: &EntryKind) -> Option<FileContent> {
    beside(match kind {
        EntryKind::Accepted(accepted) => &accepted.input,
        EntryKind::StepOpened(opened) => &opened.request,
        EntryKind::StepSettled(settled) => settled.result.as_ref().ok()?,
        EntryKind::StepDecided(decided) => match &decided.verdict {
            Verdict::Assume(value) => value,
            Verdict::Repeat | Verdict::Fail => return None,
        },
        EntryKind::StateSet(set) => &set.value,
        EntryKind::WaitClosed(closed) => &closed.answer,
        EntryKind::Ended(ended) => match &ended.outcome {
            Outcome::Completed(output) => output,
            _ => return None,
        },
        _ => return None,
    })
}

/// The content that a message names.
pub fn named_by_message(message: &Message) -> Option<FileContent> {
    beside(&message.content)
}

/// The content that a mail names. It is kept in the sender's partition.
pub fn named_by_mail(mail: &Mail) -> Option<FileContent> {
    match mail {
        Mail::Start(child) => beside(&child.input),
        Mail::Over { result, .. } => beside(result.as_ref().ok()?),
        Mail::Cancel { .. } => None,
    }
}

/// The content that a cell names by itself. What a snapshot names is more than that: see [`Kept`].
pub fn named_by_cell(record: &CellRecord) -> Option<FileContent> {
    match record {
        CellRecord::State(state) => beside(&state.value),
        CellRecord::Due(Due::Restore { sessions, .. }) => Some(made_of(sessions)),
        CellRecord::Snapshot(manifest) => match &manifest.kept {
            Kept::List(list) => Some(made_of(list)),
            Kept::Here(_) => None,
        },
        _ => None,
    }
}

/// What snapshots are made of, as content.
pub fn made_of(at: &ContentRef) -> FileContent {
    FileContent { hash: at.hash, len: at.len, media: None }
}

/// The hash of content that comes in pieces.
#[derive(Clone, Debug)]
pub struct Hashing(blake3::Hasher);

impl Hashing {
    /// Begins the hash of content that is read like this; `None` for what snapshots are made of.
    pub fn new(media: Option<Media>) -> Self {
        let mut hasher = blake3::Hasher::new();
        if let Some(media) = media {
            hasher.update(&[media as u8]);
        }
        Self(hasher)
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}
