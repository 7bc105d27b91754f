//! The contract of whoever holds agents to their limits.

use std::fmt;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId};
use crate::log::{Price, Usage};
use crate::model::CalledModel;
use crate::name::Tenant;
use crate::resource::call::{Admission, Call, CallId, Refused, Waiting};
use crate::resource::limits::ResourceLimits;
use crate::resource::usage::ResourceUsage;

/// What was used before this process, as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The last hour by minutes, oldest first.
    pub minutes: Vec<Minute>,
    /// The last day by hours, oldest first.
    pub hours: Vec<Hour>,
    /// What this month cost, in millionths of a US dollar.
    pub month_micros: u64,
    /// Tokens in all.
    pub tokens: u64,
    /// What all of it cost.
    pub micros: u64,
    /// What open runs used; it is in the sums above as well.
    pub open: Vec<OpenUse>,
}

/// What was used in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Its last moment: what was used is counted as if it had been then.
    pub at: UnixMillis,
    /// Calls of models.
    pub requests: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// What it cost, as far as anybody knew.
    pub micros: u64,
}

/// What an hour cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Its last moment.
    pub at: UnixMillis,
    /// Millionths of a US dollar.
    pub micros: u64,
}

/// What a run used that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenUse {
    /// Which.
    pub run: RunId,
    /// Tokens, read and written.
    pub tokens: u64,
    /// What it cost, as far as anybody knew.
    pub micros: u64,
}

/// That a run is worked; it is not any more when this is dropped.
pub type Inside = Box<dyn Send>;

/// Whether somebody told the governor what an agent used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has been told.
    Yes,
    /// Nobody told it: [`ResourceGovernor::recall`] comes first.
    No,
}

/// Holds agents to their limits: asked before each call that takes something, and told what it took.
///
/// It keeps what it counts in memory. The engine keeps it in the run's log, in the batches that dispatch and settle a step, and in
/// cells, in the batch of the run's end, and tells it again after a restart.
///
/// # Contract
/// - `held-before-sent`: what is held counts as used until it is settled; the sum never exceeds a limit.
/// - `once-by-id`: a call that is asked for or settled again changes nothing, also while it waits: all who asked for it are let through
///   with it, and it is given back when all have gone away.
/// - `settled-with-the-truth`: once it is settled, a call counts with what it took.
/// - `recorded-counts`: what a call took that was never held counts as if it had been.
/// - `recalled-counts`: what was used before a restart counts as what is used now.
/// - `waits-in-turn`: whoever waits gets room as soon as there is some, and a turn that is dropped leaves no trace. Who comes later does
///   not overtake, unless nothing but another limit can make room for who came before. Who waits under one limit keeps its turn under the
///   next; it holds nothing meanwhile, so that others may take the room under each until there is some under all of them at once.
/// - `limits-at-once`: changed limits hold from the next call on, for calls that wait too: those of an agent that is not to wait any more
///   are refused.
/// - `shared-by-a-tenant`: what is limited of a tenant is shared by all its agents and by no others, counts calls that were under way when
///   it was limited first, and holds from the next call on when it is changed or lifted, for calls that wait too.
/// - `no-more-at-once`: no more runs of an agent are let in at once than may, and who leaves lets the next one in.
/// - `refused-to-one`: that a provider refused a call for now holds up no call with another credential.
/// - `unknown-price-is-not-zero`: a model without a price is refused where money is limited, and its price is `None`.
pub trait ResourceGovernor: fmt::Debug + Send + Sync + 'static {
    /// Whether calls of an agent of a tenant can be let through under these limits, and under those of its tenant and of the provider.
    ///
    /// # Errors
    /// [`Refused`] when the least call of the agent would never be let through: `least` is what one call may take, and
    /// of which model, as far as the agent's kind knows.
    fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused>;

    /// Whether anybody limits what the agents of a tenant take together, by themselves or with those of others: then that is kept,
    /// and recalled.
    fn limits_tenant(&self, tenant: &Tenant) -> bool;

    /// Tells what all agents of a tenant may use together from now on; what is none of [`Limit::TOGETHER`](crate::resource::Limit::TOGETHER)
    /// is not looked at. Without any limit nothing is counted of the tenant any more, unless somebody limits it otherwise.
    fn limit_together(&self, tenant: &Tenant, limits: &ResourceLimits);

    /// What all agents of a tenant may use together, and what they use. `None`: nobody counts that.
    fn usage_together(&self, tenant: &Tenant, now: UnixMillis) -> Option<(ResourceLimits, ResourceUsage)>;

    /// Tells what an agent may use from now on. Whether its use before is known.
    fn limit(&self, tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known;

    /// Tells what an agent used before this process; told again, it changes nothing.
    fn recall(&self, agent: &AgentId, past: &Past, now: UnixMillis);

    /// Tells what a tenant used before this process, or before it was limited; told again, as by another runtime, it changes nothing, until
    /// [`limits_tenant`](Self::limits_tenant) was false in between. From here on the tenant is counted, with its calls that are under way.
    fn recall_tenant(&self, tenant: &Tenant, past: &Past, now: UnixMillis);

    /// Asks for a call.
    fn admit(&self, call: Call, now: UnixMillis) -> Admission;

    /// Asks to work a run of an agent: as many are worked at once as `max_concurrent_requests` says, those with a higher priority
    /// first, and otherwise in the order of asking. Whoever drops the future asks no longer; whoever drops what it gives has left.
    fn enter(
        &self,
        agent: &AgentId,
        run: &RunId,
        priority: u8,
    ) -> BoxFuture<'static, Result<Inside, Refused>>;

    /// Tells what a call took, also when nobody can say how it ended; what that cost.
    fn settle(&self, call: CallId, took: Usage, now: UnixMillis) -> Price;

    /// Tells what a call took for which nothing was held: `most` is that. It counts against every limit from now on, whatever is left
    /// of it. Once for each call.
    fn record(&self, call: &Call, now: UnixMillis);

    /// What a use of a model costs.
    fn price(&self, model: &str, usage: &Usage) -> Price;

    /// Tells that a provider refused a call for now that is under way: less is let through for whoever calls with the same
    /// credential, and for nobody else. It is settled as any other, and whoever makes it
    /// once more asks for that call.
    fn throttled(&self, call: CallId, retry_after: Option<Duration>, now: UnixMillis);

    /// Tells that a run is over.
    fn run_over(&self, run: &RunId);

    /// What a run waits for, if it does, as it is now: its moment counts what those take at most that come before it.
    fn waiting(&self, run: &RunId) -> Option<Waiting>;

    /// Whether nothing more is let through for an agent now, and why. `least` is what one call of it may take, and of which model, as
    /// far as its kind knows.
    fn exhausted(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        least: Option<(&CalledModel, Usage)>,
        now: UnixMillis,
    ) -> Option<Refused>;

    /// What an agent uses. `None`: nobody told it what that was before this process.
    fn usage(&self, agent: &AgentId, now: UnixMillis) -> Option<ResourceUsage>;

    /// What an agent uses that did nothing in this process: from what was kept. Nothing of it is remembered.
    fn usage_from(&self, limits: &ResourceLimits, past: &Past, now: UnixMillis) -> ResourceUsage;

    /// Tells that an agent is deleted.
    fn forget(&self, agent: &AgentId);
}
