//! A store of which single values are damaged: other bytes, bytes that cannot be read, or nothing at all.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Cell, Committed, Key, Log, LogExtent, Seq, StateError, StateStore, StoreProfile, Tail,
};

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Its last byte is gone.
    Cut,
    /// The store does not show it.
    Unreadable,
    /// It is not there: cells only.
    Missing,
}

/// A store with harmed values.
#[derive(Debug)]
pub(crate) struct Harmed {
    pub(crate) inner: Arc<dyn StateStore>,
    pub(crate) cells: HashMap<Key, Harm>,
    pub(crate) entries: HashMap<(Log, Seq), Harm>,
}

impl Harmed {
    pub(crate) fn over(inner: Arc<dyn StateStore>) -> Self {
        Self { inner, cells: HashMap::new(), entries: HashMap::new() }
    }

    fn cell(&self, key: &Key, cell: Cell) -> Result<Option<Cell>, StateError> {
        match self.cells.get(key) {
            None => Ok(Some(cell)),
            Some(Harm::Cut) => Ok(Some(Cell { value: cut(&cell.value), ..cell })),
            Some(Harm::Missing) => Ok(None),
            Some(Harm::Unreadable) => Err(StateError::Damaged { what: format!("the cell `{key}`") }),
        }
    }
}

fn cut(bytes: &Bytes) -> Bytes {
    let cut = bytes.slice(..bytes.len().saturating_sub(1));
    if cut.is_empty() { "x".into() } else { cut }
}

#[async_trait]
impl StateStore for Harmed {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        let cells = self.inner.get(keys).await?;
        let each = keys.iter().zip(cells).map(|(key, cell)| match cell {
            Some(cell) => self.cell(key, cell),
            None => Ok(None),
        });
        each.collect()
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        let mut found = Vec::new();
        let mut after = after.cloned();
        while found.len() < limit as usize {
            let page = self.inner.scan(under, after.as_ref(), 1).await?;
            let Some((key, cell)) = page.into_iter().next() else { break };
            after = Some(key.clone());
            found.extend(self.cell(&key, cell)?.map(|cell| (key, cell)));
        }
        Ok(found)
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        let mut tail = self.inner.read(log, from, limit).await?;
        for (entry, seq) in tail.entries.iter_mut().zip(tail.first.0..) {
            match self.entries.get(&(log.clone(), Seq(seq))) {
                Some(Harm::Cut) => *entry = cut(entry),
                Some(_) => {
                    return Err(StateError::Damaged { what: format!("entry {seq} of the log `{log}`") });
                }
                None => {}
            }
        }
        Ok(tail)
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.inner.logs(under, after, limit).await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}
