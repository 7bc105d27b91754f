//! [`Turnstile`]: a governor that a test opens and shuts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Price, Usage};
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, Limit, Money, NoRoom, Past, Refused, ResourceLimits,
    ResourceUsage, Turn, Waiting, Whose,
};
use runtime_traits::{CalledModel, ResourceGovernor, Tenant, UnixMillis};
use tokio::sync::Semaphore;

/// A governor that lets calls through while it is open, keeps them waiting while it is shut, and remembers what it was told. It
/// counts nothing: for tests of whoever asks one.
#[derive(Clone, Debug)]
pub struct Turnstile {
    inner: Arc<Mutex<Inner>>,
    door: Arc<Semaphore>,
}

/// What a [`Turnstile`] does with a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lets {
    /// Through.
    #[default]
    Through,
    /// Wait, until it is opened; as far as it says, until that moment.
    Wait(Option<UnixMillis>),
    /// Wait, until it is opened: it says that only another limit helps.
    WaitForLimit,
    /// Not through.
    Refuse(Refused),
}

#[derive(Debug, Default)]
struct Inner {
    lets: Lets,
    asked: Vec<Call>,
    settled: Vec<(CallId, Usage)>,
    recorded: Vec<Call>,
    told: BTreeMap<AgentId, Past>,
    told_of_a_tenant: Option<Past>,
    limits: Vec<ResourceLimits>,
    checked: Vec<(Tenant, ResourceLimits)>,
    over: Vec<RunId>,
    throttled: Vec<(CallId, Option<Duration>)>,
    waiting: Vec<(CallId, RunId, Option<Waker>)>,
    limits_tenant: bool,
    together: BTreeMap<Tenant, ResourceLimits>,
    entered: Vec<RunId>,
    /// What is held for a call beyond what it asks for.
    more: u64,
}

struct Before {
    turnstile: Turnstile,
    call: Call,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self { inner: Arc::default(), door: Arc::new(Semaphore::new(0)) }
    }
}

impl Turnstile {
    /// One that does this with calls.
    pub fn that(lets: Lets) -> Self {
        let turnstile = Self::default();
        turnstile.set(lets);
        turnstile
    }

    /// Does this with calls from now on, with those that wait as well.
    pub fn set(&self, lets: Lets) {
        let mut inside = self.inside();
        inside.lets = lets;
        inside.waiting.iter_mut().filter_map(|(_, _, waker)| waker.take()).for_each(Waker::wake);
    }

    /// Holds so many tokens for each call beyond what it asks for, as if its model had billed more than was said.
    pub fn holds_more(&self, tokens: u64) {
        self.inside().more = tokens;
    }

    /// Says that somebody limits what tenants take together.
    pub fn limit_tenants(&self) {
        self.inside().limits_tenant = true;
    }

    /// What it was told that all agents of a tenant may use together.
    pub fn together(&self, tenant: &Tenant) -> Option<ResourceLimits> {
        self.inside().together.get(tenant).copied()
    }

    /// The calls that were asked for, those that wait among them.
    pub fn asked(&self) -> Vec<Call> {
        self.inside().asked.clone()
    }

    /// The calls that are over, and what they took.
    pub fn settled(&self) -> Vec<(CallId, Usage)> {
        self.inside().settled.clone()
    }

    /// The calls for which nothing was held, with what they took.
    pub fn recorded(&self) -> Vec<Call> {
        self.inside().recorded.clone()
    }

    /// What it was told of an agent's use before.
    pub fn told(&self, agent: &AgentId) -> Option<Past> {
        self.inside().told.get(agent).cloned()
    }

    /// What it was told first of a tenant's use before.
    pub fn told_of_a_tenant(&self) -> Option<Past> {
        self.inside().told_of_a_tenant.clone()
    }

    /// All limits that it was told, in their order.
    pub fn limits(&self) -> Vec<ResourceLimits> {
        self.inside().limits.clone()
    }

    /// Whose limits it was asked about, and which, in their order.
    pub fn checked(&self) -> Vec<(Tenant, ResourceLimits)> {
        self.inside().checked.clone()
    }

    /// The runs that are over.
    pub fn over(&self) -> Vec<RunId> {
        self.inside().over.clone()
    }

    /// The calls that their providers refused for now.
    pub fn throttlings(&self) -> Vec<(CallId, Option<Duration>)> {
        self.inside().throttled.clone()
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.inside().waiting.len()
    }

    /// The runs that asked to be worked.
    pub fn entered(&self) -> Vec<RunId> {
        self.inside().entered.clone()
    }

    /// How many may be worked at once besides those that are.
    pub fn at_once(&self, more: usize) {
        self.door.add_permits(more);
    }

    fn inside(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn held(&self, call: &Call) -> Admission {
        let most = Usage { input_tokens: call.most.input_tokens + self.more, ..call.most };
        Admission::Held { most, price: Some(Money::from_micros(most.tokens())) }
    }
}

impl ResourceGovernor for Turnstile {
    fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        _least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused> {
        self.inside().checked.push((tenant.clone(), *limits));
        Ok(())
    }

    fn limits_tenant(&self, tenant: &Tenant) -> bool {
        let inside = self.inside();
        inside.limits_tenant || inside.together.contains_key(tenant)
    }

    fn limit_together(&self, tenant: &Tenant, limits: &ResourceLimits) {
        let mut inside = self.inside();
        if limits.is_none() {
            // Whoever limits it again tells anew what was used.
            inside.together.remove(tenant);
            inside.told_of_a_tenant = None;
        } else {
            inside.together.insert(tenant.clone(), *limits);
        }
    }

    fn usage_together(&self, tenant: &Tenant, _now: UnixMillis) -> Option<(ResourceLimits, ResourceUsage)> {
        let inside = self.inside();
        let limits = inside.together.get(tenant)?;
        Some((*limits, ResourceUsage { waiting: inside.waiting.len() as u32, ..ResourceUsage::default() }))
    }

    fn limit(&self, _tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known {
        let mut inside = self.inside();
        if inside.limits.last() != Some(limits) {
            inside.limits.push(*limits);
        }
        if inside.told.contains_key(agent) { Known::Yes } else { Known::No }
    }

    fn recall(&self, agent: &AgentId, past: &Past, _now: UnixMillis) {
        self.inside().told.entry(*agent).or_insert_with(|| past.clone());
    }

    fn recall_tenant(&self, _tenant: &Tenant, past: &Past, _now: UnixMillis) {
        self.inside().told_of_a_tenant.get_or_insert_with(|| past.clone());
    }

    fn admit(&self, call: Call, _now: UnixMillis) -> Admission {
        let mut inside = self.inside();
        inside.asked.push(call.clone());
        match inside.lets.clone() {
            Lets::Through => inside.held(&call),
            Lets::Refuse(refused) => Admission::Refused(refused),
            Lets::Wait(_) | Lets::WaitForLimit => {
                inside.waiting.push((call.id, call.run, None));
                Admission::Waits(Box::new(Before { turnstile: self.clone(), call }))
            }
        }
    }

    fn enter(
        &self,
        _agent: &AgentId,
        run: &RunId,
        _priority: u8,
    ) -> BoxFuture<'static, Result<Inside, Refused>> {
        self.inside().entered.push(*run);
        let door = Arc::clone(&self.door);
        Box::pin(async move {
            let permit = door.acquire_owned().await.expect("nobody closes the door");
            Ok(Box::new(permit) as Inside)
        })
    }

    /// A token costs a millionth of a dollar.
    fn settle(&self, call: CallId, took: Usage, _now: UnixMillis) -> Price {
        self.inside().settled.push((call, took));
        Price { micros: Some(took.tokens()), wasted_micros: 0 }
    }

    fn record(&self, call: &Call, _now: UnixMillis) {
        self.inside().recorded.push(call.clone());
    }

    fn price(&self, _model: &str, usage: &Usage) -> Price {
        Price { micros: Some(usage.tokens()), wasted_micros: 0 }
    }

    fn throttled(&self, call: CallId, retry_after: Option<Duration>, _now: UnixMillis) {
        self.inside().throttled.push((call, retry_after));
    }

    fn run_over(&self, run: &RunId) {
        self.inside().over.push(*run);
    }

    fn waiting(&self, run: &RunId) -> Option<Waiting> {
        let inside = self.inside();
        let place = inside.waiting.iter().position(|(_, of, _)| of == run)?;
        let until = if let Lets::Wait(until) = inside.lets { until } else { None };
        Some(Waiting { limit: Limit::MaxTokensTotal, place: place as u32 + 1, until })
    }

    fn exhausted(
        &self,
        _tenant: &Tenant,
        _agent: &AgentId,
        _least: Option<(&CalledModel, Usage)>,
        _now: UnixMillis,
    ) -> Option<Refused> {
        match &self.inside().lets {
            Lets::Through => None,
            Lets::Wait(_) | Lets::WaitForLimit => {
                let (limit, whose) = (Limit::MaxTokensTotal, Whose::Agent);
                Some(Refused::Reached { limit, whose, retry_after: None })
            }
            Lets::Refuse(refused) => Some(refused.clone()),
        }
    }

    fn usage(&self, agent: &AgentId, _now: UnixMillis) -> Option<ResourceUsage> {
        let inside = self.inside();
        let waiting = inside.waiting.len() as u32;
        inside.told.contains_key(agent).then(|| ResourceUsage { waiting, ..ResourceUsage::default() })
    }

    fn usage_from(&self, _limits: &ResourceLimits, past: &Past, _now: UnixMillis) -> ResourceUsage {
        ResourceUsage { tokens_total: past.tokens, ..ResourceUsage::default() }
    }

    fn forget(&self, agent: &AgentId) {
        self.inside().told.remove(agent);
    }
}

impl Turn for Before {
    fn poll(&mut self, _now: UnixMillis, cx: &mut Context<'_>) -> Poll<Admission> {
        let mut inside = self.turnstile.inside();
        match inside.lets.clone() {
            Lets::Through => Poll::Ready(inside.held(&self.call)),
            Lets::Refuse(refused) => Poll::Ready(Admission::Refused(refused)),
            Lets::Wait(_) | Lets::WaitForLimit => {
                let own = inside.waiting.iter_mut().find(|(id, ..)| *id == self.call.id);
                if let Some((_, _, waker)) = own {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn waiting(&self) -> Waiting {
        let nothing = Waiting { limit: Limit::MaxTokensTotal, place: 1, until: None };
        ResourceGovernor::waiting(&self.turnstile, &self.call.run).unwrap_or(nothing)
    }

    fn no_room(&self) -> NoRoom {
        let (limit, until) = (Limit::MaxTokensTotal, Turn::until(self));
        NoRoom { limit, whose: Whose::Agent, allowed: None, waits: true, until }
    }

    fn until(&self) -> Option<UnixMillis> {
        if let Lets::Wait(until) = self.turnstile.inside().lets { until } else { None }
    }

    fn only_by_limit(&self) -> bool {
        self.turnstile.inside().lets == Lets::WaitForLimit
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        self.turnstile.inside().waiting.retain(|(id, ..)| *id != self.call.id);
    }
}
