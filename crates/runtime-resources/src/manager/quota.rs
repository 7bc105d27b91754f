//! What a provider lets through for one key.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::resource::Limit;
use serde::{Deserialize, Serialize};

use crate::budgets::Budgets;
use crate::claim::Claim;
use crate::ledger::{Answer, Ledger};

/// What a provider lets through for one key, as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    /// The models that it is about: `openai/gpt-4o`, or `openai/*` for all of a provider.
    pub models: String,
    /// Calls in any 60 seconds.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Tokens in any 60 seconds.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
}

/// A quota in use.
#[derive(Debug)]
pub(super) struct Quota {
    rule: QuotaRule,
    ledger: Ledger,
    /// The provider lets nothing through before this moment.
    shut_until: UnixMillis,
    /// How much of the quota is used, in hundredths, and when that was last raised.
    share: u64,
    raised: UnixMillis,
}

/// How long nothing is sent after a refusal that does not say so.
const PAUSE: Duration = Duration::from_secs(1);
/// Each refusal takes a tenth of what was let through; each quiet span gives a twentieth of the quota back.
const LOWERED: (u64, u64) = (9, 10);
const LOWEST: u64 = 10;
const RAISED: u64 = 5;
const QUIET: Duration = Duration::from_secs(15);

impl Quota {
    pub(super) fn new(rule: QuotaRule) -> Self {
        let mut quota = Self {
            rule,
            ledger: Ledger::new(Budgets::default()),
            shut_until: UnixMillis(0),
            share: 100,
            raised: UnixMillis(0),
        };
        quota.set();
        quota
    }

    pub(super) fn is_of(&self, model: &str) -> bool {
        match self.rule.models.strip_suffix('*') {
            Some(stem) => model.starts_with(stem),
            None => model == self.rule.models,
        }
    }

    fn set(&mut self) {
        let part = |whole: Option<u64>| whole.map(|whole| (whole * self.share / 100).max(1));
        self.ledger.set_budgets(Budgets {
            requests_per_minute: part(self.rule.requests_per_minute),
            tokens_per_minute: part(self.rule.tokens_per_minute),
            ..Budgets::default()
        });
    }

    pub(super) fn look(&mut self, now: UnixMillis, claim: Claim) -> Answer {
        if self.share < 100 && now >= self.raised.after(QUIET) {
            self.share = (self.share + RAISED).min(100);
            self.raised = now;
            self.set();
        }
        if now < self.shut_until {
            return Answer::Wait { limit: Limit::MaxRequestsPerMinute, until: Some(self.shut_until) };
        }
        match self.ledger.look(now, claim) {
            // What fits into the whole waits until more of it is let through.
            Answer::Never { limit, .. } if self.share < 100 => {
                Answer::Wait { limit, until: Some(self.raised.after(QUIET)) }
            }
            answer => answer,
        }
    }

    pub(super) fn hold(&mut self, id: u128, now: UnixMillis, claim: Claim) {
        self.ledger.hold(id, now, claim);
    }

    pub(super) fn settle(&mut self, id: u128, claim: Claim) {
        self.ledger.settle(id, claim);
    }

    pub(super) fn throttled(&mut self, retry_after: Option<Duration>, now: UnixMillis) {
        // Calls that were sent together are refused together: that is one refusal.
        if now >= self.shut_until {
            self.share = (self.share * LOWERED.0 / LOWERED.1).max(LOWEST);
            self.set();
        }
        self.raised = now;
        self.shut_until = self.shut_until.max(now.after(retry_after.unwrap_or(PAUSE)));
    }
}
