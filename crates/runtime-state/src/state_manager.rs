//! `StateManager`: snapshots of agents, over any store.

mod chain;
mod contents;
mod export;
mod frozen;
mod import;
mod needed;
mod place;
mod restore;
mod save;
mod unfenced;
mod walk;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use runtime_codec::keys;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::name::Tenant;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::{
    PartitionOwner, Save, SnapshotDiff, SnapshotFile, SnapshotInfo, SnapshotSession, SnapshotView, Snapshots,
};
use runtime_traits::store::{Cell, Key, StateError, StateStore, Then, When};
use uuid::Uuid;

pub use unfenced::Unfenced;

use frozen::info_in;

use crate::verify::listing::Listing;

/// Makes, lists, compares and restores snapshots of agents, over any store.
///
/// A snapshot is a small manifest over contents that are kept under their hashes: a save writes what is new since the
/// last one, whatever the length of the conversations. [`RuntimeManager`] does with it what people ask for; alone, over a
/// store that no runtime works, it writes through [`Unfenced`].
///
/// [`RuntimeManager`]: https://docs.rs/agent-runtime
#[derive(Clone, Debug)]
pub struct StateManager {
    store: Arc<dyn StateStore>,
}

impl StateManager {
    /// The snapshots of a store.
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store }
    }

    /// Where snapshots are that are listed.
    async fn homes(&self, agent: Option<&AgentId>) -> Result<Vec<Partition>, RuntimeError> {
        match agent {
            Some(agent) => Ok(vec![agent.partition()]),
            None => {
                let mut homes = self.store.partitions().await?;
                homes.sort_unstable();
                Ok(homes)
            }
        }
    }

    /// The snapshots of a partition behind `after`, until there are enough.
    async fn list_in(
        &self,
        under: &Key,
        mut after: Option<Key>,
        agent: Option<&AgentId>,
        limit: usize,
        found: &mut Vec<SnapshotInfo>,
    ) -> Result<(), RuntimeError> {
        const PAGE: u32 = 100;
        let mut limit_of_page = PAGE;
        while found.len() < limit {
            let page = match self.store.scan(under, after.as_ref(), limit_of_page).await {
                Ok(page) => page,
                // The page is read again one by one, up to what is wrong with it.
                Err(StateError::Damaged { .. }) if limit_of_page > 1 => {
                    limit_of_page = 1;
                    continue;
                }
                Err(error @ StateError::Damaged { .. }) => {
                    after = Some(self.past_damaged(under, after, error).await?);
                    limit_of_page = PAGE;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_last = page.len() < limit_of_page as usize;
            for (key, cell) in &page {
                let info = match info_in(key, cell) {
                    Ok(info) => info,
                    Err(error) => {
                        tracing::error!(snapshot = %key, %error, "a snapshot cannot be read and is not listed");
                        continue;
                    }
                };
                if agent.is_none_or(|agent| info.agent == *agent) && found.len() < limit {
                    found.push(info);
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) if !is_last => after = Some(key),
                _ => break,
            }
        }
        Ok(())
    }

    /// The key of the manifest behind `after` that the store does not show. What is wrong with more than that one is an
    /// error.
    async fn past_damaged(
        &self,
        under: &Key,
        after: Option<Key>,
        error: StateError,
    ) -> Result<Key, RuntimeError> {
        let (partition, before) = (under.partition, after.map_or(under.path.clone(), |after| after.path));
        let found = Listing::Cells.damaged_after(&*self.store, partition, Some(&before), &error).await;
        match found {
            Some(path) if path.as_bytes().starts_with(under.path.as_bytes()) => {
                let key = Key { partition, path };
                tracing::error!(snapshot = %key, %error, "a snapshot cannot be read and is not listed");
                Ok(key)
            }
            _ => Err(error.into()),
        }
    }
}

#[async_trait]
impl Snapshots for StateManager {
    async fn save(
        &self,
        tenant: &Tenant,
        save: Save,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        self.freeze(tenant, save, owner).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        agent: Option<&AgentId>,
        after: Option<&StateId>,
        limit: u32,
    ) -> Result<Vec<SnapshotInfo>, RuntimeError> {
        let mut found = Vec::new();
        for home in self.homes(agent).await? {
            let after = match after {
                Some(after) if home < after.partition() => continue,
                Some(after) if home == after.partition() => Some(keys::snapshot(tenant, after)),
                _ => None,
            };
            let under = keys::snapshots_all(home, tenant);
            self.list_in(&under, after, agent, limit as usize, &mut found).await?;
        }
        Ok(found)
    }

    async fn describe(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotView, RuntimeError> {
        let frozen = self.frozen(tenant, state).await?;
        let sessions = frozen.sessions().await?.into_iter().map(|session| SnapshotSession {
            messages: session.messages(),
            bytes: session.bytes(),
            name: session.session,
            state: session.state,
        });
        Ok(SnapshotView {
            info: frozen.info()?,
            revision: frozen.manifest.revision,
            kind_version: frozen.manifest.kind_version,
            spec: frozen.manifest.spec.clone(),
            sessions: sessions.collect(),
        })
    }

    async fn diff(
        &self,
        tenant: &Tenant,
        before: &StateId,
        after: &StateId,
    ) -> Result<SnapshotDiff, RuntimeError> {
        let (before, after) = (self.frozen(tenant, before).await?, self.frozen(tenant, after).await?);
        chain::diff(&before, &after).await
    }

    async fn fill(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        self.fill_new(tenant, state, agent, owner).await
    }

    async fn put_back(
        &self,
        tenant: &Tenant,
        state: &StateId,
        agent: &AgentId,
        at: UnixMillis,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        self.begin_to_put_back(tenant, state, agent, at, owner).await?;
        self.go_on(tenant, agent, owner).await?;
        Ok(())
    }

    async fn finish(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        owner: &dyn PartitionOwner,
    ) -> Result<bool, RuntimeError> {
        self.go_on(tenant, agent, owner).await
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        state: &StateId,
        owner: &dyn PartitionOwner,
    ) -> Result<(), RuntimeError> {
        // Not its manifest, which may be damaged.
        let key = keys::snapshot(tenant, state);
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let Cell { revision, .. } = cell.ok_or(RuntimeError::UnknownState { state: *state })?;
        let when = vec![When::Revision(key.clone(), revision)];
        match owner.commit(key.partition, when, vec![Then::Delete(key)]).await {
            Ok(_) => Ok(()),
            Err(StateError::Conflict { .. }) => Err(RuntimeError::UnknownState { state: *state }),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep_needed(
        &self,
        tenant: &Tenant,
        partition: Partition,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        self.needed(tenant, partition, hashes).await
    }

    async fn export(&self, tenant: &Tenant, state: &StateId) -> Result<SnapshotFile, RuntimeError> {
        Ok(export::file(self.frozen(tenant, state).await?))
    }

    async fn import(
        &self,
        tenant: &Tenant,
        pool: Pool,
        unique: Uuid,
        file: SnapshotFile,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        self.take_in(tenant, pool, unique, file, owner).await
    }
}
