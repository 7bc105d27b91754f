//! Taking a snapshot in from a file: contents as they come, each compared with its hash, and the manifest last.

use bytes::BytesMut;
use futures_util::StreamExt;
use runtime_codec::file::{FileContent, FileError, FileReader, Part};
use runtime_codec::{CodecError, ContentRef, Kept, Manifest, SegmentIndex, decode, encode, keys};
use runtime_traits::id::StateId;
use runtime_traits::name::Tenant;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::{PartitionOwner, SnapshotFile, SnapshotInfo};
use runtime_traits::store::{Then, When};
use std::sync::Arc;
use uuid::Uuid;

use super::StateManager;
use super::contents::Contents;
use super::frozen::{at_index, info_of, messages_in, segments_in, sessions_in};
use super::walk::Walk;
use super::writer::Writer;
use crate::sense;

/// The most bytes of a content: it is held in memory until its hash is known.
const CONTENT_LIMIT: u64 = 256 * 1024 * 1024;

/// The file as it is read.
struct Import {
    file: SnapshotFile,
    reader: FileReader,
    is_read: bool,
}

impl StateManager {
    pub(super) async fn take_in(
        &self,
        tenant: &Tenant,
        pool: Pool,
        unique: Uuid,
        file: SnapshotFile,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        let mut import = Import { file, reader: FileReader::new(), is_read: false };
        let Some(Part::Manifest(bytes)) = import.next().await? else {
            return Err(bad("it does not begin with a manifest"));
        };
        let manifest: Manifest = decode(&bytes).map_err(|error| refusal(error.into()))?;
        let (Kept::List(list), index) = (&manifest.kept, manifest.agent.partition().index) else {
            return Err(bad("its manifest is of an older version"));
        };
        if index >= Partition::COUNT {
            return Err(bad("its agent has no partition"));
        }
        let state = StateId::from_parts(Partition { pool, index }, unique);
        let key = keys::snapshot(tenant, &state);
        let info = info_of(&key, &manifest).map_err(|error| bad(error.to_string()))?;
        let contents = Contents {
            store: Arc::clone(&self.store),
            tenant: tenant.clone(),
            partition: key.partition,
            made: Arc::default(),
        };
        let mut writer = Writer::new(&contents, owner);
        while let Some(part) = import.next().await? {
            match part {
                Part::Content(what) => import.content(&what, &mut writer).await?,
                Part::End => {}
                Part::Manifest(_) | Part::Bytes(_) => return Err(bad("a part is where none belongs")),
            }
        }
        writer.flush().await?;
        every_content(&contents, list).await?;
        every_number(&contents, list, &manifest).await?;
        let when = vec![When::Absent(key.clone())];
        owner.commit(key.partition, when, vec![Then::Put(key, encode(&manifest))]).await?;
        Ok(info)
    }
}

impl Import {
    /// The next part; `None` once the file is read and whole.
    async fn next(&mut self) -> Result<Option<Part>, RuntimeError> {
        loop {
            if let Some(part) = self.reader.next_part().map_err(refusal)? {
                return Ok(Some(part));
            }
            if self.is_read {
                self.reader.finish().map_err(refusal)?;
                return Ok(None);
            }
            match self.file.next().await {
                Some(piece) => self.reader.feed(&piece?),
                None => self.is_read = true,
            }
        }
    }

    /// Reads a content and keeps it, if it is what its hash says.
    async fn content(&mut self, what: &FileContent, writer: &mut Writer<'_>) -> Result<(), RuntimeError> {
        if what.len > CONTENT_LIMIT {
            let what_ = format!("the content `{}`", what.hash);
            return Err(RuntimeError::TooLarge { what: what_, size: what.len, limit: CONTENT_LIMIT });
        }
        let mut bytes = BytesMut::new();
        while (bytes.len() as u64) < what.len {
            let Some(Part::Bytes(piece)) = self.next().await? else {
                return Err(bad("a content is shorter than it says"));
            };
            bytes.extend_from_slice(&piece);
        }
        let bytes = bytes.freeze();
        if bytes.len() as u64 != what.len || what.digest_of(&bytes) != what.hash {
            return Err(bad(format!("the content `{}` is not what its hash says", what.hash)));
        }
        writer.put(what.hash, &bytes).await
    }
}

/// Sees that all that the snapshot refers to is there.
async fn every_content(contents: &Contents, list: &ContentRef) -> Result<(), RuntimeError> {
    let mut walk = Walk::new(contents.clone(), *list);
    loop {
        match walk.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(RuntimeError::Damaged { what }) => return Err(bad(format!("{what} is missing"))),
            Err(error) => return Err(error),
        }
    }
}

/// Sees that conversations and their messages follow one another, before anybody relies on it.
async fn every_number(
    contents: &Contents,
    list: &ContentRef,
    manifest: &Manifest,
) -> Result<(), RuntimeError> {
    let sessions = sessions_in(contents, list).await?;
    for session in &sessions {
        for index in &session.sealed {
            let SegmentIndex { segments } = contents.record(&at_index(index)).await?;
            sense::of_index(index, &segments).map_err(bad)?;
        }
        let segments = segments_in(contents, session).await?;
        sense::of_session(session, &segments).map_err(bad)?;
        for segment in &segments {
            let messages = messages_in(contents, segment).await?;
            if messages.iter().any(|(seq, message)| message.after.is_some_and(|after| after.0 >= *seq)) {
                return Err(bad(format!("a message of the segment `{}` follows a later one", segment.hash)));
            }
        }
    }
    sense::of_counts(manifest, &sessions).map_err(bad)
}

fn bad(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::BadSnapshotFile { reason: reason.into() }
}

fn refusal(error: FileError) -> RuntimeError {
    match error {
        FileError::Newer { .. } | FileError::Record(CodecError::Newer { .. }) => {
            RuntimeError::Newer { what: format!("the snapshot file ({error})") }
        }
        error => bad(error.to_string()),
    }
}
