//! Writing without a runtime.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::clock::Entropy;
use runtime_traits::partition::Partition;
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Batch, BatchId, Committed, StateError, StateStore, Then, When};

use crate::again;

/// Writes to a store that no runtime works: nothing proves here that nobody else does.
#[derive(Debug)]
pub struct Unfenced {
    store: Arc<dyn StateStore>,
    entropy: Arc<dyn Entropy>,
}

impl Unfenced {
    /// Writes to `store`; the names of its batches are drawn from `entropy`.
    pub fn new(store: Arc<dyn StateStore>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, entropy }
    }
}

#[async_trait]
impl PartitionOwner for Unfenced {
    async fn commit(
        &self,
        partition: Partition,
        when: Vec<When>,
        then: Vec<Then>,
    ) -> Result<Committed, StateError> {
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let (id, durability) = (BatchId(u128::from_le_bytes(id)), self.store.profile().best);
        let batch = Batch { id, partition, fence: None, when, then, durability };
        again::commit(&*self.store, batch).await
    }
}
