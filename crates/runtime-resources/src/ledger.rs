//! What is held before a call, and charged after it.

use std::collections::BTreeMap;

use runtime_traits::UnixMillis;

use crate::budgets::{Budgets, COUNTED};
use crate::claim::Claim;
use crate::meter::{Meter, Span};
use crate::window::Slot;
use runtime_traits::resource::{Limit, Used};

/// Counts what was used of several limits, and what is held of them for calls under way.
///
/// A call is reserved with the most that it can take before it is sent, and settled with what it took. What was never settled stays
/// charged: somebody may be billed for it. Reserving and settling are idempotent by id, so that a batch that is written again
/// charges nothing twice.
///
/// A plain value: it reads no clock, takes no lock and waits for nobody. Whoever keeps what was used elsewhere makes it again with
/// [`record`](Self::record) and [`hold`](Self::hold), in the order of time.
///
/// # Examples
/// ```
/// use runtime_resources::{Answer, Budgets, Claim, Ledger, Limit};
/// use runtime_traits::UnixMillis;
///
/// let mut ledger = Ledger::new(Budgets { tokens_total: Some(1_000), ..Budgets::default() });
/// let (now, call) = (UnixMillis(0), |tokens| Claim { requests: 1, tokens, ..Claim::default() });
///
/// assert_eq!(ledger.reserve(1, now, call(900)), Answer::Held);
/// assert!(matches!(ledger.reserve(2, now, call(200)), Answer::Wait { limit: Limit::MaxTokensTotal, .. }));
/// ledger.settle(1, call(300)); // it took less
/// assert_eq!(ledger.reserve(2, now, call(200)), Answer::Held);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    budgets: Budgets,
    /// Those of [`COUNTED`], in its order.
    meters: [Meter; COUNTED.len()],
    held: BTreeMap<u128, Held>,
    /// The latest moment that was seen: a clock that is set back frees nothing.
    latest: UnixMillis,
}

/// What is held for a call under way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    claim: Claim,
    /// Where it is charged, in the order of [`COUNTED`].
    slots: [Slot; COUNTED.len()],
}

/// What became of the wish to reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is not held must not be sent"]
pub enum Answer {
    /// It is held; also when it was before.
    Held,
    /// There is no room now.
    Wait {
        /// The limit that has least room.
        limit: Limit,
        /// When there will be room, if nobody takes it; `None`: when a call is settled with less, or the limit is raised.
        until: Option<UnixMillis>,
    },
    /// There is never room for so much.
    Never {
        /// The limit that is too low.
        limit: Limit,
        /// What is asked for.
        needs: u64,
        /// What the limit is.
        max: u64,
    },
}

/// What became of settling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is charged with what it took.
    Settled,
    /// Nothing is held under that id: it was settled before, or never reserved.
    NotHeld,
}

impl Ledger {
    /// A ledger in which nothing is used. It counts over all spans, whether they are limited or not.
    pub fn new(budgets: Budgets) -> Self {
        Self {
            budgets,
            meters: COUNTED.map(|counted| Meter::of(counted.span)),
            held: BTreeMap::new(),
            latest: UnixMillis(0),
        }
    }

    /// Holds what a call takes at most, if there is room under every limit; else nothing is held.
    pub fn reserve(&mut self, id: u128, now: UnixMillis, most: Claim) -> Answer {
        if self.held.contains_key(&id) {
            return Answer::Held;
        }
        let answer = self.look(now, most);
        if answer == Answer::Held {
            self.hold(id, now, most);
        }
        answer
    }

    /// Whether a call could be held now: what [`reserve`](Self::reserve) would answer, and nothing is held.
    pub fn look(&mut self, now: UnixMillis, most: Claim) -> Answer {
        self.room(now, &Claim::default(), &most)
    }

    /// Whether there is room for a claim under every limit, beside what is counted here and what somebody else counts; holds nothing.
    pub(crate) fn room(&mut self, now: UnixMillis, beside: &Claim, needed: &Claim) -> Answer {
        let now = self.seen(now);
        let mut wait: Option<(Limit, Option<UnixMillis>)> = None;
        for (counted, meter) in COUNTED.iter().zip(&mut self.meters) {
            let (Some(max), needs) = (self.budgets.of(counted.limit), counted.of(needed)) else { continue };
            let Some(most) = max.checked_sub(needs) else {
                return Answer::Never { limit: counted.limit, needs, max };
            };
            let most = most.checked_sub(counted.of(beside));
            if most.is_some_and(|most| meter.used(now) <= most) {
                continue;
            }
            let until = most.and_then(|most| meter.falls_to(now, most));
            // The one that takes longest; for ever is longer than all.
            let longer = match (&wait, until) {
                (None, _) | (Some((_, Some(_))), None) => true,
                (Some((_, Some(known))), Some(until)) => until > *known,
                (Some((_, None)), _) => false,
            };
            if longer {
                wait = Some((counted.limit, until));
            }
        }
        wait.map_or(Answer::Held, |(limit, until)| Answer::Wait { limit, until })
    }

    /// About when there is room for so much that is used in pieces; `None`: never, as far as is known.
    pub(crate) fn expected(&mut self, now: UnixMillis, claim: &Claim) -> Option<UnixMillis> {
        let now = self.seen(now);
        let mut latest = now;
        for (counted, meter) in COUNTED.iter().zip(&mut self.meters) {
            if let (Some(max), amount @ 1..) = (self.budgets.of(counted.limit), counted.of(claim)) {
                latest = latest.max(meter.expected(now, amount, max)?);
            }
        }
        Some(latest)
    }

    /// Whether no call that is under way can make room for a claim by taking less, and no time: only a limit that is raised can.
    pub(crate) fn is_stuck(&mut self, now: UnixMillis, most: Claim) -> bool {
        let now = self.seen(now);
        let Self { budgets, meters, held, .. } = self;
        COUNTED.iter().zip(meters).filter(|(counted, _)| counted.span == Span::Ever).any(
            |(counted, meter)| {
                let under_way =
                    held.values().map(|held| counted.of(&held.claim)).fold(0, u64::saturating_add);
                let gone = meter.used(now).saturating_sub(under_way);
                budgets.of(counted.limit).is_some_and(|max| gone.saturating_add(counted.of(&most)) > max)
            },
        )
    }

    /// The most that there is room for, beside what somebody else counts; what has no limit is [`u64::MAX`].
    pub(crate) fn left(&mut self, now: UnixMillis, beside: &Claim) -> Claim {
        let now = self.seen(now);
        let mut left = Claim::MAX;
        for (counted, meter) in COUNTED.iter().zip(&mut self.meters) {
            if let Some(max) = self.budgets.of(counted.limit) {
                let here = max.saturating_sub(meter.used(now)).saturating_sub(counted.of(beside));
                let of = counted.of_mut(&mut left);
                *of = here.min(*of);
            }
        }
        left
    }

    /// Charges what a call takes at most, whether there is room or not: it was sent already.
    pub fn hold(&mut self, id: u128, now: UnixMillis, most: Claim) {
        if self.held.contains_key(&id) {
            return;
        }
        let slots = self.charge(now, most);
        self.held.insert(id, Held { claim: most, slots });
    }

    /// Charges what is counted over one span alone: for what was kept by minutes, by hours, and as a sum.
    pub fn record_of(&mut self, limit: Limit, at: UnixMillis, amount: u64) {
        for (counted, meter) in COUNTED.iter().zip(&mut self.meters) {
            if counted.limit == limit {
                meter.charge(at, amount);
            }
        }
    }

    /// Charges what was used at a moment, whether there is room or not.
    pub fn record(&mut self, at: UnixMillis, used: Claim) {
        self.charge(at, used);
    }

    fn charge(&mut self, now: UnixMillis, claim: Claim) -> [Slot; COUNTED.len()] {
        let now = self.seen(now);
        let mut slots = [Slot(0); COUNTED.len()];
        for ((counted, meter), slot) in COUNTED.iter().zip(&mut self.meters).zip(&mut slots) {
            *slot = meter.charge(now, counted.of(&claim));
        }
        slots
    }

    /// Charges what a call took in place of what was held for it.
    pub fn settle(&mut self, id: u128, took: Claim) -> Settled {
        let Some(held) = self.held.remove(&id) else { return Settled::NotHeld };
        for ((counted, meter), slot) in COUNTED.iter().zip(&mut self.meters).zip(held.slots) {
            meter.correct(slot, counted.of(&held.claim), counted.of(&took));
        }
        Settled::Settled
    }

    /// Leaves a call charged with what was held for it: nobody knows what it took.
    pub fn keep(&mut self, id: u128) -> Settled {
        match self.held.remove(&id) {
            Some(_) => Settled::Settled,
            None => Settled::NotHeld,
        }
    }

    /// Other limits from now on. What was used stays used.
    pub fn set_budgets(&mut self, budgets: Budgets) {
        self.budgets = budgets;
    }

    /// The limits.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// What was used of each limit, with what is held.
    pub fn used(&mut self, now: UnixMillis) -> Vec<Used> {
        let now = self.seen(now);
        let budgets = &self.budgets;
        let each = COUNTED.iter().zip(&mut self.meters);
        each.map(|(counted, meter)| Used {
            limit: counted.limit,
            used: meter.used(now),
            max: budgets.of(counted.limit),
        })
        .collect()
    }

    /// The latest moment that was seen, this one among them.
    pub(crate) fn seen(&mut self, now: UnixMillis) -> UnixMillis {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
