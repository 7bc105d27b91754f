//! Counters of bytes: what the new store has is counted as it is written, and its counters say that.

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime_codec::{CellSort, ContentMark, Whose, cell_sort, decode, decode_entry, keys};
use runtime_traits::id::AgentId;
use runtime_traits::log::EntryKind;
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::store::{Key, Log, Seq};

use super::RepairError;
use super::cells::place_of;
use super::notes::ChangeSort;
use super::part::Part;

/// A conversation.
type Of = (Tenant, AgentId, SessionName);

/// What is counted of a partition.
#[derive(Default)]
pub(super) struct Sizes {
    /// What the new store has of each conversation.
    there: BTreeMap<Of, i64>,
    /// What the counters of the damaged store say. They are written last, with what is wrong of them.
    said: BTreeMap<Key, i64>,
    /// Whose log of a run is being written.
    run: Option<(Log, Of)>,
}

impl Sizes {
    /// Counts a cell. `true`: it is a counter, and waits for its turn.
    pub(super) fn take_cell(&mut self, key: &Key, value: &Bytes) -> bool {
        let (sort, whose) = cell_sort(key);
        match (sort, whose) {
            (CellSort::Size, _) => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.said.insert(key.clone(), number.unwrap_or_default());
                return true;
            }
            (
                CellSort::State,
                Whose { tenant: Some(tenant), agent: Some(agent), session: Some(session), .. },
            ) => {
                self.add((tenant, agent, session), value.len() as u64);
            }
            (CellSort::Mark(_), Whose { tenant: Some(tenant), .. }) => {
                if let Ok(ContentMark { of: Some((agent, session)), len, .. }) = decode(value) {
                    self.add((tenant, agent, session), len);
                }
            }
            _ => {}
        }
        false
    }

    /// Counts an entry of a log. The first one of a run's says whose it is.
    pub(super) fn take_entry(
        &mut self,
        log: &Log,
        seq: Seq,
        entry: &Bytes,
        tenant_of: impl FnOnce(&AgentId) -> Tenant,
    ) {
        if let Some(of) = keys::of_messages(log) {
            return self.add(of, entry.len() as u64);
        }
        if seq == Seq::FIRST
            && let Ok(EntryKind::Accepted(accepted)) = decode_entry(seq, entry).map(|entry| entry.kind)
        {
            let of = (tenant_of(&accepted.agent), accepted.agent, accepted.session);
            self.run = Some((log.clone(), of));
        }
        if let Some((_, of)) = self.run.as_ref().filter(|(of, _)| of == log) {
            let of = of.clone();
            self.add(of, entry.len() as u64);
        }
    }

    fn add(&mut self, of: Of, bytes: u64) {
        *self.there.entry(of).or_default() += i64::try_from(bytes).unwrap_or(i64::MAX);
    }
}

impl Part<'_, '_> {
    /// Writes the counters. What they are wrong by comes to the days before those that have cells of their own.
    pub(super) async fn write_sizes(&mut self) -> Result<(), RepairError> {
        let Sizes { there, mut said, .. } = std::mem::take(&mut self.sizes);
        let mut wrong: BTreeMap<(Tenant, AgentId, Option<SessionName>), i64> = BTreeMap::new();
        for ((tenant, agent, session), bytes) in there {
            *wrong.entry((tenant.clone(), agent, None)).or_default() += bytes;
            *wrong.entry((tenant, agent, Some(session))).or_default() += bytes;
        }
        for (key, by) in &said {
            if let (_, Whose { tenant: Some(tenant), agent: Some(agent), session, .. }) = cell_sort(key) {
                *wrong.entry((tenant, agent, session)).or_default() -= by;
            }
        }
        for ((tenant, agent, session), by) in wrong {
            if (by == 0 && session.is_some()) || self.is_lost(&tenant, &agent).await {
                continue;
            }
            let key = match &session {
                Some(session) => keys::session_size(&tenant, &agent, session, keys::DAYS_BEFORE),
                None => keys::size(&tenant, &agent, keys::DAYS_BEFORE),
            };
            if by != 0 && session.is_none() {
                let whose = Whose { tenant: Some(tenant), agent: Some(agent), ..Whose::default() };
                let what = format!("what is stored of it was counted anew: {by:+} bytes");
                self.changed(ChangeSort::Mended, place_of(&key), &whose, what);
            }
            *said.entry(key).or_default() += by;
        }
        for (key, by) in said {
            self.write(key, by.to_string().into()).await?;
        }
        Ok(())
    }
}
