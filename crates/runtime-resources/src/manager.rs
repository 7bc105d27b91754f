//! [`ResourceManager`]: holds agents to their limits.

mod book;
mod entering;
mod queues;
mod quota;
mod turn;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Price, Usage};
use runtime_traits::model::CalledModel;
use runtime_traits::name::Tenant;
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, Money, OnLimit, Past, Refused, ResourceGovernor, ResourceLimits,
    ResourceUsage, Waiting,
};

use crate::budgets::Budgets;
use crate::price::PriceTable;
use book::{Blocked, Books, usage_from};
use entering::Entering;
pub use quota::{QuotaError, QuotaRule};
use turn::{Place, Waiter};

/// The most calls that wait for room at once.
const MOST_WAITING: usize = 100_000;

/// Holds agents to their limits: before each call it holds what the call takes at most, under the limits of its run, its agent
/// and its tenant and under the quota at its provider; after the call it charges what the call took.
///
/// Whoever finds no room waits in a fair queue of the limit that keeps it. A cheap handle: clones share their books.
///
/// ```
/// use runtime_resources::{ResourceGovernor, ResourceLimits, ResourceManager};
/// use runtime_traits::resource::{Admission, Call, CallId, OnLimit};
/// use runtime_traits::{AgentId, Partition, Pool, RunId, Tenant, UnixMillis, Usage};
///
/// let manager = ResourceManager::default();
/// let (tenant, partition) = (Tenant::default(), Partition { pool: Pool::MAIN, index: 0 });
/// let agent = AgentId::from_parts(partition, uuid::Uuid::from_u128(1));
/// let limits = ResourceLimits { max_tokens_per_minute: Some(1_000), ..ResourceLimits::default() };
/// manager.limit(&tenant, &agent, &limits);
///
/// let call = |id| Call {
///     id: CallId(id),
///     tenant: tenant.clone(),
///     agent,
///     run: RunId::from_parts(partition, uuid::Uuid::from_u128(2)),
///     model: None,
///     most: Usage { output_tokens: 600, model_calls: 1, ..Usage::default() },
///     on_limit: OnLimit::Refuse,
///     priority: 0,
/// };
/// let now = UnixMillis(1_800_000_000_000);
/// assert!(matches!(manager.admit(call(1), now), Admission::Held { .. }));
/// assert!(matches!(manager.admit(call(2), now), Admission::Refused(_)));
/// manager.settle(CallId(1), Usage { output_tokens: 50, ..Usage::default() }, now);
/// assert!(matches!(manager.admit(call(2), now), Admission::Held { .. }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResourceManager {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    prices: Arc<PriceTable>,
    books: Mutex<Books>,
}

/// The books, while they are open. Wakers are woken, and let go, when they are closed: what those do may open them.
struct Open<'a>(Option<MutexGuard<'a, Books>>);

impl Deref for Open<'_> {
    type Target = Books;

    fn deref(&self) -> &Books {
        self.0.as_deref().expect("they are open until this is dropped")
    }
}

impl DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut Books {
        self.0.as_deref_mut().expect("they are open until this is dropped")
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(mut books) = self.0.take() else { return };
        let wakers = std::mem::take(&mut books.queues.wakers);
        drop(books);
        wakers.wake();
    }
}

impl ResourceManager {
    /// A manager that knows these prices.
    pub fn new(prices: PriceTable) -> Self {
        let prices = Arc::new(prices);
        let books = Mutex::new(Books::new(Arc::clone(&prices)));
        Self { shared: Arc::new(Shared { prices, books }) }
    }

    /// Limits what the agents of a tenant take together: [`ResourceGovernor::limit_together`] for whoever has budgets.
    pub fn limit_tenant(&self, tenant: &Tenant, budgets: Budgets) {
        self.books().limit_tenant(tenant, budgets);
    }

    /// Declares what a provider lets through for one key. Of several rules that fit a call the first holds that names its credential,
    /// and otherwise the first that names none; what is in a file is [checked](QuotaRule::check) first. A rule that names no
    /// credential gives each one, as it is called, a quota of its own.
    ///
    /// Never more than that is let through in any minute, spent evenly among all who wait, and less for a while after the provider
    /// refused a call with the same credential ([`throttled`](ResourceGovernor::throttled)). What a tenant used in the last minute before this process counts
    /// once it is [recalled](ResourceGovernor::recall_tenant), before the first call of that tenant: a minute's sum as if it had been
    /// used at the minute's end or now, and against each quota, because the books do not say of which model it was, nor with which credential. So after a
    /// restart less than the quota is let through for up to a minute, and more only as far as tenants that ask for nothing now, or
    /// other processes, have used it. Whoever declares a quota later begins with nothing used.
    pub fn declare_quota(&self, rule: QuotaRule) {
        self.books().declare(rule);
    }

    /// What was used of the limits of a tenant; nothing is known of one that nobody limits.
    pub fn tenant_usage(&self, tenant: &Tenant, now: UnixMillis) -> Vec<runtime_traits::resource::Used> {
        self.books().tenant_usage(tenant, now)
    }

    fn books(&self) -> Open<'_> {
        // A holder that panicked left the books as they were between two changes of single numbers.
        Open(Some(self.shared.books.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl ResourceGovernor for ResourceManager {
    fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused> {
        self.books().check(tenant, limits, least)
    }

    fn limits_tenant(&self, tenant: &Tenant) -> bool {
        self.books().limits_tenant(tenant)
    }

    fn limit_together(&self, tenant: &Tenant, limits: &ResourceLimits) {
        self.books().limit_tenant(tenant, Budgets::of_agent(limits));
    }

    fn usage_together(&self, tenant: &Tenant, now: UnixMillis) -> Option<(ResourceLimits, ResourceUsage)> {
        self.books().usage_together(tenant, now)
    }

    fn limit(&self, tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known {
        self.books().limit(tenant, agent, limits)
    }

    fn recall(&self, agent: &AgentId, past: &Past, now: UnixMillis) {
        self.books().recall(agent, past, now);
    }

    fn recall_tenant(&self, tenant: &Tenant, past: &Past, now: UnixMillis) {
        self.books().recall_tenant(tenant, past, now);
    }

    fn admit(&self, call: Call, now: UnixMillis) -> Admission {
        let books = &mut *self.books();
        books.seen(now);
        if let Some(held) = books.take(call.id) {
            return held;
        }
        let (most, claim) = match books.wanted(&call) {
            Ok(wanted) => wanted,
            Err(refused) => return Admission::Refused(refused),
        };
        let blocked = match books.look(&call, claim.known(), now) {
            Ok(()) => {
                books.hold(&call, most, claim, now);
                books.take(call.id);
                return Admission::Held { most, price: claim.micros.map(Money::from_micros) };
            }
            Err(blocked) => blocked,
        };
        let (scope, limit, until) = match blocked {
            Blocked::Never(refused) => return Admission::Refused(refused),
            Blocked::Full { scope, limit, until } => (scope, limit, until),
        };
        let whose = scope.whose();
        if call.on_limit == OnLimit::Refuse || books.refuses(&call.agent) {
            let retry_after = until.map(|until| until.since(now));
            return Admission::Refused(Refused::Reached { limit, whose, retry_after });
        }
        match books.enqueue(Waiter::new(call, claim, scope, limit, until), MOST_WAITING, now) {
            Some(id) => Admission::Waits(Box::new(Place::new(self.clone(), id))),
            None => Admission::Refused(Refused::Crowded { limit, whose }),
        }
    }

    fn enter(
        &self,
        agent: &AgentId,
        run: &RunId,
        priority: u8,
    ) -> BoxFuture<'static, Result<Inside, Refused>> {
        let acquire = self.books().permits(agent).acquire_with(priority);
        Box::pin(Entering { manager: self.clone(), run: *run, acquire })
    }

    fn settle(&self, call: CallId, took: Usage, now: UnixMillis) -> Price {
        self.books().settle(call, took, now)
    }

    fn record(&self, call: &Call, now: UnixMillis) {
        self.books().record(call, now);
    }

    fn price(&self, model: &str, usage: &Usage) -> Price {
        Price { micros: self.shared.prices.cost(model, usage).map(|cost| cost.micros()), wasted_micros: 0 }
    }

    fn throttled(&self, call: CallId, retry_after: Option<Duration>, now: UnixMillis) {
        self.books().throttled(call, retry_after, now);
    }

    fn run_over(&self, run: &RunId) {
        self.books().run_over(run);
    }

    fn waiting(&self, run: &RunId) -> Option<Waiting> {
        self.books().waiting_of(run)
    }

    fn exhausted(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        least: Option<(&CalledModel, Usage)>,
        now: UnixMillis,
    ) -> Option<Refused> {
        self.books().exhausted(tenant, agent, least, now)
    }

    fn usage(&self, agent: &AgentId, now: UnixMillis) -> Option<ResourceUsage> {
        self.books().usage(agent, now)
    }

    fn usage_from(&self, limits: &ResourceLimits, past: &Past, now: UnixMillis) -> ResourceUsage {
        usage_from(limits, past, now)
    }

    fn forget(&self, agent: &AgentId) {
        self.books().forget(agent);
    }
}

#[cfg(test)]
mod tests;
