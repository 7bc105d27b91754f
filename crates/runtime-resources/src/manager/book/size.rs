//! How much a call takes, and whether there can ever be room for it.

use runtime_traits::log::Usage;
use runtime_traits::model::CalledModel;
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Call, Money, Refused, ResourceLimits, Whose};

use super::{Books, of_a_run};
use crate::budgets::{Budgets, TooLow};
use crate::claim::Claim;

/// What a call takes; its price may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) struct Priced {
    pub(in crate::manager) requests: u64,
    pub(in crate::manager) tokens: u64,
    pub(in crate::manager) micros: Option<u64>,
}

impl Priced {
    /// What can be counted of it.
    pub(in crate::manager) fn known(self) -> Claim {
        let Self { requests, tokens, micros } = self;
        Claim { requests, tokens, micros: micros.unwrap_or(0) }
    }
}

impl Books {
    /// What a use of a model takes.
    pub(super) fn claim_of(&self, model: Option<&CalledModel>, usage: &Usage) -> Priced {
        Priced {
            requests: u64::from(usage.model_calls),
            tokens: usage.tokens(),
            micros: match model {
                Some(model) => self.prices.cost(&model.name, usage).map(Money::micros),
                // What is no model costs nothing here.
                None => Some(0),
            },
        }
    }

    /// What a call takes at most, as far as is known now, and in numbers. A correction alone makes no call too large for a limit.
    ///
    /// # Errors
    /// [`Refused::Unpriced`].
    pub(in crate::manager) fn wanted(&self, call: &Call) -> Result<(Usage, Priced), Refused> {
        let (model, plain) = (call.model.as_ref(), call.most.input_tokens);
        let limits = self.limits_of(&call.agent);
        self.check_priced(&call.tenant, &limits, model)?;
        let with = |input_tokens: u64| {
            let estimated_tokens = call.most.estimated_tokens.saturating_add(input_tokens - plain);
            let most = Usage { input_tokens, estimated_tokens, ..call.most };
            (most, self.claim_of(model, &most))
        };
        let fits = |input: u64| self.check_size(&call.tenant, &limits, model, with(input).1.known()).is_ok();
        let estimator = model.and_then(|model| Some((&model.name, self.estimators.get(&call.tenant)?)));
        let corrected = estimator.map_or(plain, |(model, of)| of.corrected(model, plain).max(plain));
        if corrected == plain || fits(corrected) || !fits(plain) {
            return Ok(with(corrected));
        }
        let (mut most, mut too_much) = (plain, corrected);
        while too_much - most > 1 {
            let middle = most + (too_much - most) / 2;
            if fits(middle) {
                most = middle;
            } else {
                too_much = middle;
            }
        }
        Ok(with(most))
    }

    /// Whether a call of this size would be let through for an agent with these limits.
    pub(in crate::manager) fn check(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        least: Option<(&CalledModel, Usage)>,
    ) -> Result<(), Refused> {
        let Some((model, most)) = least else { return Ok(()) };
        self.check_priced(tenant, limits, Some(model))?;
        self.check_size(tenant, limits, Some(model), self.claim_of(Some(model), &most).known())
    }

    /// Whether it is known what a model costs, if money is limited for whoever calls it.
    fn check_priced(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        model: Option<&CalledModel>,
    ) -> Result<(), Refused> {
        let Some(model) = model.filter(|model| self.prices.of(&model.name).is_none()) else { return Ok(()) };
        let of_tenant = self.tenants.get(tenant).is_some_and(|ledger| ledger.budgets().limit_money());
        if of_tenant || limits.limit_money() {
            return Err(Refused::Unpriced { model: model.name.clone() });
        }
        Ok(())
    }

    /// Whether there can be room for so much at once: for a run and an agent with these limits, for its tenant and at its provider.
    fn check_size(
        &self,
        tenant: &Tenant,
        limits: &ResourceLimits,
        model: Option<&CalledModel>,
        claim: Claim,
    ) -> Result<(), Refused> {
        let of_run = Budgets::of_run(limits).too_low(&claim);
        let of_run = of_run.map(|too_low| TooLow { limit: of_a_run(too_low.limit), ..too_low });
        let of_agent = || Budgets::of_agent(limits).too_low(&claim);
        let of_tenant = || self.tenants.get(tenant)?.budgets().too_low(&claim);
        let of_quota = || self.quotas.too_low(model?, claim);
        let too_low = of_run.map(|low| (Whose::Run, low));
        let too_low = too_low.or_else(|| Some((Whose::Agent, of_agent()?)));
        let too_low = too_low.or_else(|| Some((Whose::Tenant, of_tenant()?)));
        let too_low = too_low.or_else(|| Some((Whose::Provider, of_quota()?)));
        too_low.map_or(Ok(()), |(whose, TooLow { limit, needs, max })| {
            Err(Refused::Never { limit, whose, needs, max })
        })
    }
}
