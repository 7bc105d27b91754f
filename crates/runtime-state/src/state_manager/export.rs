//! A snapshot as one file.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use runtime_codec::encode;
use runtime_codec::file::FileWriter;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::SnapshotFile;

use super::frozen::Frozen;
use super::walk::Walk;

/// A file under way. It holds one content.
struct Export {
    walk: Walk,
    /// `None`: the end is written.
    file: Option<FileWriter>,
    pieces: VecDeque<Bytes>,
}

/// The file of a snapshot.
pub(super) fn file(frozen: Frozen) -> SnapshotFile {
    let (mut file, head) = FileWriter::new();
    let pieces = VecDeque::from([head, file.manifest(&encode(&frozen.manifest))]);
    let export = Export { walk: frozen.walk(), file: Some(file), pieces };
    Box::pin(try_unfold(export, |mut export| async move {
        let piece = export.next().await?;
        Ok(piece.map(|piece| (piece, export)))
    }))
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, RuntimeError> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            let Some(mut file) = self.file.take() else { return Ok(None) };
            match self.walk.next().await? {
                Some((what, bytes)) => {
                    self.pieces.extend(file.content(&what, &bytes));
                    self.file = Some(file);
                }
                None => self.pieces.push_back(file.end()),
            }
        }
    }
}
