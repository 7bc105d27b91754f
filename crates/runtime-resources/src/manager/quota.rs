//! What a provider lets through for one key.

use std::collections::HashMap;
use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::model::CalledModel;
use runtime_traits::resource::Minute;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::budgets::TooLow;
use crate::claim::Claim;
use crate::ledger::Answer;
use crate::price::names_models;
use crate::quota::{Flow, Rates};

/// What a provider lets through for one key, as declared.
///
/// Who names no credential means each: calls with different ones have nothing in common, and each has a quota of its own.
///
/// ```
/// use runtime_resources::QuotaRule;
///
/// // Each key that calls a model of OpenAI has 500 requests in a minute.
/// let each = QuotaRule { requests_per_minute: Some(500), ..QuotaRule::of_models(["openai/*"]) };
/// // Whatever is called with this key is counted together.
/// let team = QuotaRule { requests_per_minute: Some(50), ..QuotaRule::of_credential("env:TEAM_A_KEY") };
/// assert!(each.check().is_ok() && team.check().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaRule {
    /// The credentials that the provider counts together, by where their keys are: `env:NAME` or `file:PATH`, as the agents name
    /// them. Empty: each by itself, and calls without one as well.
    pub credentials: Vec<String>,
    /// The models that are counted together: `openai/gpt-4o`, or `openai/*` for all of a provider. Empty: all.
    pub models: Vec<String>,
    /// Calls in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
}

/// A rule that limits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuotaError {
    /// A name that no model can have.
    #[error(
        "`{models}` is no name of a model: write it as the agent does, `provider/model`, at most with one `*` at its end"
    )]
    Name {
        /// What stands there.
        models: String,
    },
    /// A credential that is no reference. It may be the key itself, and is not repeated.
    #[error(
        "`credential` says nowhere where the key is: write it as the agent's `key`, \"env:NAME\" or \"file:PATH\", and never the key itself"
    )]
    Credential,
    /// Neither a credential nor a model is named.
    #[error("it says not of what the quota is: name a `credential`, `models` or both")]
    OfNothing,
    /// Nothing is said of how much the provider lets through, or that it is nothing. Such a rule would hide those behind it.
    #[error(
        "the quota of `{of}` limits nothing: give it `requests_per_minute` or `tokens_per_minute`, above 0"
    )]
    Empty {
        /// Of which models, or of which credential.
        of: String,
    },
    /// Another rule before it counts the same calls, so that it would hold for none of them.
    #[error(
        "calls of `{of}` have a quota already, before this one: write the narrower one first, or take one out"
    )]
    Twice {
        /// The models, and the credential.
        of: String,
    },
}

impl QuotaRule {
    /// A rule about models, with whatever credential they are called. It limits nothing yet.
    pub fn of_models(models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { models: models.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A rule about all that is called with a credential. It limits nothing yet.
    pub fn of_credential(credential: impl Into<String>) -> Self {
        Self { credentials: vec![credential.into()], ..Self::default() }
    }

    /// Checks that it limits something that there can be.
    ///
    /// # Errors
    /// [`QuotaError`].
    pub fn check(&self) -> Result<(), QuotaError> {
        if let Some(models) = self.models.iter().find(|models| !names_models(models)) {
            return Err(QuotaError::Name { models: models.chars().take(80).collect() });
        }
        if !self.credentials.iter().all(|credential| names_a_key(credential)) {
            return Err(QuotaError::Credential);
        }
        let Some(of) = self.credentials.first().or(self.models.first()) else {
            return Err(QuotaError::OfNothing);
        };
        let rates = [self.requests_per_minute, self.tokens_per_minute];
        if rates == [None, None] || rates.contains(&Some(0)) {
            return Err(QuotaError::Empty { of: of.chars().take(80).collect() });
        }
        Ok(())
    }

    /// Checks that it is about calls that none of the rules before it is about.
    ///
    /// Of two rules that name no credential only those are the same that name the same models.
    ///
    /// # Errors
    /// [`QuotaError::Twice`].
    pub fn check_behind(&self, before: &[Self]) -> Result<(), QuotaError> {
        let named = !self.credentials.is_empty();
        for other in before.iter().filter(|other| other.credentials.is_empty() != named) {
            let credential =
                self.credentials.iter().find(|credential| other.credentials.contains(credential));
            if named && credential.is_none() {
                continue;
            }
            let hidden = |of: &&str| other.about().any(|by| if named { covers(by, of) } else { by == *of });
            if let Some(of) = self.about().find(hidden) {
                let with = credential.map(|credential| format!(" with {credential}")).unwrap_or_default();
                let of = format!("{of}{with}").chars().take(160).collect();
                return Err(QuotaError::Twice { of });
            }
        }
        Ok(())
    }

    /// The patterns of its models.
    fn about(&self) -> impl Iterator<Item = &str> {
        let all = self.models.is_empty().then_some("*");
        self.models.iter().map(String::as_str).chain(all)
    }

    fn is_of(&self, model: &str) -> bool {
        self.about().any(|models| covers(models, model))
    }

    fn names(&self, credential: Option<&str>) -> bool {
        credential.is_some_and(|credential| self.credentials.iter().any(|named| named == credential))
    }
}

/// Whether one pattern fits all that another one, or a name, fits.
fn covers(models: &str, others: &str) -> bool {
    match models.strip_suffix('*') {
        Some(stem) => others.starts_with(stem),
        None => models == others,
    }
}

/// Whether it says where a key is.
fn names_a_key(credential: &str) -> bool {
    ["env:", "file:"].iter().any(|way| credential.strip_prefix(way).is_some_and(|rest| !rest.is_empty()))
}

/// So many flows are kept in any case.
const FEW: usize = 1_024;

/// Which flow.
pub(super) type FlowId = u64;

/// The quotas in use: what flows by each. Whose turn it is, the queues know.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    declared: Vec<Declared>,
    flows: HashMap<FlowId, Flow<u128>>,
    last: FlowId,
    /// With how many flows it is looked which may go.
    enough: usize,
}

#[derive(Debug)]
struct Declared {
    rule: QuotaRule,
    /// What a credential finds that was not used in this process: what was recalled is of any.
    fresh: Flow<u128>,
    /// A rule that names credentials has one flow for all of them, under `None`.
    flows: HashMap<Option<String>, FlowId>,
}

impl Quotas {
    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    pub(super) fn declare(&mut self, rule: QuotaRule) {
        let QuotaRule { requests_per_minute, tokens_per_minute, .. } = rule;
        let fresh = Flow::new(Rates { requests_per_minute, tokens_per_minute });
        self.declared.push(Declared { rule, fresh, flows: HashMap::new() });
    }

    /// The first rule that names the credential, and otherwise the first that names none.
    fn rule_of(&self, called: &CalledModel) -> Option<usize> {
        let credential = called.credential.as_deref();
        let first = |named: bool| {
            self.declared.iter().position(|Declared { rule, .. }| {
                let fits = if named { rule.names(credential) } else { rule.credentials.is_empty() };
                fits && rule.is_of(&called.name)
            })
        };
        first(true).or_else(|| first(false))
    }

    /// The flow that a call belongs to.
    pub(super) fn of(&mut self, called: &CalledModel) -> Option<FlowId> {
        let at = self.rule_of(called)?;
        let Declared { rule, fresh, flows } = &mut self.declared[at];
        let credential = if rule.credentials.is_empty() { &called.credential } else { &None };
        if let Some(id) = flows.get(credential) {
            return Some(*id);
        }
        self.last += 1;
        flows.insert(credential.clone(), self.last);
        self.flows.insert(self.last, fresh.clone());
        Some(self.last)
    }

    /// Whether it is to be looked which flows may go.
    pub(super) fn are_many(&self) -> bool {
        self.flows.len() >= self.enough.max(FEW)
    }

    /// Lets flows go that are as if nobody had used them, and for which nobody waits.
    pub(super) fn let_go(&mut self, now: UnixMillis, waited_for: impl Fn(FlowId) -> bool) {
        self.flows.retain(|id, flow| waited_for(*id) || !flow.is_at_rest(now));
        let left = &self.flows;
        for declared in &mut self.declared {
            declared.flows.retain(|_, id| left.contains_key(id));
        }
        self.enough = left.len() + FEW.max(left.len() / 2);
    }

    /// The limit under which there is never room for so much, if there is one.
    pub(super) fn too_low(&self, called: &CalledModel, claim: Claim) -> Option<TooLow> {
        self.declared[self.rule_of(called)?].fresh.too_low(claim)
    }

    pub(super) fn look(&mut self, of: FlowId, now: UnixMillis, claim: Claim) -> Answer {
        let Some(flow) = self.flows.get_mut(&of) else { return Answer::Held };
        if let Some(TooLow { limit, needs, max }) = flow.too_low(claim) {
            return Answer::Never { limit, needs, max };
        }
        match flow.ready(now, claim) {
            (at, _) if at <= now => Answer::Held,
            (at, limit) => Answer::Wait { limit, until: Some(at) },
        }
    }

    /// About when so much will have been sent that is sent in pieces.
    pub(super) fn expected(&mut self, of: FlowId, now: UnixMillis, claim: Claim) -> Option<UnixMillis> {
        self.flows.get_mut(&of).map(|flow| flow.expected(now, claim))
    }

    /// What a turn with so many tokens costs.
    pub(super) fn cost(&self, of: FlowId, tokens: u64) -> u64 {
        self.flows.get(&of).map_or(tokens.max(1), |flow| flow.cost(tokens))
    }

    pub(super) fn hold(&mut self, of: FlowId, id: u128, now: UnixMillis, claim: Claim) {
        if let Some(flow) = self.flows.get_mut(&of) {
            flow.send(id, now, claim);
        }
    }

    pub(super) fn settle(&mut self, of: FlowId, id: u128, took: Claim) {
        if let Some(flow) = self.flows.get_mut(&of) {
            flow.settle(&id, took);
        }
    }

    /// The provider refused a call.
    pub(super) fn refused(&mut self, of: FlowId, id: u128, retry_after: Option<Duration>, now: UnixMillis) {
        if let Some(flow) = self.flows.get_mut(&of) {
            flow.refused(&id, now, retry_after);
        }
    }

    /// Charges what was used within the last minute, of whichever model and with whichever credential it was.
    pub(super) fn recall(&mut self, minutes: &[Minute], now: UnixMillis) {
        let fresh = self.declared.iter_mut().map(|declared| &mut declared.fresh);
        for flow in fresh.chain(self.flows.values_mut()) {
            for minute in minutes {
                let used = Claim { requests: minute.requests, tokens: minute.tokens, micros: 0 };
                flow.recall(minute.at, used, now);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }
}
