//! What the agents of a tenant may use together: kept in a cell, and told to whoever holds them to it.

use std::collections::BTreeSet;

use runtime_codec::{LimitsRecord, encode};
use runtime_traits::name::Tenant;
use runtime_traits::resource::{
    LimitsBy, LimitsChange, LimitsError, ResourceLimits, ResourceUsage, TenantLimits,
};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Cell, Key, StateError, Then, When};
use tokio::sync::MutexGuard;

use super::govern::{Governing, UnderWay};
use super::inner::Inner;
use super::load::read;
use super::over_calls::Reading;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

impl Governing {
    /// Whether the agents of a tenant may be limited together, as far as is known.
    pub(super) fn may_limit(&self, tenant: &Tenant) -> bool {
        !lock(&self.read).contains(tenant) || self.governor().limits_tenant(tenant)
    }
}

/// A tenant is counted that is about to be limited: what its calls take from here on is not forgotten while what they took before is read,
/// and may count twice.
struct Counting<'a> {
    governing: &'a Governing,
    tenant: &'a Tenant,
    /// The tenants of which is told what they used. Others wait until this is over.
    told: MutexGuard<'a, BTreeSet<Tenant>>,
    /// Whether nobody limited it before: then it is counted no more if it is not limited either.
    is_new: bool,
    _reading: Option<Reading<'a>>,
}

/// More than anybody uses.
const ANYTHING: u64 = u64::MAX;

impl<'a> Counting<'a> {
    /// With limits, if there are to be `any`.
    async fn begin(governing: &'a Governing, tenant: &'a Tenant, any: bool) -> Self {
        let told = governing.told.lock().await;
        let is_new = any && !governing.governor().limits_tenant(tenant);
        let _reading = any.then(|| governing.reading(tenant));
        if is_new {
            let anything = ResourceLimits { max_tokens_total: Some(ANYTHING), ..ResourceLimits::default() };
            governing.governor().limit_together(tenant, &anything);
        }
        Self { governing, tenant, told, is_new, _reading }
    }

    /// It is limited so, and is counted as long as it is.
    fn limit(mut self, limits: &ResourceLimits) {
        self.is_new = false;
        self.governing.governor().limit_together(self.tenant, limits);
        lock(&self.governing.read).insert(self.tenant.clone());
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if self.is_new {
            self.governing.governor().limit_together(self.tenant, &ResourceLimits::default());
        }
        // Whoever limits it again is told anew what it used, also where limiting it came to nothing.
        if !self.governing.governor().limits_tenant(self.tenant) {
            self.told.remove(self.tenant);
        }
    }
}

impl Inner {
    /// Changes what the agents of a tenant may use together, from now on, for runs that had begun as well.
    pub(super) async fn set_tenant_limits(
        &self,
        tenant: &Tenant,
        limits: ResourceLimits,
        by: LimitsBy,
    ) -> Result<(), RuntimeError> {
        self.set_tenant_limits_if(tenant, limits, by, None).await.map(drop)
    }

    /// Changes some of what the agents of a tenant may use together, by hand.
    pub(super) async fn change_tenant_limits(
        &self,
        tenant: &Tenant,
        change: &LimitsChange,
    ) -> Result<(), RuntimeError> {
        loop {
            let was = self.tenant_limits(tenant).await?;
            let limits = change.of(was.limits);
            if self.set_tenant_limits_if(tenant, limits, LimitsBy::Hand, Some(&was)).await? {
                return Ok(());
            }
        }
    }

    /// Changes them if they are as they were, where somebody says how. `false`: somebody else set them meanwhile.
    async fn set_tenant_limits_if(
        &self,
        tenant: &Tenant,
        limits: ResourceLimits,
        by: LimitsBy,
        was: Option<&TenantLimits>,
    ) -> Result<bool, RuntimeError> {
        limits.check_together()?;
        let Some(governing) = &self.governing else {
            return if limits.is_none() { Ok(true) } else { Err(LimitsError::NobodyHolds.into()) };
        };
        match self.hold_tenant(governing, tenant).await {
            // What a person sets takes its place. Nobody else can tell whether it was less.
            Err(error) if is_damage(&error) => {
                tracing::error!(%tenant, %error, "what all agents may use together cannot be read");
                if by == LimitsBy::FleetFile {
                    return Ok(true);
                }
            }
            held => held?,
        }
        let mut counting = Counting::begin(governing, tenant, !limits.is_none()).await;
        if !limits.is_none() {
            // No call is let through by limits that do not know yet what was used.
            match self.tell_of_tenant(governing, tenant, &mut counting.told, UnderWay::Held).await {
                // Nobody can be asked to look at it first: each call is refused until somebody has.
                Err(error) if by == LimitsBy::FleetFile && is_damage(&error) => {
                    tracing::error!(%tenant, %error, "what all agents used cannot be read");
                }
                told => told?,
            }
        }
        loop {
            let (key, cell) = self.limits_cell(tenant).await?;
            let before = match cell.as_ref().map(|cell| limits_in(&key, cell)).transpose() {
                Err(RuntimeError::Damaged { .. }) if by == LimitsBy::Hand => None,
                before => before?,
            };
            let kept = before.as_ref().map(|(kept, record)| (*kept, record.at));
            if was.is_some_and(|was| kept != was.since.map(|since| (was.limits, since))) {
                return Ok(false);
            }
            let is_so = matches!(&before, Some((kept, record)) if *kept == limits && record.by == by);
            let limited = governing.governor().limits_tenant(tenant);
            if is_so || (cell.is_none() && limits.is_none() && !limited) {
                break;
            }
            let now = self.clock.now();
            // Kept over a lifting as well: what was counted before it counts when they are limited again.
            let counted_since = before.and_then(|(_, record)| record.counted_since);
            let counted_since = counted_since.or_else(|| (!limits.is_none()).then_some(now));
            let json = serde_json::to_string(&limits).expect("limits are numbers and words");
            let record = LimitsRecord { at: now, by, counted_since, limits: json };
            let when = match cell {
                Some(cell) => When::Revision(key.clone(), cell.revision),
                None => When::Absent(key.clone()),
            };
            let partition = key.partition;
            let writes = Writes::of(vec![when], vec![Then::Put(key, encode(&record))]);
            match self.commit_now(partition, writes).await {
                // Somebody else set them meanwhile: look again.
                Err(StateError::Conflict { .. }) => {}
                committed => break committed.map(drop)?,
            }
        }
        counting.limit(&limits);
        self.wake_tenant(tenant);
        Ok(true)
    }

    /// What the agents of a tenant may use together, and what they use of it.
    pub(super) async fn tenant_limits(&self, tenant: &Tenant) -> Result<TenantLimits, RuntimeError> {
        let mut shown = self.kept_tenant_limits(tenant).await?;
        if shown.damage.is_some() {
            return Ok(shown);
        }
        let Some(governing) = &self.governing else { return Ok(shown) };
        if !governing.governor().limits_tenant(tenant) {
            return Ok(shown);
        }
        let told = &mut *governing.told.lock().await;
        match self.tell_of_tenant(governing, tenant, told, UnderWay::Unknown).await {
            Err(error) if is_damage(&error) => shown.damage = Some(error.to_string()),
            told => told?,
        }
        if let Some((limits, usage)) = governing.governor().usage_together(tenant, self.clock.now()) {
            // Whoever put the runtime together may have limited it by itself.
            shown.limits = if shown.since.is_some() { shown.limits } else { limits };
            shown.usage = if shown.damage.is_some() { ResourceUsage::default() } else { usage };
        }
        Ok(shown)
    }

    /// What the store says that the agents of a tenant may use together. Nothing that they used is read.
    pub(super) async fn kept_tenant_limits(&self, tenant: &Tenant) -> Result<TenantLimits, RuntimeError> {
        let mut shown = TenantLimits::default();
        let kept = match self.limits_cell(tenant).await {
            Ok((key, cell)) => cell.map(|cell| limits_in(&key, &cell)).transpose(),
            Err(error) => Err(error),
        };
        match kept {
            Ok(Some((limits, LimitsRecord { at, by, counted_since, .. }))) => {
                let counted_since = counted_since.filter(|_| !limits.is_none());
                shown = TenantLimits { limits, since: Some(at), by: Some(by), counted_since, ..shown };
            }
            Ok(None) => {}
            // Nothing is let through until somebody has set others.
            Err(error) if is_damage(&error) => {
                return Ok(TenantLimits { damage: Some(error.to_string()), ..shown });
            }
            Err(error) => return Err(error),
        }
        if let Some(governing) = &self.governing {
            self.hold_tenant(governing, tenant).await?;
        }
        Ok(shown)
    }

    /// Sees that whoever counts holds the agents of a tenant to what the store says that they may use together; once.
    pub(super) async fn hold_tenant(
        &self,
        governing: &Governing,
        tenant: &Tenant,
    ) -> Result<(), RuntimeError> {
        if lock(&governing.read).contains(tenant) {
            return Ok(());
        }
        let _told = governing.told.lock().await;
        if lock(&governing.read).contains(tenant) {
            return Ok(());
        }
        let (key, cell) = self.limits_cell(tenant).await?;
        if let Some(cell) = cell {
            governing.governor().limit_together(tenant, &limits_in(&key, &cell)?.0);
        }
        lock(&governing.read).insert(tenant.clone());
        Ok(())
    }

    /// The same for tenants whose runs were open when this process began: what these used is kept at their ends, whether they ask for
    /// a call or not; and for those who declare agents, which are checked against it. What cannot be read lets none of their calls through.
    pub(super) async fn hold_tenants(&self, tenants: &BTreeSet<Tenant>) -> Result<(), RuntimeError> {
        let Some(governing) = &self.governing else { return Ok(()) };
        for tenant in tenants {
            match self.hold_tenant(governing, tenant).await {
                Err(error) if is_damage(&error) => {
                    tracing::error!(%tenant, %error, "what all agents may use together cannot be read");
                }
                held => held?,
            }
        }
        Ok(())
    }

    /// Sees that whoever counts what the agents of a tenant use together knows what they used before; once.
    pub(super) async fn tell_of_tenant(
        &self,
        governing: &Governing,
        tenant: &Tenant,
        told: &mut BTreeSet<Tenant>,
        under_way: UnderWay,
    ) -> Result<(), RuntimeError> {
        if !told.contains(tenant) {
            let past = self.past_of_tenant(tenant, under_way).await?;
            governing.governor().recall_tenant(tenant, &past, self.clock.now());
            told.insert(tenant.clone());
        }
        Ok(())
    }

    /// Lets the runs of a tenant that are parked look again, which is now; those that wait here are woken by whoever keeps them waiting.
    fn wake_tenant(&self, tenant: &Tenant) {
        for home in &self.partitions {
            lock(&home.state)
                .runs
                .values()
                .filter(|slot| slot.place.tenant == *tenant)
                .for_each(|slot| self.look_now(slot));
        }
    }

    async fn limits_cell(&self, tenant: &Tenant) -> Result<(Key, Option<Cell>), RuntimeError> {
        let key = keys::limits(self.pool, tenant);
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        Ok((key, cell))
    }
}

/// What a cell says that agents may use together.
fn limits_in(key: &Key, cell: &Cell) -> Result<(ResourceLimits, LimitsRecord), RuntimeError> {
    let record: LimitsRecord = read(key, cell)?;
    let limits = serde_json::from_str(&record.limits)
        .map_err(|error| RuntimeError::Damaged { what: format!("`{key}` ({error})") })?;
    Ok((limits, record))
}

fn is_damage(error: &RuntimeError) -> bool {
    use RuntimeError::{Damaged, Newer, Store};
    matches!(error, Damaged { .. } | Newer { .. } | Store(StateError::Damaged { .. }))
}
