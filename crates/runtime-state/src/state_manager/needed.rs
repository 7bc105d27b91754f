//! Which contents snapshots need, and agents that are being put back.

use std::collections::HashSet;

use runtime_codec::file::FileContent;
use runtime_codec::{ContentRef, Due, keys, made_of};
use runtime_traits::content::Digest;
use runtime_traits::id::AgentId;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::Key;

use super::StateManager;
use super::contents::{Contents, record_in};
use super::walk::{Sort, below};

/// Cells that are read at once.
const PAGE: u32 = 100;

/// What is looked for, and what was looked at: snapshots share contents.
struct Search<'a> {
    hashes: &'a mut HashSet<Digest>,
    seen: HashSet<Digest>,
}

impl StateManager {
    /// Takes out of `hashes` what is needed.
    pub(super) async fn needed(
        &self,
        tenant: &Tenant,
        partition: Partition,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        let mut search = Search { hashes, seen: HashSet::new() };
        let mut after: Option<Key> = None;
        while !search.hashes.is_empty() {
            let page = self.store.scan(&keys::snapshots_all(partition, tenant), after.as_ref(), PAGE).await?;
            for (key, _) in &page {
                let damaged = || RuntimeError::Damaged { what: format!("`{key}`") };
                let state = keys::of_snapshot(key).ok_or_else(damaged)?;
                match self.frozen(tenant, &state).await {
                    Ok(frozen) => search.through(&frozen.contents, frozen.list).await?,
                    // Deleted just now.
                    Err(RuntimeError::UnknownState { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        let mut after: Option<Key> = None;
        while !search.hashes.is_empty() {
            let page = self.store.scan(&keys::restoring_all(partition), after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let Due::Restore { tenant: of, agent, sessions, .. } = record_in(key, cell)? else {
                    continue;
                };
                if of == *tenant {
                    let contents = self.contents_of(tenant, &AgentId::from_parts(partition, agent.unique()));
                    search.through(&contents, sessions).await?;
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        Ok(())
    }
}

impl Search<'_> {
    /// Goes through all that a list of conversations refers to. Large contents refer to nothing, and are not read.
    async fn through(&mut self, contents: &Contents, list: ContentRef) -> Result<(), RuntimeError> {
        let mut todo: Vec<(Sort, FileContent)> = vec![(Sort::List, made_of(&list))];
        while let Some((sort, what)) = todo.pop() {
            if !self.seen.insert(what.hash) {
                continue;
            }
            self.hashes.remove(&what.hash);
            if sort != Sort::Large {
                let bytes = contents.read(&what).await?;
                todo.extend(below(sort, &what, &bytes)?);
            }
        }
        Ok(())
    }
}
