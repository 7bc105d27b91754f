//! What flows to a provider.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime_traits::UnixMillis;
use runtime_traits::resource::Limit;

use super::Rates;
use super::rate::{Charged, Rate, SPAN};
use crate::budgets::{Budgets, TooLow};
use crate::claim::Claim;
use crate::ledger::Settled;

/// All of what is declared, in thousandths.
const ALL: u64 = 1_000;
/// What is left of the rates at each 429: three quarters; never less than a twentieth of what is declared.
const LOWERED: (u64, u64, u64) = (3, 4, 50);
/// What comes back for each minute without a 429: a twentieth of what is declared.
const STEP: (Duration, u64) = (Duration::from_secs(60), 50);
/// How long nothing is sent after a 429 that does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// What is believed of how long: whoever says more may mean a day's worth of one model of many, or be broken.
const MOST_PAUSE: Duration = Duration::from_secs(3_600);

/// What flows to a provider with one credential: how much may be sent and when, whoever is next.
///
/// Never more than is declared falls into any minute, and it is spent evenly: after a pause a sixth of it at once. A call that the
/// provider refuses all the same (429) says that it holds less than is declared: then nothing is sent for as long as the provider
/// says, at most an hour, with three quarters of the rates after that, and a twentieth more for each minute without a 429.
///
/// What was used before this process counts as well, once it is [recalled](Self::recall): a minute that is known as a sum counts as if
/// all of it had been used at its last moment, and that of now as if it were used now; nothing counts as saved up. So a flow that
/// begins anew lets too little through for a minute, and never too much, as far as the one before is known.
#[derive(Clone, Debug)]
pub(crate) struct Flow<I> {
    declared: Rates,
    /// What is used of the declared rates, in thousandths.
    part: u64,
    /// When the rates were changed last by what the provider said.
    changed: UnixMillis,
    /// Until when the provider wants to hear nothing.
    shut: UnixMillis,
    requests: Rate,
    tokens: Rate,
    sent: BTreeMap<I, Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: UnixMillis,
    requests: Charged,
    tokens: Charged,
}

impl<I: Ord> Flow<I> {
    /// A flow of which nothing is used.
    pub(crate) fn new(declared: Rates) -> Self {
        Self {
            declared,
            part: ALL,
            changed: UnixMillis(0),
            shut: UnixMillis(0),
            requests: Rate::default(),
            tokens: Rate::default(),
            sent: BTreeMap::new(),
        }
    }

    /// The limit under which there is never room for so much, if there is one.
    pub(crate) fn too_low(&self, claim: Claim) -> Option<TooLow> {
        let Rates { requests_per_minute, tokens_per_minute } = self.declared;
        Budgets { requests_per_minute, tokens_per_minute, ..Budgets::default() }.too_low(&claim)
    }

    /// What a turn with so many tokens costs: the larger one of its parts, of the tokens or of the requests.
    pub(crate) fn cost(&self, tokens: u64) -> u64 {
        let Rates { requests_per_minute, tokens_per_minute } = self.declared;
        let both = tokens_per_minute.zip(requests_per_minute);
        tokens.max(both.map_or(1, |(tokens, requests)| tokens / requests.max(1)))
    }

    /// When there is room for so much, and the limit that has least.
    pub(crate) fn ready(&mut self, now: UnixMillis, claim: Claim) -> (UnixMillis, Limit) {
        self.recover(now);
        let (requests_max, tokens_max) = self.limits();
        let requests = self.requests.ready(now, claim.requests, requests_max).max(self.shut);
        let tokens = self.tokens.ready(now, claim.tokens, tokens_max);
        match tokens > requests {
            true => (tokens, Limit::MaxTokensPerMinute),
            false => (requests, Limit::MaxRequestsPerMinute),
        }
    }

    /// About when so much will have been sent that is sent in pieces.
    pub(crate) fn expected(&mut self, now: UnixMillis, claim: Claim) -> UnixMillis {
        let (requests_max, tokens_max) = self.limits();
        let of_requests = self.requests.expected(now, claim.requests, requests_max);
        of_requests.max(self.tokens.expected(now, claim.tokens, tokens_max)).max(self.shut)
    }

    /// Charges what a call takes at most: it is sent now.
    pub(crate) fn send(&mut self, id: I, now: UnixMillis, most: Claim) {
        let (requests_max, tokens_max) = self.limits();
        let requests = self.requests.charge(now, most.requests, requests_max);
        let tokens = self.tokens.charge(now, most.tokens, tokens_max);
        self.sent.insert(id, Sent { at: now, requests, tokens });
    }

    /// Charges what a call took in place of what it takes at most.
    pub(crate) fn settle(&mut self, id: &I, took: Claim) -> Settled {
        let Some(sent) = self.sent.remove(id) else { return Settled::NotHeld };
        self.requests.correct(sent.requests, took.requests);
        self.tokens.correct(sent.tokens, took.tokens);
        Settled::Settled
    }

    /// Leaves a call charged with what it takes at most.
    pub(crate) fn keep(&mut self, id: &I) -> Settled {
        match self.sent.remove(id) {
            Some(_) => Settled::Settled,
            None => Settled::NotHeld,
        }
    }

    /// The provider refused a call with 429, and said when to come again. The call's tokens are free again; that it was sent counts.
    ///
    /// The rates are lowered once for all calls that were sent before they were: these say nothing of the lower ones.
    pub(crate) fn refused(&mut self, id: &I, now: UnixMillis, retry_after: Option<Duration>) -> Settled {
        let Some(sent) = self.sent.remove(id) else { return Settled::NotHeld };
        self.recover(now);
        self.tokens.correct(sent.tokens, 0);
        self.shut = self.shut.max(now.after(retry_after.unwrap_or(PAUSE).min(MOST_PAUSE)));
        if sent.at >= self.changed {
            let (of, parts, least) = LOWERED;
            self.part = (self.part * of / parts).max(least);
        }
        self.changed = self.changed.max(now);
        Settled::Settled
    }

    /// Charges what was used at a moment before this process, or until then, if it is of the last minute.
    pub(crate) fn recall(&mut self, at: UnixMillis, used: Claim, now: UnixMillis) {
        if (used.requests > 0 || used.tokens > 0) && at.after(SPAN) > now {
            self.requests.recall(at, used.requests, now);
            self.tokens.recall(at, used.tokens, now);
        }
    }

    /// The rates come back step by step.
    pub(crate) fn recover(&mut self, now: UnixMillis) {
        let (every, by) = STEP;
        while self.part < ALL && self.changed.after(every) <= now {
            self.part = (self.part + by).min(ALL);
            self.changed = self.changed.after(every);
        }
    }

    /// What may be used in a minute now.
    pub(crate) fn rates(&self) -> Rates {
        let of = |declared: u64| u128::from(declared) * u128::from(self.part) / u128::from(ALL);
        let part = |declared: Option<u64>| {
            declared.map(|declared| u64::try_from(of(declared)).unwrap_or(declared).max(1))
        };
        Rates {
            requests_per_minute: part(self.declared.requests_per_minute),
            tokens_per_minute: part(self.declared.tokens_per_minute),
        }
    }

    fn limits(&self) -> (u64, u64) {
        let Rates { requests_per_minute, tokens_per_minute } = self.rates();
        (requests_per_minute.unwrap_or(u64::MAX), tokens_per_minute.unwrap_or(u64::MAX))
    }

    /// Declares rates from now on. Whoever does knows better than what the provider said: it is asked again at once.
    pub(crate) fn set_rates(&mut self, declared: Rates) {
        self.declared = declared;
        self.shut = UnixMillis(0);
    }

    /// Whether nobody could tell it from one of which nothing was ever used.
    pub(crate) fn is_at_rest(&mut self, now: UnixMillis) -> bool {
        self.recover(now);
        let rests = self.requests.is_at_rest(now) && self.tokens.is_at_rest(now);
        rests && self.sent.is_empty() && self.part == ALL && self.shut <= now
    }

    /// How many calls are under way.
    pub(crate) fn sent(&self) -> usize {
        self.sent.len()
    }
}
