//! Reading what is stored: cells, logs, sessions.

use std::collections::HashMap;

use runtime_codec::{CodecError, Record, StateRecord, decode, decode_entry};
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Ended, Entry, EntryKind, Head, RunView};
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{Finished, RuntimeError};
use runtime_traits::store::{Cell, Key, Log, Seq};

use super::inner::Inner;
use crate::engine::batches::{Conversation, Place};
use crate::engine::keys;
use crate::engine::machine::payload_of;
use crate::engine::session::Known;

/// Entries or cells in one page.
pub(super) const PAGE: u32 = 512;

impl Inner {
    /// A cell's record.
    pub(super) async fn record<R: Record>(&self, key: &Key) -> Result<Option<R>, RuntimeError> {
        let cell = self.store.get(std::slice::from_ref(key)).await?.pop().flatten();
        cell.map(|cell| read(key, &cell)).transpose()
    }

    /// All cells under a prefix.
    pub(super) async fn cells(&self, under: &Key) -> Result<Vec<(Key, Cell)>, RuntimeError> {
        let mut cells: Vec<(Key, Cell)> = Vec::new();
        loop {
            let page = self.store.scan(under, cells.last().map(|(key, _)| key), PAGE).await?;
            let done = page.len() < PAGE as usize;
            cells.extend(page);
            if done {
                return Ok(cells);
            }
        }
    }

    /// The entries of a run's log from `from` on; empty when there is no such run.
    pub(super) async fn entries(&self, run: &RunId, from: Seq) -> Result<Vec<Entry>, RuntimeError> {
        let log = keys::run_log(run);
        let mut entries = Vec::new();
        let mut from = from;
        loop {
            let tail = self.store.read(&log, from, PAGE).await?;
            let count = tail.entries.len();
            for (bytes, seq) in tail.entries.iter().zip(tail.first.0..) {
                entries.push(decode_entry(Seq(seq), bytes).map_err(|error| unreadable(&log, &error))?);
            }
            from = Seq(tail.first.0 + count as u64);
            if from >= tail.next || count == 0 {
                return Ok(entries);
            }
        }
    }

    /// The first entries of a run's log.
    pub(super) async fn entries_upto(&self, run: &RunId, most: u32) -> Result<Vec<Entry>, RuntimeError> {
        let log = keys::run_log(run);
        let tail = self.store.read(&log, Seq::FIRST, most).await?;
        let entries = tail.entries.iter().zip(tail.first.0..);
        entries
            .map(|(bytes, seq)| decode_entry(Seq(seq), bytes).map_err(|error| unreadable(&log, &error)))
            .collect()
    }

    /// A run's log and what it says.
    pub(super) async fn run_log(&self, run: &RunId) -> Result<(Vec<Entry>, RunView), RuntimeError> {
        if !self.checked(run.partition()) {
            return Err(RuntimeError::UnknownRun { run: *run });
        }
        let entries = self.entries(run, Seq::FIRST).await?;
        match RunView::of(*run, &entries) {
            Some(view) => Ok((entries, view)),
            None => Err(self.without_log(run, !entries.is_empty()).await?),
        }
    }

    /// The contents of a log that are kept beside it.
    pub(super) async fn contents(
        &self,
        tenant: &Tenant,
        partition: Partition,
        log: &[Entry],
    ) -> Result<HashMap<Digest, Content>, RuntimeError> {
        let mut contents = HashMap::new();
        for payload in log.iter().filter_map(|entry| payload_of(&entry.kind)) {
            if let Payload::Blob { hash, .. } = payload
                && !contents.contains_key(hash)
            {
                contents.insert(*hash, self.resolve(tenant, partition, payload).await?);
            }
        }
        Ok(contents)
    }

    /// Where a session's conversation ends, and what its last run left.
    pub(super) async fn session(&self, place: &Place) -> Result<Known, RuntimeError> {
        let Place { tenant, agent, session, .. } = place;
        let keys = [keys::head(tenant, agent, session), keys::state(tenant, agent, session)];
        let mut cells = self.store.get(&keys).await?.into_iter();
        let head = cells.next().flatten().map(|cell| read::<Head>(&keys[0], &cell)).transpose()?;
        let state = cells.next().flatten().map(|cell| read::<StateRecord>(&keys[1], &cell)).transpose()?;
        let tail = self.store.read(&keys::messages(tenant, agent, session), Seq::FIRST, 1).await?;
        let conversation = Conversation { head, next: tail.next };
        Ok(Known { conversation, state: state.map(|record| record.value) })
    }

    /// What a run that is over came to.
    pub(super) async fn finished(
        &self,
        tenant: &Tenant,
        view: &RunView,
        log: &[Entry],
    ) -> Result<Option<Finished>, RuntimeError> {
        let Some(EntryKind::Ended(Ended { outcome, usage, .. })) = log.last().map(|entry| &entry.kind) else {
            return Ok(None);
        };
        let output = match outcome {
            runtime_traits::Outcome::Completed(output) => {
                Some(self.resolve(tenant, view.run.partition(), output).await?)
            }
            _ => None,
        };
        Ok(Some(Finished {
            run: view.run,
            agent: view.agent,
            session: view.session.clone(),
            outcome: outcome.clone(),
            output,
            usage: *usage,
        }))
    }
}

/// Reads a cell's record.
pub(super) fn read<R: Record>(key: &Key, cell: &Cell) -> Result<R, RuntimeError> {
    decode(&cell.value).map_err(|error| match error {
        CodecError::Newer { .. } => RuntimeError::Newer { what: format!("`{key}`") },
        error => RuntimeError::Damaged { what: format!("`{key}` ({error})") },
    })
}

fn unreadable(log: &Log, error: &CodecError) -> RuntimeError {
    match error {
        CodecError::Newer { .. } => RuntimeError::Newer { what: format!("`{log}`") },
        error => RuntimeError::Damaged { what: format!("`{log}` ({error})") },
    }
}
