//! What a provider lets through for one key.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::resource::Minute;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::budgets::TooLow;
use crate::claim::Claim;
use crate::ledger::Answer;
use crate::price::names_models;
use crate::quota::{Flow, Rates};

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
    /// Nothing is said of how much the provider lets through, or that it is nothing. Such a rule would hide those behind it.
    #[error(
        "the quota of `{models}` limits nothing: give it `requests_per_minute` or `tokens_per_minute`, above 0"
    )]
    Empty {
        /// Of which models.
        models: String,
    },
}

impl QuotaRule {
    /// Checks that it limits something that there can be.
    ///
    /// # Errors
    /// [`QuotaError`].
    pub fn check(&self) -> Result<(), QuotaError> {
        let models = || self.models.chars().take(80).collect();
        let rates = [self.requests_per_minute, self.tokens_per_minute];
        if !names_models(&self.models) {
            return Err(QuotaError::Name { models: models() });
        }
        if rates == [None, None] || rates.contains(&Some(0)) {
            return Err(QuotaError::Empty { models: models() });
        }
        Ok(())
    }
}

/// A quota in use: what flows by it. Whose turn it is, the queues know.
#[derive(Debug)]
pub(super) struct Quota {
    models: String,
    flow: Flow<u128>,
}

impl Quota {
    pub(super) fn new(rule: QuotaRule) -> Self {
        let QuotaRule { models, requests_per_minute, tokens_per_minute } = rule;
        Self { models, flow: Flow::new(Rates { requests_per_minute, tokens_per_minute }) }
    }

    pub(super) fn is_of(&self, model: &str) -> bool {
        match self.models.strip_suffix('*') {
            Some(stem) => model.starts_with(stem),
            None => model == self.models,
        }
    }

    /// The limit under which there is never room for so much, if there is one.
    pub(super) fn too_low(&self, claim: Claim) -> Option<TooLow> {
        self.flow.too_low(claim)
    }

    pub(super) fn look(&mut self, now: UnixMillis, claim: Claim) -> Answer {
        if let Some(TooLow { limit, needs, max }) = self.flow.too_low(claim) {
            return Answer::Never { limit, needs, max };
        }
        match self.flow.ready(now, claim) {
            (at, _) if at <= now => Answer::Held,
            (at, limit) => Answer::Wait { limit, until: Some(at) },
        }
    }

    /// About when so much will have been sent that is sent in pieces.
    pub(super) fn expected(&mut self, now: UnixMillis, claim: Claim) -> UnixMillis {
        self.flow.expected(now, claim)
    }

    /// What a turn with so many tokens costs.
    pub(super) fn cost(&self, tokens: u64) -> u64 {
        self.flow.cost(tokens)
    }

    pub(super) fn hold(&mut self, id: u128, now: UnixMillis, claim: Claim) {
        self.flow.send(id, now, claim);
    }

    pub(super) fn settle(&mut self, id: u128, took: Claim) {
        self.flow.settle(&id, took);
    }

    /// The provider refused a call.
    pub(super) fn refused(&mut self, id: u128, retry_after: Option<Duration>, now: UnixMillis) {
        self.flow.refused(&id, now, retry_after);
    }

    /// Charges what was used within the last minute, of whichever model it was.
    pub(super) fn recall(&mut self, minutes: &[Minute], now: UnixMillis) {
        for minute in minutes {
            let used = Claim { requests: minute.requests, tokens: minute.tokens, micros: 0 };
            self.flow.recall(minute.at, used, now);
        }
    }
}
