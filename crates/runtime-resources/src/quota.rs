//! What a provider lets a credential use.

mod flow;
mod pace;
mod rate;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runtime_traits::UnixMillis;
use runtime_traits::resource::Limit;
use serde::{Deserialize, Serialize};

use crate::budgets::TooLow;
use crate::claim::Claim;
use crate::fair::{FairQueue, Party, Waiting};
use crate::ledger::Settled;
pub(crate) use flow::Flow;

/// What a provider lets a credential use, as it is declared. `None` means without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Calls in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens, read and written, in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
}

/// A call that wants to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<T, A, I> {
    /// What it is known by.
    pub id: I,
    /// Whose it is.
    pub party: Party<T, A>,
    /// Higher ones come first.
    pub priority: u8,
    /// The tokens that it takes at most.
    pub tokens: u64,
    /// After this moment it is no longer wanted.
    pub deadline: Option<UnixMillis>,
}

/// What became of asking for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who does not wait gets no turn"]
pub enum Asked {
    /// It waits for its turn; also when it did before.
    Waits,
    /// There is never room for so much.
    Never {
        /// The limit that is too low.
        limit: Limit,
        /// What is asked for.
        needs: u64,
        /// What is declared.
        max: u64,
    },
    /// As many wait as may.
    Full {
        /// How many.
        max: usize,
    },
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who has its turn is charged with it"]
pub enum Turn<I> {
    /// This one's: it is to be sent now, and is charged with what it takes at most.
    Send(I),
    /// This one's has passed: its deadline is over.
    Passed(I),
    /// Nobody's.
    Nobody {
        /// When to ask again, if nobody comes and nothing is settled before; `None`: nobody waits.
        until: Option<UnixMillis>,
    },
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How many are before it.
    pub ahead: usize,
    /// When it will be sent, if nobody joins and each takes as much as it may.
    pub expected: UnixMillis,
}

/// The quota of a credential at a provider, shared by all agents of a process that use it: who waits gets turns in equal parts by
/// tenant and agent, as in a [`FairQueue`], and so many that the provider refuses none, as long as calls take no more than is held for
/// them.
///
/// Never more than is declared falls into any minute, and it is spent evenly: after a pause a sixth of it at once. A call that the
/// provider refuses all the same (429) says that it holds less than is declared: then nothing is sent for as long as the provider
/// says, at most an hour, with three quarters of the rates after that, and a twentieth more for each minute without a 429.
///
/// A plain value: it reads no clock, takes no lock and waits for nobody.
///
/// # Examples
/// ```
/// use runtime_resources::{Asked, Call, Party, Quota, Rates, Turn};
/// use runtime_traits::UnixMillis;
///
/// let mut quota = Quota::new(Rates { requests_per_minute: Some(6), tokens_per_minute: Some(1_000) }, 100);
/// let now = UnixMillis(1_800_000_000_000);
/// let call = |id, agent| Call {
///     id,
///     party: Party { tenant: "default", agent },
///     priority: 0,
///     tokens: 100,
///     deadline: None,
/// };
/// for (id, agent) in [(1, "author"), (2, "author"), (3, "reader")] {
///     assert_eq!(quota.ask(call(id, agent)), Asked::Waits);
/// }
/// assert_eq!(quota.next(now), Turn::Send(1));
/// // Six in a minute are one in ten seconds; the reader is before the author's second call.
/// assert_eq!(quota.next(now), Turn::Nobody { until: Some(UnixMillis(now.0 + 10_000)) });
/// let place = quota.place(&2, now).expect("it waits");
/// assert_eq!((place.ahead, place.expected.0 - now.0), (1, 20_000));
/// ```
#[derive(Clone, Debug)]
pub struct Quota<T, A, I> {
    flow: Flow<I>,
    capacity: usize,
    queue: FairQueue<T, A, I>,
    waiting: BTreeMap<I, Wanted>,
    deadlines: BTreeSet<(UnixMillis, I)>,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    tokens: u64,
    deadline: Option<UnixMillis>,
}

impl<T: Ord + Clone, A: Ord + Clone, I: Ord + Clone> Quota<T, A, I> {
    /// A quota of which nothing is used, for which at most `capacity` calls wait.
    pub fn new(declared: Rates, capacity: usize) -> Self {
        Self {
            flow: Flow::new(declared),
            capacity,
            queue: FairQueue::new(capacity),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Lets a call wait for its turn.
    pub fn ask(&mut self, call: Call<T, A, I>) -> Asked {
        if self.waiting.contains_key(&call.id) {
            return Asked::Waits;
        }
        if let Some(TooLow { limit, needs, max }) = self.flow.too_low(one(call.tokens)) {
            return Asked::Never { limit, needs, max };
        }
        let cost = self.flow.cost(call.tokens);
        let waiting = Waiting { item: call.id.clone(), cost, deadline: call.deadline };
        if self.queue.push(call.priority, call.party, waiting).is_err() {
            return Asked::Full { max: self.capacity };
        }
        self.deadlines.extend(call.deadline.map(|deadline| (deadline, call.id.clone())));
        self.waiting.insert(call.id, Wanted { tokens: call.tokens, deadline: call.deadline });
        Asked::Waits
    }

    /// Takes back the wish to be sent. Answers whether the call waited.
    pub fn withdraw(&mut self, id: &I) -> bool {
        let Some(wanted) = self.forget(id) else { return false };
        debug_assert!(
            wanted.deadline.is_none_or(|deadline| !self.deadlines.contains(&(deadline, id.clone())))
        );
        self.queue.remove_if(|waiting| waiting.item == *id);
        true
    }

    fn forget(&mut self, id: &I) -> Option<Wanted> {
        let wanted = self.waiting.remove(id)?;
        if let Some(deadline) = wanted.deadline {
            self.deadlines.remove(&(deadline, id.clone()));
        }
        Some(wanted)
    }

    /// Whose turn it is. Asked again and again until it is nobody's.
    pub fn next(&mut self, now: UnixMillis) -> Turn<I> {
        if let Some((deadline, id)) = self.deadlines.first().cloned()
            && deadline <= now
        {
            self.withdraw(&id);
            return Turn::Passed(id);
        }
        self.flow.recover(now);
        let Some(first) = self.queue.peek() else { return Turn::Nobody { until: None } };
        let claim = one(self.waiting[&first.item].tokens);
        let (at, _) = self.flow.ready(now, claim);
        if at > now {
            let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
            return Turn::Nobody { until: Some(deadline.map_or(at, |deadline| deadline.min(at))) };
        }
        let first = self.queue.pop().expect("it was seen just now").item;
        self.forget(&first);
        self.flow.send(first.clone(), now, claim);
        Turn::Send(first)
    }

    /// Charges the tokens that a call took in place of what it takes at most.
    pub fn settle(&mut self, id: &I, took: u64) -> Settled {
        self.flow.settle(id, one(took))
    }

    /// Leaves a call charged with the tokens that it takes at most: nobody knows what it took, or the provider counts them so.
    pub fn keep(&mut self, id: &I) -> Settled {
        self.flow.keep(id)
    }

    /// The provider refused a call with 429, and said when to come again. The call's tokens are free again; that it was sent counts.
    ///
    /// The rates are lowered once for all calls that were sent before they were: these say nothing of the lower ones.
    pub fn refused(&mut self, id: &I, now: UnixMillis, retry_after: Option<Duration>) -> Settled {
        self.flow.refused(id, now, retry_after)
    }

    /// What may be used in a minute now: what is declared, or what the provider was found to hold.
    pub fn rates(&self) -> Rates {
        self.flow.rates()
    }

    /// Declares rates from now on, and asks the provider again that wanted to hear nothing for a while.
    pub fn set_rates(&mut self, declared: Rates) {
        self.flow.set_rates(declared);
    }

    /// Charges what was used at a moment before this quota, as one kept it: what is of the last minute counts. A sum of a minute
    /// is told as of its last moment.
    pub fn recall(&mut self, at: UnixMillis, requests: u64, tokens: u64, now: UnixMillis) {
        self.flow.recall(at, Claim { requests, tokens, micros: 0 }, now);
    }

    /// Where a call stands; `None`: it does not wait.
    pub fn place(&mut self, id: &I, now: UnixMillis) -> Option<Place> {
        self.places(now).into_iter().find(|(waits, _)| waits == id).map(|(_, place)| place)
    }

    /// Where each call stands that waits, in the order of their turns.
    pub fn places(&mut self, now: UnixMillis) -> Vec<(I, Place)> {
        let (mut claim, mut places) = (Claim::default(), Vec::with_capacity(self.queue.len()));
        for (ahead, waiting) in self.queue.order().enumerate() {
            claim = claim.plus(one(self.waiting[&waiting.item].tokens));
            let expected = self.flow.expected(now, claim);
            places.push((waiting.item.clone(), Place { ahead, expected }));
        }
        places
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many calls are under way.
    pub fn sent(&self) -> usize {
        self.flow.sent()
    }
}

/// What one call of so many tokens takes.
fn one(tokens: u64) -> Claim {
    Claim { requests: 1, tokens, micros: 0 }
}

#[cfg(test)]
mod tests;
