//! A batch that is submitted again while it is not known what became of it.

use runtime_traits::store::{Batch, Committed, StateError, StateStore};

/// How often a batch is submitted in all.
const TIMES: u32 = 4;

/// Commits a batch; submits it again when the answer was lost, or the store was away. The same batch is applied once.
pub(crate) async fn commit(store: &dyn StateStore, batch: Batch) -> Result<Committed, StateError> {
    let mut lost = None;
    for _ in 0..TIMES {
        match store.commit(batch.clone()).await {
            // Nothing was written this time, and nobody knows about the time before.
            Err(error @ (StateError::Unknown { .. } | StateError::Unavailable { .. })) => match lost {
                Some(StateError::Unknown { .. }) => {}
                _ => lost = Some(error),
            },
            answer => return answer,
        }
    }
    Err(lost.unwrap_or(StateError::Unknown { batch: batch.id.0 }))
}
