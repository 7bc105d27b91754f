//! Saving: what is new since the last snapshot, and a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runtime_codec::{
    ContentRef, IndexRef, Kept, LastSaved, Manifest, SavedSession, Segment, SegmentIndex, SegmentRef,
    SessionList, SessionPage, SpecRecord, StateRecord, encode, keys,
};
use runtime_traits::id::AgentId;
use runtime_traits::log::Head;
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::{PartitionOwner, Save, SnapshotInfo};
use runtime_traits::store::{Key, Seq, StateError, Then, When};

use super::StateManager;
use super::contents::{Contents, record_in};
use super::frozen::{Frozen, PAGE, info_of};
use super::writer::Writer;

/// Messages in a segment. Fixed places, so that two snapshots share all segments that are full.
const SEGMENT: u64 = 64;
/// Segments in an index.
const INDEX: usize = 64;

/// What the last snapshot has.
struct Base {
    frozen: Frozen,
    sessions: BTreeMap<SessionName, SavedSession>,
}

impl StateManager {
    pub(super) async fn freeze(
        &self,
        tenant: &Tenant,
        save: Save,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        let mut base = self.base(tenant, &save.agent).await?;
        loop {
            match self.freeze_upon(tenant, save, base.as_ref(), owner).await {
                // The last snapshot was deleted meanwhile, and what only it had may go.
                Err(RuntimeError::Store(StateError::Conflict { .. })) if base.is_some() => base = None,
                frozen => return frozen,
            }
        }
    }

    /// The snapshot that was made of the agent last, if it is still there.
    async fn base(&self, tenant: &Tenant, agent: &AgentId) -> Result<Option<Base>, RuntimeError> {
        let key = keys::saved(tenant, agent);
        let Some(cell) = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return Ok(None);
        };
        let frozen = match self.frozen(tenant, &record_in::<LastSaved>(&key, &cell)?.state).await {
            Ok(frozen) => frozen,
            Err(RuntimeError::UnknownState { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sessions = frozen.sessions().await?;
        let sessions = sessions.into_iter().map(|session| (session.session.clone(), session)).collect();
        Ok(Some(Base { frozen, sessions }))
    }

    async fn freeze_upon(
        &self,
        tenant: &Tenant,
        save: Save,
        base: Option<&Base>,
        owner: &dyn PartitionOwner,
    ) -> Result<SnapshotInfo, RuntimeError> {
        let Save { agent, kind_version, state, at } = save;
        let key = keys::spec(tenant, &agent);
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let cell = cell.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let SpecRecord { revision, spec, .. } = record_in(&key, &cell)?;
        let contents = self.contents_of(tenant, &agent);
        let mut writer = Writer::new(&contents, owner);
        let mut sessions = Vec::new();
        for session in self.sessions_of(tenant, &agent).await? {
            let before = base.and_then(|base| base.sessions.get(&session));
            sessions.push(self.freeze_session(&contents, &agent, session, before, &mut writer).await?);
        }
        let mut pages = Vec::new();
        for sessions in sessions.chunks(PAGE) {
            pages.push(writer.keep(&SessionPage { sessions: sessions.to_vec() }).await?);
        }
        let list = writer.keep(&SessionList { pages }).await?;
        let manifest = Manifest {
            agent,
            revision,
            spec,
            kind_version,
            at,
            sessions: sessions.len() as u32,
            messages: sessions.iter().map(SavedSession::messages).sum(),
            bytes: sessions.iter().map(SavedSession::bytes).sum(),
            kept: Kept::List(list),
        };
        let key = keys::snapshot(tenant, &state);
        let info = info_of(&key, &manifest)?;
        let mut when = vec![When::Absent(key.clone())];
        if let Some(Base { frozen, .. }) = base {
            when.push(When::Revision(frozen.key.clone(), frozen.revision));
        }
        let mut then = writer.rest();
        then.push(Then::Put(key, encode(&manifest)));
        then.push(Then::Put(keys::saved(tenant, &agent), encode(&LastSaved { state })));
        owner.commit(agent.partition(), when, then).await?;
        Ok(info)
    }

    /// The sessions of which anything is kept.
    pub(super) async fn sessions_of(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
    ) -> Result<BTreeSet<SessionName>, RuntimeError> {
        const PAGE: u32 = 512;
        let under = keys::of_agent(tenant, "s", agent);
        let mut sessions = BTreeSet::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.scan(&under, after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for (key, _) in page {
                let path = String::from_utf8_lossy(key.path.as_bytes()).into_owned();
                let session = path.rsplit('/').nth(1).map(SessionName::new);
                let damaged = || RuntimeError::Damaged { what: format!("`{key}`") };
                sessions.insert(session.and_then(Result::ok).ok_or_else(damaged)?);
                after = Some(key);
            }
            if is_last {
                return Ok(sessions);
            }
        }
    }

    async fn freeze_session(
        &self,
        contents: &Contents,
        agent: &AgentId,
        session: SessionName,
        before: Option<&SavedSession>,
        writer: &mut Writer<'_>,
    ) -> Result<SavedSession, RuntimeError> {
        let tenant = &contents.tenant;
        // Head and state of one moment: they are read in one page, and messages before the head do not change.
        let cells = [keys::head(tenant, agent, &session), keys::state(tenant, agent, &session)];
        let mut found = self.store.get(&cells).await?.into_iter();
        let head = found.next().flatten().map(|cell| record_in::<Head>(&cells[0], &cell)).transpose()?;
        let state =
            found.next().flatten().map(|cell| record_in::<StateRecord>(&cells[1], &cell)).transpose()?;
        let state = state.map(|record| record.value);
        let Some(end) = head.map(|head| head.last.0 + 1) else {
            return Ok(SavedSession { session, head, state, sealed: Vec::new(), open: Vec::new() });
        };
        let log = keys::messages(tenant, agent, &session);
        let first = self.store.read(&log, Seq::FIRST, 0).await?.first.0;
        let (mut sealed, mut open) = before.map_or_else(Default::default, |before| kept(before, first, end));
        let last = open.last().map(SegmentRef::end).or_else(|| sealed.last().map(IndexRef::end));
        let mut from = last.unwrap_or(first);
        while from < end {
            let to = end.min((from - 1) / SEGMENT * SEGMENT + SEGMENT + 1);
            let tail = self.store.read(&log, Seq(from), (to - from) as u32).await?;
            let messages = tail.entries;
            if tail.first.0 != from || messages.len() as u64 != to - from {
                // Trimmed just now: begin behind that.
                let first = tail.first.0;
                let is_trimmed = first > from;
                if !is_trimmed {
                    return Err(RuntimeError::Damaged { what: format!("`{log}` at {from}") });
                }
                (sealed, open, from) = (Vec::new(), Vec::new(), first);
                continue;
            }
            let count = messages.len() as u32;
            let ContentRef { hash, len } = writer.keep(&Segment { messages }).await?;
            open.push(SegmentRef { hash, len, first: from, messages: count });
            from = to;
        }
        while open.len() > INDEX {
            let segments: Vec<SegmentRef> = open.drain(..INDEX).collect();
            let (first, end) = (segments[0].first, segments[INDEX - 1].end());
            let bytes = segments.iter().map(|segment| segment.len).sum();
            let ContentRef { hash, len } = writer.keep(&SegmentIndex { segments }).await?;
            sealed.push(IndexRef { hash, len, first, messages: end - first, bytes });
        }
        Ok(SavedSession { session, head, state, sealed, open })
    }

    pub(super) fn contents_of(&self, tenant: &Tenant, agent: &AgentId) -> Contents {
        Contents {
            store: Arc::clone(&self.store),
            tenant: tenant.clone(),
            partition: agent.partition(),
            made: Arc::default(),
        }
    }
}

/// What of the last snapshot holds still: messages do not change under their numbers. Its last segment may have grown,
/// the conversation may have been put back to before some, and the log may have been trimmed.
fn kept(before: &SavedSession, first: u64, end: u64) -> (Vec<IndexRef>, Vec<SegmentRef>) {
    let begun = |sealed_end: u64| sealed_end > first;
    let sealed: Vec<IndexRef> =
        before.sealed.iter().take_while(|index| index.end() <= end).copied().collect();
    let all_sealed = sealed.len() == before.sealed.len();
    let sealed: Vec<IndexRef> = sealed.into_iter().filter(|index| begun(index.end())).collect();
    let full = |segment: &&SegmentRef| {
        (segment.end() - 1).is_multiple_of(SEGMENT) && segment.end() <= end && segment.messages > 0
    };
    let open = before.open.iter().take_while(full).filter(|segment| begun(segment.end())).copied();
    let open = if all_sealed { open.collect() } else { Vec::new() };
    (sealed, open)
}

#[cfg(test)]
mod tests {
    use runtime_traits::content::Digest;

    use super::{IndexRef, SavedSession, SegmentRef, SessionName, kept};

    fn saved(indexes: u64, segments: u64, last: u32) -> SavedSession {
        let hash = Digest::of(b"");
        let index = |n| IndexRef { hash, len: 1, first: n * 4096 + 1, messages: 4096, bytes: 1 };
        let begin = indexes * 4096;
        let segment = |n| SegmentRef { hash, len: 1, first: begin + n * 64 + 1, messages: 64 };
        let mut open: Vec<SegmentRef> = (0..segments).map(segment).collect();
        open.push(SegmentRef { messages: last, ..segment(segments) });
        let sealed = (0..indexes).map(index).collect();
        SavedSession { session: SessionName::default(), head: None, state: None, sealed, open }
    }

    fn ends(before: &SavedSession, first: u64, end: u64) -> (usize, usize) {
        let (sealed, open) = kept(before, first, end);
        (sealed.len(), open.len())
    }

    #[test]
    fn what_is_full_and_before_the_end_is_kept() {
        let before = saved(2, 3, 5);
        let end = 2 * 4096 + 3 * 64 + 5 + 1;
        assert_eq!(ends(&before, 1, end), (2, 3), "the last one may have grown");
        assert_eq!(ends(&before, 1, end + 1000), (2, 3));
        assert_eq!(ends(&saved(0, 0, 64), 1, 65), (0, 1));
    }

    #[test]
    fn what_is_behind_the_end_is_not() {
        let before = saved(2, 3, 5);
        assert_eq!(ends(&before, 1, 2 * 4096 + 64 + 1), (2, 1));
        assert_eq!(ends(&before, 1, 4096 + 1), (1, 0));
        assert_eq!(ends(&before, 1, 4096), (0, 0));
    }

    #[test]
    fn what_was_trimmed_is_not() {
        let before = saved(2, 3, 5);
        let end = 2 * 4096 + 3 * 64 + 6;
        assert_eq!(ends(&before, 4096, end), (2, 3));
        assert_eq!(ends(&before, 4097, end), (1, 3));
        assert_eq!(ends(&before, 2 * 4096 + 65, end), (0, 2));
        assert_eq!(ends(&before, end, end), (0, 0));
    }
}
