//! What was used and what is held, by whom.

mod size;
mod used;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Price, Usage};
use runtime_traits::model::CalledModel;
use runtime_traits::name::Tenant;
use runtime_traits::resource::{
    Admission, Call, CallId, Known, Limit, Money, OnLimit, Past, Refused, ResourceLimits, Waiting, Whose,
};

use super::queues::Queues;
use super::quota::{FlowId, QuotaRule, Quotas};
use super::turn::Answered;
use crate::budgets::Budgets;
use crate::claim::Claim;
use crate::estimate::Estimator;
use crate::ledger::{Answer, Ledger};
use crate::permits::{Permits, Ticket};
use crate::price::PriceTable;
pub(super) use size::Priced;
use used::recall;
pub(super) use used::usage_from;

/// The most runs of one agent that wait to be worked: all that a runtime has open.
const MOST_ENTERING: usize = 100_000;

/// So many agents' books are kept in any case.
const FEW: usize = 1_024;

/// All books.
#[derive(Debug, Default)]
pub(super) struct Books {
    agents: HashMap<AgentId, AgentBook>,
    runs: HashMap<RunId, RunBook>,
    /// With how many agents it is looked whose books may go.
    enough: usize,
    tenants: HashMap<Tenant, Ledger>,
    /// Tenants whose use before this process was told.
    recalled: HashSet<Tenant>,
    pub(super) quotas: Quotas,
    /// Each tenant's, since each calls its own providers.
    estimators: HashMap<Tenant, Estimator>,
    prices: Arc<PriceTable>,
    held: HashMap<CallId, Held>,
    /// Runs that wait to be worked, and where they stand.
    entering: HashMap<RunId, (Permits, Ticket)>,
    /// The latest moment that anybody told.
    latest: UnixMillis,
    pub(super) queues: Queues,
}

#[derive(Debug)]
struct AgentBook {
    /// Whether anybody opened it since it was looked which books may go.
    touched: bool,
    limits: ResourceLimits,
    ledger: Ledger,
    known: bool,
    permits: Permits,
}

#[derive(Debug)]
struct RunBook {
    agent: AgentId,
    ledger: Ledger,
}

/// A call that is under way.
#[derive(Debug)]
struct Held {
    call: Call,
    most: Usage,
    claim: Priced,
    quota: Option<FlowId>,
    at: UnixMillis,
    /// Whether somebody was told; it is theirs then, and settled by them.
    taken: bool,
}

/// Whose limit it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Scope {
    Run(RunId),
    Agent(AgentId),
    Tenant(Tenant),
    Quota(FlowId),
}

impl Scope {
    pub(super) const fn whose(&self) -> Whose {
        match self {
            Self::Run(_) => Whose::Run,
            Self::Agent(_) => Whose::Agent,
            Self::Tenant(_) => Whose::Tenant,
            Self::Quota(_) => Whose::Provider,
        }
    }
}

/// Why a call cannot be held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    Full { scope: Scope, limit: Limit, until: Option<UnixMillis> },
    Never(Refused),
}

impl AgentBook {
    fn new() -> Self {
        Self {
            touched: true,
            limits: ResourceLimits::default(),
            ledger: Ledger::new(Budgets::default()),
            known: false,
            permits: Permits::with_waiting(None, MOST_ENTERING),
        }
    }

    /// Who is let in to be worked is to be woken.
    fn set_limits(&mut self, limits: &ResourceLimits) -> Vec<Waker> {
        self.limits = *limits;
        self.ledger.set_budgets(Budgets::of_agent(limits));
        self.permits.change_max(limits.max_concurrent_requests)
    }
}

impl Books {
    pub(super) fn new(prices: Arc<PriceTable>) -> Self {
        Self { prices, ..Self::default() }
    }

    /// Limits what the agents of a tenant take together. Whoever is not limited is counted no more, unless there is a quota.
    pub(super) fn limit_tenant(&mut self, tenant: &Tenant, budgets: Budgets) {
        if budgets == Budgets::default() && self.quotas.is_empty() {
            self.tenants.remove(tenant);
            // Whoever limits it again tells again what it used.
            self.recalled.remove(tenant);
        } else {
            self.count_tenant(tenant, None).set_budgets(budgets);
        }
        self.limits_changed(&Scope::Tenant(tenant.clone()));
    }

    /// Counts what the agents of a tenant take together, from here on. What was used before comes first, and then what is under way.
    fn count_tenant(&mut self, tenant: &Tenant, before: Option<(&Past, UnixMillis)>) -> &mut Ledger {
        let Self { tenants, held, .. } = self;
        let is_new = !tenants.contains_key(tenant);
        let ledger = tenants.entry(tenant.clone()).or_insert_with(|| Ledger::new(Budgets::default()));
        if let Some((past, now)) = before {
            recall(ledger, past, now);
        }
        if is_new {
            let mut under_way: Vec<_> = held.iter().filter(|(_, held)| held.call.tenant == *tenant).collect();
            under_way.sort_by_key(|(_, held)| held.at);
            for (id, held) in under_way {
                ledger.hold(id.0, held.at, held.claim.known());
            }
        }
        ledger
    }

    /// How many agents and runs there are books of.
    #[cfg(test)]
    pub(super) fn agents(&self) -> usize {
        self.agents.len() + self.runs.len()
    }

    pub(super) fn limits_of(&self, agent: &AgentId) -> ResourceLimits {
        self.agents.get(agent).map(|book| book.limits).unwrap_or_default()
    }

    fn agent(&mut self, agent: &AgentId) -> &mut AgentBook {
        let book = self.agents.entry(*agent).or_insert_with(AgentBook::new);
        book.touched = true;
        book
    }

    /// Lets books go of agents that did nothing for a while, and of their runs. Whoever needs one again is told that nobody knows it, and
    /// reads what was used.
    ///
    /// A book goes only if nobody opened it between two looks, each of which follows many others' first calls: whoever limits an agent
    /// has asked for the call long before.
    fn let_go(&mut self) {
        if self.agents.len() < self.enough.max(FEW) {
            return;
        }
        let queues = &self.queues;
        self.agents.retain(|agent, book| {
            let is_needed =
                book.ledger.held() > 0 || book.permits.is_shared() || queues.waiting_for(agent) > 0;
            std::mem::replace(&mut book.touched, false) || is_needed
        });
        let agents = &self.agents;
        self.runs.retain(|_, run| agents.contains_key(&run.agent));
        self.enough = agents.len() + FEW.max(agents.len() / 2);
    }

    /// A quota limits what all agents take together that use its models, whosever they are.
    pub(super) fn limits_tenant(&self, tenant: &Tenant) -> bool {
        self.tenants.contains_key(tenant) || !self.quotas.is_empty()
    }

    pub(super) fn declare(&mut self, rule: QuotaRule) {
        self.quotas.declare(rule);
    }

    pub(super) fn throttled(&mut self, id: CallId, retry_after: Option<Duration>, now: UnixMillis) {
        if let Some(Held { quota: Some(at), .. }) = self.held.get(&id) {
            self.quotas.refused(*at, id.0, retry_after, now);
        }
    }

    pub(super) fn limit(&mut self, tenant: &Tenant, agent: &AgentId, limits: &ResourceLimits) -> Known {
        if !self.agents.contains_key(agent) {
            self.let_go();
        }
        let book = self.agent(agent);
        let known = if book.known { Known::Yes } else { Known::No };
        if book.limits != *limits {
            let waits_no_more = book.limits.on_limit == OnLimit::Wait && limits.on_limit == OnLimit::Refuse;
            let woken = book.set_limits(limits);
            self.queues.wakers.woken.extend(woken);
            let of_run = Budgets::of_run(limits);
            let runs: Vec<RunId> = self
                .runs
                .iter_mut()
                .filter(|(_, run)| run.agent == *agent)
                .map(|(id, run)| {
                    run.ledger.set_budgets(of_run);
                    *id
                })
                .collect();
            let scopes = runs.into_iter().map(Scope::Run);
            for scope in scopes.chain([Scope::Agent(*agent), Scope::Tenant(tenant.clone())]) {
                self.limits_changed(&scope);
            }
            if waits_no_more {
                self.refuse_waiting(agent);
            }
        }
        known
    }

    pub(super) fn recall(&mut self, agent: &AgentId, past: &Past, now: UnixMillis) {
        let book = self.agent(agent);
        if std::mem::replace(&mut book.known, true) {
            return;
        }
        recall(&mut book.ledger, past, now);
        let limits = Budgets::of_run(&book.limits);
        for open in &past.open {
            let run = || RunBook { agent: *agent, ledger: Ledger::new(limits) };
            let run = self.runs.entry(open.run).or_insert_with(run);
            run.ledger.record(now, Claim { requests: 0, tokens: open.tokens, micros: open.micros });
        }
    }

    /// Charges what a tenant used before, and counts it from here on. The books do not say of which model that was, nor with which
    /// credential: it counts against each quota.
    pub(super) fn recall_tenant(&mut self, tenant: &Tenant, past: &Past, now: UnixMillis) {
        if !self.recalled.insert(tenant.clone()) {
            return;
        }
        self.quotas.recall(&past.minutes, now);
        self.count_tenant(tenant, Some((past, now)));
    }

    /// What is held for a call already. Whoever is told has it from here on.
    pub(super) fn take(&mut self, id: CallId) -> Option<Admission> {
        let held = self.held.get_mut(&id)?;
        held.taken = true;
        Some(Admission::Held { most: held.most, price: held.claim.micros.map(Money::from_micros) })
    }

    /// Whether nobody was told yet that a call is held.
    pub(super) fn is_untaken(&self, id: CallId) -> bool {
        self.held.get(&id).is_some_and(|held| !held.taken)
    }

    /// The quota of a call. It may be the first one with its credential.
    fn quota_of(&mut self, call: &Call) -> Option<FlowId> {
        let called = call.model.as_ref()?;
        let Self { quotas, queues, .. } = self;
        if quotas.are_many() {
            quotas.let_go(self.latest, |id| queues.line(&Scope::Quota(id)).is_some());
        }
        quotas.of(called)
    }

    /// The scopes of a call, the narrowest first.
    pub(super) fn scopes(&mut self, call: &Call) -> Vec<Scope> {
        let mut scopes = vec![Scope::Run(call.run), Scope::Agent(call.agent)];
        if self.tenants.contains_key(&call.tenant) {
            scopes.push(Scope::Tenant(call.tenant.clone()));
        }
        scopes.extend(self.quota_of(call).map(Scope::Quota));
        scopes
    }

    /// The latest moment that anybody told, this one among them.
    pub(super) fn seen(&mut self, now: UnixMillis) {
        self.latest = self.latest.max(now);
    }

    pub(super) fn latest(&self) -> UnixMillis {
        self.latest
    }

    /// About when a scope has room for so much that is taken in pieces, as far as is known.
    pub(super) fn expected(&mut self, scope: &Scope, claim: &Claim) -> Option<UnixMillis> {
        let now = self.latest;
        match scope {
            Scope::Run(run) => self.runs.get_mut(run)?.ledger.expected(now, claim),
            Scope::Agent(agent) => self.agents.get_mut(agent)?.ledger.expected(now, claim),
            Scope::Tenant(tenant) => self.tenants.get_mut(tenant)?.expected(now, claim),
            Scope::Quota(at) => self.quotas.expected(*at, now, *claim),
        }
    }

    /// Whether a call can be held now, and whoever waits longer is not overtaken by it.
    pub(super) fn look(&mut self, call: &Call, claim: Claim, now: UnixMillis) -> Result<(), Blocked> {
        for scope in self.scopes(call) {
            self.look_in(&scope, call, claim, now)?;
            if let Some((limit, until)) = self.queues.line(&scope) {
                return Err(Blocked::Full { scope, limit, until });
            }
        }
        Ok(())
    }

    /// Whether one scope has room for a call.
    pub(super) fn look_in(
        &mut self,
        scope: &Scope,
        call: &Call,
        claim: Claim,
        now: UnixMillis,
    ) -> Result<(), Blocked> {
        let answer = match scope {
            Scope::Run(run) => self.run(run, &call.agent).look(now, claim),
            Scope::Agent(agent) => self.agent(agent).ledger.look(now, claim),
            Scope::Tenant(tenant) => {
                self.tenants.get_mut(tenant).map_or(Answer::Held, |ledger| ledger.look(now, claim))
            }
            Scope::Quota(at) => self.quotas.look(*at, now, claim),
        };
        let named = |limit| if let Scope::Run(_) = scope { of_a_run(limit) } else { limit };
        match answer {
            Answer::Held => Ok(()),
            Answer::Wait { limit, until } => {
                Err(Blocked::Full { scope: scope.clone(), limit: named(limit), until })
            }
            Answer::Never { limit, needs, max } => {
                let (limit, whose) = (named(limit), scope.whose());
                Err(Blocked::Never(Refused::Never { limit, whose, needs, max }))
            }
        }
    }

    /// Whether a call that finds no room in a scope can be helped by nothing but another limit.
    pub(super) fn is_stuck(&mut self, scope: &Scope, call: &Call, claim: Claim, now: UnixMillis) -> bool {
        match scope {
            Scope::Run(run) => self.run(run, &call.agent).is_stuck(now, claim),
            Scope::Agent(agent) => {
                self.agents.get_mut(agent).is_some_and(|book| book.ledger.is_stuck(now, claim))
            }
            Scope::Tenant(tenant) => {
                self.tenants.get_mut(tenant).is_some_and(|ledger| ledger.is_stuck(now, claim))
            }
            // Time makes room there.
            Scope::Quota(_) => false,
        }
    }

    fn run(&mut self, run: &RunId, agent: &AgentId) -> &mut Ledger {
        let limits = Budgets::of_run(&self.limits_of(agent));
        let book =
            self.runs.entry(*run).or_insert_with(|| RunBook { agent: *agent, ledger: Ledger::new(limits) });
        &mut book.ledger
    }

    /// Holds a call everywhere, for all who asked for it.
    pub(super) fn hold(&mut self, call: &Call, most: Usage, claim: Priced, now: UnixMillis) {
        let (id, known) = (call.id.0, claim.known());
        for scope in self.scopes(call) {
            match &scope {
                Scope::Run(run) => self.run(run, &call.agent).hold(id, now, known),
                Scope::Agent(agent) => {
                    self.agent(agent).ledger.hold(id, now, known);
                }
                Scope::Tenant(tenant) => {
                    if let Some(ledger) = self.tenants.get_mut(tenant) {
                        ledger.hold(id, now, known);
                    }
                }
                Scope::Quota(at) => self.quotas.hold(*at, id, now, known),
            }
        }
        let quota = self.quota_of(call);
        self.held.insert(call.id, Held { call: call.clone(), most, claim, quota, at: now, taken: false });
        self.answer_all(call.id, &Answered::Held { most, price: claim.micros.map(Money::from_micros) });
    }

    pub(super) fn settle(&mut self, id: CallId, took: Usage, now: UnixMillis) -> Price {
        self.seen(now);
        let Some(Held { call, quota, .. }) = self.held.remove(&id) else { return Price::default() };
        let claim = self.claim_of(call.model.as_ref(), &took);
        let known = claim.known();
        if let Some(model) = &call.model
            && took.estimated_tokens == 0
            && took.model_calls <= 1
        {
            let estimator = self.estimators.entry(call.tenant.clone()).or_default();
            estimator.learn_of(&model.name, call.most.input_tokens, took.input_tokens);
        }
        self.correct(id, &call, quota, known);
        self.ask_again(id);
        for scope in self.scopes(&call) {
            self.pump(&scope, now);
        }
        Price { micros: claim.micros, wasted_micros: 0 }
    }

    /// Counts a call that took this, and for which nothing was held.
    pub(super) fn record(&mut self, call: &Call, now: UnixMillis) {
        if self.held.contains_key(&call.id) {
            return;
        }
        let claim = self.claim_of(call.model.as_ref(), &call.most);
        self.hold(call, call.most, claim, now);
        if let Some(Held { quota, .. }) = self.held.remove(&call.id) {
            self.correct(call.id, call, quota, claim.known());
        }
    }

    /// Gives back what was held for a call that was never sent.
    pub(super) fn give_back(&mut self, id: CallId) {
        if let Some(Held { call, quota, .. }) = self.held.remove(&id) {
            self.correct(id, &call, quota, Claim::default());
            for scope in self.scopes(&call) {
                self.nudge(&scope);
            }
        }
    }

    fn correct(&mut self, id: CallId, call: &Call, quota: Option<FlowId>, known: Claim) {
        if let Some(run) = self.runs.get_mut(&call.run) {
            run.ledger.settle(id.0, known);
        }
        if let Some(agent) = self.agents.get_mut(&call.agent) {
            agent.ledger.settle(id.0, known);
        }
        if let Some(tenant) = self.tenants.get_mut(&call.tenant) {
            tenant.settle(id.0, known);
        }
        if let Some(quota) = quota {
            self.quotas.settle(quota, id.0, known);
        }
    }

    /// How many runs of an agent may be worked at once.
    pub(super) fn permits(&mut self, agent: &AgentId) -> Permits {
        self.agent(agent).permits.clone()
    }

    pub(super) fn is_entering(&mut self, run: RunId, place: Option<(Permits, Ticket)>) {
        self.entering.extend(place.map(|place| (run, place)));
    }

    pub(super) fn entered(&mut self, run: &RunId) {
        self.entering.remove(run);
    }

    /// What a run waits for that is not worked yet.
    pub(super) fn entering_of(&self, run: &RunId) -> Option<Waiting> {
        let (permits, ticket) = self.entering.get(run)?;
        // One that was let in, and did not look since, waits no longer.
        let ahead = permits.ahead_of(*ticket)?;
        let place = u32::try_from(ahead + 1).unwrap_or(u32::MAX);
        Some(Waiting { limit: Limit::MaxConcurrentRequests, place, until: None })
    }

    pub(super) fn run_over(&mut self, run: &RunId) {
        self.runs.remove(run);
    }

    pub(super) fn exhausted(
        &mut self,
        tenant: &Tenant,
        agent: &AgentId,
        least: Option<(&CalledModel, Usage)>,
        now: UnixMillis,
    ) -> Option<Refused> {
        let something = Claim { requests: 1, tokens: 1, micros: 1 };
        let least = least.map_or(something, |(model, most)| self.claim_of(Some(model), &most).known());
        let agent = self.agents.get_mut(agent).map(|book| (Whose::Agent, &mut book.ledger));
        let tenant = self.tenants.get_mut(tenant).map(|ledger| (Whose::Tenant, ledger));
        let ledgers = agent.into_iter().chain(tenant);
        ledgers
            .filter_map(|(whose, ledger)| match ledger.look(now, least) {
                Answer::Held => None,
                Answer::Wait { limit, until } => {
                    let retry_after = until.map(|until| until.since(now));
                    Some(Refused::Reached { limit, whose, retry_after })
                }
                Answer::Never { limit, needs, max } => Some(Refused::Never { limit, whose, needs, max }),
            })
            .next()
    }

    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.agents.remove(agent);
        self.runs.retain(|_, run| run.agent != *agent);
    }
}

/// The name of a limit as its owner knows it: a run's ledger counts its own tokens as all there are.
fn of_a_run(limit: Limit) -> Limit {
    match limit {
        Limit::MaxTokensTotal => Limit::MaxTokensPerRun,
        Limit::MaxCostTotal => Limit::MaxCostPerRun,
        other => other,
    }
}
