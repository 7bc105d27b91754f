//! Agents: what declares them, and their names.

use runtime_codec::{
    CellRecord, CellSort, Manifest, NameRecord, SpecRecord, Whose, decode, decode_cell, decode_entry, encode,
    keys,
};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::EntryKind;
use runtime_traits::name::{Name, Tenant};
use runtime_traits::store::{Key, Path, Seq, StateStore};

use super::RepairError;
use super::notes::{Change, ChangeSort, Notes};
use super::part::Part;
use crate::copy::writer::Writer;
use crate::verify::damage::DamagedPlace;
use crate::verify::listing::{Listed, Listing};

/// An agent whose name has to be written once more.
pub(super) struct Named {
    pub(super) tenant: Tenant,
    pub(super) agent: AgentId,
    pub(super) name: Name,
}

impl Part<'_, '_> {
    /// Whether nothing declares the agent any more.
    pub(super) async fn is_lost(&mut self, tenant: &Tenant, agent: &AgentId) -> bool {
        if let Some(lost) = self.lost.get(agent) {
            return *lost;
        }
        let declared =
            self.declared(tenant, agent).await.is_some() || self.older(tenant, agent).await.is_some();
        self.lost.insert(*agent, !declared);
        !declared
    }

    /// An agent's declaration, if it can be read where it belongs.
    pub(super) async fn declared(&self, tenant: &Tenant, agent: &AgentId) -> Option<(SpecRecord, Name)> {
        self.declaration(&keys::spec(tenant, agent), CellSort::Spec).await
    }

    /// The newest declaration that is kept elsewhere: an older one, or that of a snapshot.
    pub(super) async fn older(&self, tenant: &Tenant, agent: &AgentId) -> Option<(SpecRecord, Name)> {
        let prefix = keys::spec(tenant, agent);
        let mut newest = None;
        let mut after = Some(prefix.path.clone());
        // They are numbered from 1, in their order.
        while let Some(next) = self.next_under(&prefix, after.as_ref()).await {
            if let Some((key, value)) = &next.1
                && let (CellSort::Revision(_), _) = runtime_codec::cell_sort(key)
                && let Ok(CellRecord::Revision(record)) = decode_cell(CellSort::Revision(0), value)
            {
                newest = name_in(&record).map(|name| (record, name)).or(newest);
            }
            after = Some(next.0);
        }
        match newest {
            Some(newest) => Some(newest),
            None => self.in_snapshots(tenant, agent).await,
        }
    }

    async fn in_snapshots(&self, tenant: &Tenant, agent: &AgentId) -> Option<(SpecRecord, Name)> {
        let under = keys::snapshots_all(agent.partition(), tenant);
        let (mut after, mut newest): (Option<Path>, Option<Manifest>) = (None, None);
        while let Some(next) = self.next_under(&under, after.as_ref()).await {
            if let Some((_, value)) = &next.1
                && let Ok(manifest) = decode::<Manifest>(value)
                && manifest.agent == *agent
                && newest.as_ref().is_none_or(|newest| newest.at < manifest.at)
            {
                newest = Some(manifest);
            }
            after = Some(next.0);
        }
        let Manifest { revision, at, spec, .. } = newest?;
        let record = SpecRecord { revision, at, spec };
        name_in(&record).map(|name| (record, name))
    }

    /// Whose a run is whose cell cannot be read: an agent has one tenant, and a run's log names its agent.
    pub(super) async fn tenant_of_run(&self, run: &RunId) -> Tenant {
        let log = keys::run_log(run);
        let Ok(tail) = self.from.read(&log, Seq::FIRST, 1).await else { return Tenant::default() };
        let first = tail.entries.first().and_then(|bytes| decode_entry(tail.first, bytes).ok());
        let Some(EntryKind::Accepted(accepted)) = first.map(|entry| entry.kind) else {
            return Tenant::default();
        };
        let agent = accepted.agent;
        let Ok(all) = Path::new("t/") else { return Tenant::default() };
        let all = Key { partition: agent.partition(), path: all };
        let mut after = None;
        while let Some((path, _)) = self.next_under(&all, after.as_ref()).await {
            let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
            let name = text.split('/').nth(1).unwrap_or_default();
            if let Ok(tenant) = Tenant::new(name)
                && self.next_under(&keys::of_agent(&tenant, "a", &agent), None).await.is_some()
            {
                return tenant;
            }
            // On to the next tenant: `0` comes after `/`.
            after = Path::new(format!("t/{name}0")).ok();
        }
        Tenant::default()
    }

    /// The next cell under a prefix, past those that cannot be read: its path, and what it holds if that can be read.
    async fn next_under(
        &self,
        under: &Key,
        after: Option<&Path>,
    ) -> Option<(Path, Option<(Key, bytes::Bytes)>)> {
        let prefix = under.path.as_bytes();
        let after_or_prefix = after.cloned().or_else(|| Path::new(prefix.to_vec()).ok());
        let listing = Listing::Cells;
        match listing.page(self.from, under.partition, after_or_prefix.as_ref(), 1).await {
            Ok(page) => match page.into_iter().next()? {
                Listed::Cell(key, cell) if key.path.as_bytes().starts_with(prefix) => {
                    Some((key.path.clone(), Some((key, cell.value))))
                }
                _ => None,
            },
            Err(error) => {
                let damaged = listing
                    .damaged_after(self.from, under.partition, after_or_prefix.as_ref(), &error)
                    .await?;
                damaged.as_bytes().starts_with(prefix).then_some((damaged, None))
            }
        }
    }

    async fn declaration(&self, key: &Key, sort: CellSort) -> Option<(SpecRecord, Name)> {
        let cell = self.from.get(std::slice::from_ref(key)).await.ok()?.pop().flatten()?;
        match decode_cell(sort, &cell.value).ok()? {
            CellRecord::Spec(record, spec) => Some((record, spec.name)),
            _ => None,
        }
    }

    /// Remembers that an agent's name has to be written, if nothing says it any more.
    pub(super) async fn see_to_name(&mut self, tenant: &Tenant, agent: AgentId, name: Name) {
        let key = keys::name(agent.partition().pool, tenant, &name);
        let held =
            self.from.get(std::slice::from_ref(&key)).await.ok().and_then(|mut cells| cells.pop().flatten());
        let held = held.and_then(|cell| decode::<NameRecord>(&cell.value).ok());
        if held.is_none() && !self.look.is_unnamed(&agent) {
            self.names.push(Named { tenant: tenant.clone(), agent, name });
        }
    }
}

/// Writes names that were lost. A name that somebody else has stays with him.
pub(super) async fn name(
    to: &dyn StateStore,
    names: Vec<Named>,
    notes: &mut Notes<'_>,
) -> Result<(), RepairError> {
    for Named { tenant, agent, name } in names {
        let key = keys::name(agent.partition().pool, &tenant, &name);
        let held = to.get(std::slice::from_ref(&key)).await.map_err(crate::CopyError::To)?;
        let what = if held.iter().any(Option::is_some) {
            format!("its name `{name}` is another agent's by now: it has none")
        } else {
            let mut writer = Writer::new(to, key.partition);
            writer.put(key.clone(), encode(&NameRecord { agent, name: name.to_string() })).await?;
            writer.end().await?;
            format!("the name `{name}` was written anew, from the declaration of its agent")
        };
        let whose = Whose { tenant: Some(tenant), agent: Some(agent), ..Whose::default() };
        let place = DamagedPlace::Cell { path: key.path };
        notes.change(Change { change: ChangeSort::Mended, partition: key.partition, place, what, whose });
    }
    Ok(())
}

pub(super) fn name_in(record: &SpecRecord) -> Option<Name> {
    let spec: runtime_traits::agent::AgentSpec = serde_json::from_str(&record.spec).ok()?;
    Some(spec.name)
}
