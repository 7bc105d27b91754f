//! Contents that nothing names any more are taken away, a day after they were last asked for.
//!
//! What names contents is read, all of it: nothing is counted that could be wrong. Meanwhile nobody takes a name away or
//! carries one from one place to another (`names`), so that what is named at the begin is found wherever it is; what is
//! named anew renews its mark first, on whose revision the taking away depends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{
    ContentMark, Due, InboxMail, Mail, OutboxMail, Record, StateRecord, count_chunks, decode, decode_entry,
    encode,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Digest, Payload};
use runtime_traits::id::AgentId;
use runtime_traits::log::Message;
use runtime_traits::name::Tenant;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Key, Log, Revision, Seq, StateError, Then, When};

use super::blobs::GROUP;
use super::inner::Inner;
use super::load::{PAGE, read};
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;
use crate::engine::machine::{blob_of, names_of};

/// How long a content is kept that nothing names.
const UNNAMED: Duration = Duration::from_secs(DAY / 1000);
const DAY: u64 = 24 * 60 * 60 * 1000;
/// Contents that are looked for at once.
const AT_ONCE: usize = 10_000;
/// How often, and after how long, it is tried to be alone with the names of a partition.
const TRIES: u32 = 100;
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How long a caller waits while somebody is, and when it is worth to try again.
const SHARED_WITHIN: Duration = Duration::from_secs(5);
const AGAIN_IN: Duration = Duration::from_secs(30);
/// Groups of chunks that are taken away in one batch.
const GROUPS: usize = 8;

/// A content that may be taken away.
struct Old {
    mark: ContentMark,
    revision: Revision,
}

/// Somebody looks for contents without names there.
struct AtIt {
    inner: Arc<Inner>,
    what: (Partition, Tenant),
}

impl Drop for AtIt {
    fn drop(&mut self) {
        lock(&self.inner.sweeping).remove(&self.what);
    }
}

/// The cell with which contents are looked for that were asked for now: once a day for each partition, one after the other.
pub(super) fn sweep_later(tenant: &Tenant, partition: Partition, now: UnixMillis) -> Then {
    let offset = u64::from(partition.index) * (DAY / 256);
    let soonest = now.after(UNNAMED).0;
    let at = soonest + (offset + DAY - soonest % DAY) % DAY;
    let cell = keys::due(partition, UnixMillis(at), &format!("contents/{tenant}"));
    Then::Put(cell, encode(&Due::SweepContents { tenant: tenant.clone() }))
}

impl Inner {
    /// Begins to look for contents without names, if nobody is at it.
    pub(super) fn begin_sweeping(self: &Arc<Self>, due: &Key, revision: Revision, tenant: Tenant) {
        let partition = due.partition;
        if !lock(&self.sweeping).insert((partition, tenant.clone())) {
            return;
        }
        let (inner, due) = (Arc::clone(self), due.clone());
        let at_it = AtIt { inner: Arc::clone(self), what: (partition, tenant.clone()) };
        // Much is read: not where timers and cancels run.
        self.spawn_work(async move {
            // Also where a panic ends this.
            let _at_it = at_it;
            let swept = tokio::select! {
                swept = inner.sweep_contents(partition, &tenant) => swept,
                () = inner.ending.cancelled() => Ok(false),
            };
            if let Err(error) = inner.after_sweeping(&tenant, &due, revision, swept).await {
                tracing::warn!(%partition, %error, "contents without names stay for now; later again");
            }
        });
    }

    /// Sees to the next time. What could not be read is not read again before tomorrow.
    async fn after_sweeping(
        &self,
        tenant: &Tenant,
        due: &Key,
        revision: Revision,
        swept: Result<bool, RuntimeError>,
    ) -> Result<(), RuntimeError> {
        let partition = due.partition;
        match swept {
            Ok(true) => {}
            Ok(false) => {
                let late = keys::due_at(due).map(|at| self.clock.now().since(at)).unwrap_or_default();
                if late >= UNNAMED && !self.ending.is_cancelled() {
                    tracing::warn!(%partition, ?late, "contents without names could not be looked for: somebody restores, copies or imports all the time");
                }
                return Ok(());
            }
            Err(RuntimeError::Store(error)) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%partition, %error, "contents without names are kept, as it cannot be known which these are");
            }
        }
        let mut writes =
            Writes::of(vec![When::Revision(due.clone(), revision)], vec![Then::Delete(due.clone())]);
        if !self.store.scan(&keys::marks_all(partition, tenant), None, 1).await?.is_empty() {
            writes.then.push(sweep_later(tenant, partition, self.clock.now()));
        }
        match self.commit_now(partition, writes).await {
            Ok(_) | Err(StateError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sees that nobody looks for contents without names in a partition, for a caller who waits.
    ///
    /// # Errors
    /// [`RuntimeError::Busy`] when somebody looks for long.
    pub(super) async fn share_names(
        &self,
        partition: Partition,
    ) -> Result<tokio::sync::RwLockReadGuard<'_, ()>, RuntimeError> {
        let shared = tokio::time::timeout(SHARED_WITHIN, self.home(partition).names.read()).await;
        shared.map_err(|_| RuntimeError::Busy {
            what: format!("`{partition}`, whose contents without names are being looked for,"),
            limit: 1,
            retry_after: AGAIN_IN,
        })
    }

    /// Looks for contents without names and takes them away. `false`: not now, for somebody has names in hand; nobody
    /// waits for that, since whoever comes then would wait too.
    async fn sweep_contents(&self, partition: Partition, tenant: &Tenant) -> Result<bool, RuntimeError> {
        let names = &self.home(partition).names;
        let mut alone = names.try_write();
        for _ in 0..TRIES {
            if alone.is_ok() {
                break;
            }
            drop(alone);
            tokio::time::sleep(AGAIN_AFTER).await;
            alone = names.try_write();
        }
        let Ok(_alone) = alone else { return Ok(false) };
        let mut after = None;
        loop {
            let olds = self.old_contents(partition, tenant, &mut after).await?;
            let mut unnamed: HashSet<Digest> = olds.keys().copied().collect();
            if !unnamed.is_empty() {
                self.keep_named(partition, tenant, &mut unnamed).await?;
            }
            for hash in unnamed {
                self.take_away(partition, tenant, &hash, &olds[&hash]).await?;
            }
            if after.is_none() {
                return Ok(true);
            }
        }
    }

    /// Contents that nobody asked for within a day, behind `after`, which is then where to go on.
    async fn old_contents(
        &self,
        partition: Partition,
        tenant: &Tenant,
        after: &mut Option<Key>,
    ) -> Result<HashMap<Digest, Old>, RuntimeError> {
        let (under, now) = (keys::marks_all(partition, tenant), self.clock.now());
        let mut olds = HashMap::new();
        while olds.len() < AT_ONCE {
            let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let mark: ContentMark = read(key, cell)?;
                let (_, hash) = keys::of_mark(key).ok_or_else(|| damaged(key))?;
                if now.since(mark.at) >= UNNAMED {
                    olds.insert(hash, Old { mark, revision: cell.revision });
                }
            }
            *after = page.into_iter().next_back().map(|(key, _)| key);
            if after.is_none() {
                break;
            }
        }
        Ok(olds)
    }

    /// Takes those out of `hashes` that anything names.
    async fn keep_named(
        &self,
        partition: Partition,
        tenant: &Tenant,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        self.each_entry(&keys::run_logs(partition), hashes, |log, seq, bytes| {
            let entry = decode_entry(seq, bytes).map_err(|error| unreadable(log, seq, &error))?;
            names_of(&entry.kind).ok_or_else(|| RuntimeError::Newer { what: format!("`{log}` at {}", seq.0) })
        })
        .await?;
        self.each_entry(&keys::all_messages(partition, tenant), hashes, |log, seq, bytes| {
            let message: Message = decode(bytes).map_err(|error| unreadable(log, seq, &error))?;
            Ok(blob_of(&message.content))
        })
        .await?;
        self.keep_states(partition, tenant, hashes).await?;
        self.keep_mailed(partition, hashes).await?;
        match &self.snapshots {
            _ if hashes.is_empty() => Ok(()),
            Some(snapshots) => snapshots.keep_needed(tenant, partition, hashes).await,
            None => {
                // Nobody here can tell what snapshots need.
                for under in [keys::snapshots_all(partition, tenant), keys::restoring_all(partition)] {
                    if !self.store.scan(&under, None, 1).await?.is_empty() {
                        hashes.clear();
                    }
                }
                Ok(())
            }
        }
    }

    async fn each_entry(
        &self,
        under: &Log,
        hashes: &mut HashSet<Digest>,
        named: impl Fn(&Log, Seq, &Bytes) -> Result<Option<Digest>, RuntimeError>,
    ) -> Result<(), RuntimeError> {
        let mut after: Option<Log> = None;
        while !hashes.is_empty() {
            let page = self.store.logs(under, after.as_ref(), PAGE).await?;
            for extent in page.iter().filter(|extent| extent.first < extent.next) {
                self.entries_of(&extent.log, hashes, &named).await?;
            }
            match page.into_iter().next_back() {
                Some(extent) => after = Some(extent.log),
                None => break,
            }
        }
        Ok(())
    }

    async fn entries_of(
        &self,
        log: &Log,
        hashes: &mut HashSet<Digest>,
        named: &impl Fn(&Log, Seq, &Bytes) -> Result<Option<Digest>, RuntimeError>,
    ) -> Result<(), RuntimeError> {
        let mut from = Seq::FIRST;
        loop {
            let tail = self.store.read(log, from, PAGE).await?;
            for (bytes, seq) in tail.entries.iter().zip(tail.first.0..) {
                if let Some(hash) = named(log, Seq(seq), bytes)? {
                    hashes.remove(&hash);
                }
            }
            from = Seq(tail.first.0 + tail.entries.len() as u64);
            if tail.entries.is_empty() {
                return Ok(());
            }
            // Others have their turn, also where the store answers at once.
            tokio::task::yield_now().await;
        }
    }

    async fn keep_states(
        &self,
        partition: Partition,
        tenant: &Tenant,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        let mut after: Option<Key> = None;
        while !hashes.is_empty() {
            let page = self.store.scan(&keys::all_sessions(partition, tenant), after.as_ref(), PAGE).await?;
            for (key, cell) in page.iter().filter(|(key, _)| keys::of_state(key).is_some()) {
                if let Some(hash) = blob_of(&read::<StateRecord>(key, cell)?.value) {
                    hashes.remove(&hash);
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        Ok(())
    }

    /// Takes those out that mail names which is under way, wherever it is.
    async fn keep_mailed(
        &self,
        partition: Partition,
        hashes: &mut HashSet<Digest>,
    ) -> Result<(), RuntimeError> {
        if hashes.is_empty() {
            return Ok(());
        }
        let _still = self.moving_mail.write().await;
        for elsewhere in self.store.partitions().await? {
            if !self.checked(elsewhere) {
                continue;
            }
            self.entries_of(&keys::outbox(elsewhere), hashes, &|log, seq, bytes| {
                Ok(named_by(partition, mail::<OutboxMail>(log, seq, bytes)?.mail))
            })
            .await?;
            self.entries_of(&keys::inbox(elsewhere), hashes, &|log, seq, bytes| {
                Ok(named_by(partition, mail::<InboxMail>(log, seq, bytes)?.mail))
            })
            .await?;
        }
        Ok(())
    }

    /// Takes a content away, the end first, so that what begins is never taken for whole. Its mark goes last, and every
    /// batch depends on it: who asks for the content meanwhile renews it.
    async fn take_away(
        &self,
        partition: Partition,
        tenant: &Tenant,
        hash: &Digest,
        old: &Old,
    ) -> Result<(), RuntimeError> {
        let key = keys::mark(tenant, partition, hash);
        let chunks = count_chunks(usize::try_from(old.mark.len).map_err(|_| damaged(&key))?) as usize;
        let mut end = chunks;
        let mut revision = old.revision;
        loop {
            let first = (end.div_ceil(GROUP).saturating_sub(GROUPS)) * GROUP;
            let mut writes = Writes::of(vec![When::Revision(key.clone(), revision)], Vec::new());
            writes.then.extend(
                (first..end).rev().map(|nth| Then::Delete(keys::blob(tenant, partition, hash, nth as u32))),
            );
            if first > 0 {
                writes.then.push(Then::Put(key.clone(), encode(&old.mark)));
            } else {
                writes.then.push(Then::Delete(key.clone()));
                if let Some((agent, session)) = &old.mark.of
                    && self.has_agent(tenant, agent).await?
                {
                    let by = i64::try_from(old.mark.len).unwrap_or(i64::MAX);
                    writes.book(tenant, agent, session, -by, self.clock.now());
                }
            }
            match self.commit_now(partition, writes).await {
                Ok(_) if first == 0 => return Ok(()),
                Ok(committed) => (end, revision) = (first, committed.revision),
                // Somebody asked for it just now.
                Err(StateError::Conflict { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives contents that snapshots write their time. What has a mark keeps it. Whoever calls this holds `marks`.
    pub(super) async fn mark_saved(&self, writes: &mut Writes) -> Result<(), StateError> {
        let is_mark = |write: &Then| matches!(write, Then::Put(key, _) if keys::of_mark(key).is_some());
        let keys: Vec<Key> = writes
            .then
            .iter()
            .filter(|write| is_mark(write))
            .filter_map(|write| if let Then::Put(key, _) = write { Some(key.clone()) } else { None })
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let found = self.store.get(&keys).await?;
        let marked: HashSet<Key> = keys
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        writes.then.retain(|write| !matches!(write, Then::Put(key, _) if marked.contains(key)));
        for write in &mut writes.then {
            if let Then::Put(key, value) = write
                && keys::of_mark(key).is_some()
            {
                let mark: ContentMark = decode(value)
                    .map_err(|error| StateError::Damaged { what: format!("`{key}` ({error})") })?;
                *value = encode(&ContentMark { at: now, ..mark });
            }
        }
        let tenants: HashSet<Tenant> =
            keys.iter().filter_map(keys::of_mark).map(|(tenant, _)| tenant).collect();
        let partition = keys[0].partition;
        writes.then.extend(tenants.iter().map(|tenant| sweep_later(tenant, partition, now)));
        Ok(())
    }

    /// Counts contents with nobody that are counted with an agent which is deleted.
    pub(super) async fn disown_contents(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let partition = agent.partition();
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.scan(&keys::marks_all(partition, tenant), after.as_ref(), PAGE).await?;
            for (key, cell) in &page {
                let mark = match read::<ContentMark>(key, cell) {
                    Ok(mark) => mark,
                    Err(error) => {
                        tracing::warn!(%agent, %error, "a mark of contents cannot be read; it stays");
                        continue;
                    }
                };
                let mut found = Some((mark, cell.revision));
                while let Some((mark, revision)) = found.take()
                    && mark.of.as_ref().is_some_and(|(of, _)| of == agent)
                {
                    let then = vec![Then::Put(key.clone(), encode(&ContentMark { of: None, ..mark }))];
                    let writes = Writes::of(vec![When::Revision(key.clone(), revision)], then);
                    match self.commit_now(partition, writes).await {
                        Ok(_) => {}
                        // Another agent asked for it just now.
                        Err(StateError::Conflict { .. }) => {
                            let cell = self.store.get(std::slice::from_ref(key)).await?.pop().flatten();
                            found = cell
                                .map(|cell| Ok::<_, RuntimeError>((read(key, &cell)?, cell.revision)))
                                .transpose()?;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }
}

/// The content in a partition that a mail names.
fn named_by(partition: Partition, mail: Mail) -> Option<Digest> {
    let (of, payload): (Partition, Payload) = match mail {
        Mail::Start(child) => (child.parent.partition(), child.input),
        Mail::Over { run, result, .. } => (run.partition(), result.ok()?),
        Mail::Cancel { .. } => return None,
    };
    blob_of(&payload).filter(|_| of == partition)
}

fn mail<M: Record>(log: &Log, seq: Seq, bytes: &Bytes) -> Result<M, RuntimeError> {
    decode(bytes).map_err(|error| unreadable(log, seq, &error))
}

fn unreadable(log: &Log, seq: Seq, error: &runtime_codec::CodecError) -> RuntimeError {
    RuntimeError::Damaged { what: format!("`{log}` at {} ({error})", seq.0) }
}

fn damaged(key: &Key) -> RuntimeError {
    RuntimeError::Damaged { what: format!("`{key}`") }
}
