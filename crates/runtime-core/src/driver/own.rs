//! Ownership of partitions: a new token in the owner's cell, with which every write is fenced.

use runtime_codec::{CodecError, OwnerRecord, decode, encode};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, StateError, Then, Token, When};

use super::inner::{Inner, Owner};
use crate::engine::batches::Writes;
use crate::engine::keys;

impl Inner {
    /// The proof that this process owns `partition`, which it claims at the first use.
    pub(super) async fn own(&self, partition: Partition) -> Result<Owner, StateError> {
        let owner = &self.home(partition).owner;
        if let Some(owner) = owner.get() {
            return Ok(*owner);
        }
        // What happens once is kept out of the futures of what happens always.
        Box::pin(owner.get_or_try_init(|| self.claim(partition))).await.copied()
    }

    async fn claim(&self, partition: Partition) -> Result<Owner, StateError> {
        let own = keys::own(partition);
        let before = self.store.get(std::slice::from_ref(&own)).await?.pop().flatten();
        let epoch = match &before {
            None => 1,
            Some(cell) => epoch_of(cell).map_err(|error| damaged(&own, &error))? + 1,
        };
        let mut token = [0; 16];
        self.entropy.fill(&mut token);
        let record = encode(&OwnerRecord { epoch, node: self.node, since: self.clock.now() });
        let value = [&token[..], &record].concat();
        let when = match before {
            None => When::Absent(own.clone()),
            Some(cell) => When::Revision(own.clone(), cell.revision),
        };
        let writes = Writes::of(vec![when], vec![Then::Put(own, value.into())]);
        self.commit_unfenced(partition, writes).await?;
        Ok(Owner { token: Token(token), epoch })
    }
}

fn epoch_of(cell: &Cell) -> Result<u64, CodecError> {
    let record = cell.value.get(16..).unwrap_or_default();
    decode::<OwnerRecord>(record).map(|owner| owner.epoch)
}

fn damaged(what: &runtime_traits::store::Key, error: &CodecError) -> StateError {
    StateError::Damaged { what: format!("`{what}`: {error}") }
}
