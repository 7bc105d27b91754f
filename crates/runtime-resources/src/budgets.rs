//! What calls may take.

use std::time::Duration;

use runtime_traits::resource::{Limit, Money, ResourceLimits};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::meter::Span;

/// What the calls of somebody may take: of a run, an agent, a tenant, or a key at a provider. `None` means without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Calls of models in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens, read and written, in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
    /// Tokens, read and written, in all.
    pub tokens_total: Option<u64>,
    /// Money in any hour.
    pub cost_per_hour: Option<Money>,
    /// Money in any 24 hours.
    pub cost_per_day: Option<Money>,
    /// Money in a calendar month, in UTC.
    pub cost_per_month: Option<Money>,
    /// Money in all.
    pub cost_total: Option<Money>,
}

/// A limit that is lower than what is asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLow {
    pub(crate) limit: Limit,
    pub(crate) needs: u64,
    pub(crate) max: u64,
}

/// What is counted, and over what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) limit: Limit,
    pub(crate) span: Span,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Requests,
    Tokens,
    Money,
}

const MINUTE: Span = Span::Any(Duration::from_secs(60));
const HOUR: Span = Span::Any(Duration::from_secs(3_600));
const DAY: Span = Span::Any(Duration::from_secs(86_400));

/// All that a ledger counts.
pub(crate) const COUNTED: [Counted; 7] = [
    Counted { limit: Limit::MaxRequestsPerMinute, span: MINUTE, what: What::Requests },
    Counted { limit: Limit::MaxTokensPerMinute, span: MINUTE, what: What::Tokens },
    Counted { limit: Limit::MaxTokensTotal, span: Span::Ever, what: What::Tokens },
    Counted { limit: Limit::MaxCostPerHour, span: HOUR, what: What::Money },
    Counted { limit: Limit::MaxCostPerDay, span: DAY, what: What::Money },
    Counted { limit: Limit::MaxCostPerMonth, span: Span::Month, what: What::Money },
    Counted { limit: Limit::MaxCostTotal, span: Span::Ever, what: What::Money },
];

impl Counted {
    /// What this limit counts of a claim.
    pub(crate) fn of(&self, claim: &Claim) -> u64 {
        match self.what {
            What::Requests => claim.requests,
            What::Tokens => claim.tokens,
            What::Money => claim.micros,
        }
    }

    /// The same, to be changed.
    pub(crate) fn of_mut<'c>(&self, claim: &'c mut Claim) -> &'c mut u64 {
        match self.what {
            What::Requests => &mut claim.requests,
            What::Tokens => &mut claim.tokens,
            What::Money => &mut claim.micros,
        }
    }
}

impl Budgets {
    /// What the calls of an agent may take together.
    pub fn of_agent(limits: &ResourceLimits) -> Self {
        Self {
            requests_per_minute: limits.max_requests_per_minute,
            tokens_per_minute: limits.max_tokens_per_minute,
            tokens_total: limits.max_tokens_total,
            cost_per_hour: limits.max_cost_per_hour,
            cost_per_day: limits.max_cost_per_day,
            cost_per_month: limits.max_cost_per_month,
            cost_total: limits.max_cost_total,
        }
    }

    /// The same as limits: [`of_agent`](Self::of_agent) read backwards.
    pub(crate) fn as_limits(&self) -> ResourceLimits {
        ResourceLimits {
            max_requests_per_minute: self.requests_per_minute,
            max_tokens_per_minute: self.tokens_per_minute,
            max_tokens_total: self.tokens_total,
            max_cost_per_hour: self.cost_per_hour,
            max_cost_per_day: self.cost_per_day,
            max_cost_per_month: self.cost_per_month,
            max_cost_total: self.cost_total,
            ..ResourceLimits::default()
        }
    }

    /// What the calls of one run may take.
    pub fn of_run(limits: &ResourceLimits) -> Self {
        Self {
            tokens_total: limits.max_tokens_per_run,
            cost_total: limits.max_cost_per_run,
            ..Self::default()
        }
    }

    /// What a limit is: calls, tokens, or millionths of a dollar. `None`: there is none, or it is not about calls.
    pub fn of(&self, limit: Limit) -> Option<u64> {
        let money = |money: Option<Money>| money.map(Money::micros);
        match limit {
            Limit::MaxRequestsPerMinute => self.requests_per_minute,
            Limit::MaxTokensPerMinute => self.tokens_per_minute,
            Limit::MaxTokensTotal => self.tokens_total,
            Limit::MaxCostPerHour => money(self.cost_per_hour),
            Limit::MaxCostPerDay => money(self.cost_per_day),
            Limit::MaxCostPerMonth => money(self.cost_per_month),
            Limit::MaxCostTotal => money(self.cost_total),
            _ => None,
        }
    }

    /// The limit under which there is never room for so much, if there is one.
    pub(crate) fn too_low(&self, claim: &Claim) -> Option<TooLow> {
        COUNTED.iter().find_map(|counted| {
            let (limit, needs, max) = (counted.limit, counted.of(claim), self.of(counted.limit)?);
            (needs > max).then_some(TooLow { limit, needs, max })
        })
    }

    /// Whether money is limited: then each model has to have a price.
    pub fn limit_money(&self) -> bool {
        let money = [self.cost_per_hour, self.cost_per_day, self.cost_per_month, self.cost_total];
        money.iter().any(Option::is_some)
    }
}
