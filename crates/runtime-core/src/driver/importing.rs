//! Where a snapshot file belongs: its first part says that, before a content of it is read.

use futures_util::{StreamExt, stream};
use runtime_codec::file::{FileReader, Part};
use runtime_codec::{Manifest, decode};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::SnapshotFile;

/// Reads the begin of a file, however long that takes to come. The partition is `None` where it does not say it: whoever
/// imports the file, which is given back from its begin on, says what is wrong with it.
pub(super) async fn partition_of(
    file: SnapshotFile,
    pool: Pool,
) -> Result<(Option<Partition>, SnapshotFile), RuntimeError> {
    // Asked again after its end, by whom it is given back to.
    let mut file = file.fuse();
    let mut reader = FileReader::new();
    // As much as one part at most.
    let mut read = Vec::new();
    let manifest: Option<Manifest> = loop {
        match reader.next_part() {
            Ok(Some(Part::Manifest(bytes))) => break decode(&bytes).ok(),
            Ok(Some(_)) | Err(_) => break None,
            Ok(None) => {}
        }
        let Some(piece) = file.next().await else { break None };
        let piece = piece?;
        reader.feed(&piece);
        read.push(piece);
    };
    let index = manifest.map(|manifest| manifest.agent.partition().index);
    let partition = index.filter(|index| *index < Partition::COUNT).map(|index| Partition { pool, index });
    Ok((partition, Box::pin(stream::iter(read.into_iter().map(Ok)).chain(file))))
}
