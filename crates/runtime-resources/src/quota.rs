//! What a provider lets a credential use.

mod pace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runtime_traits::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::fair::{FairQueue, Party, Waiting};
use crate::ledger::Settled;
use crate::window::{Slot, Window};
use pace::Pace;
use runtime_traits::resource::Limit;

/// Over how long is counted what a minute holds. Calls reach the provider a little later or sooner one after the other than they were
/// sent: a second more covers that.
const SPAN: Duration = Duration::from_secs(61);

/// All of what is declared, in thousandths.
const ALL: u64 = 1_000;
/// What is left of the rates at each 429: three quarters; never less than a twentieth of what is declared.
const LOWERED: (u64, u64, u64) = (3, 4, 50);
/// What comes back for each minute without a 429: a twentieth of what is declared.
const STEP: (Duration, u64) = (Duration::from_secs(60), 50);
/// How long nothing is sent after a 429 that does not say.
const PAUSE: Duration = Duration::from_secs(1);

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
/// tenant and agent, as in a [`FairQueue`], and so many that the provider refuses none.
///
/// Never more than is declared falls into any minute, and it is spent evenly: after a pause a sixth of it at once. A call that the
/// provider refuses all the same (429) says that it holds less than is declared: then nothing is sent for as long as the provider
/// says, with three quarters of the rates after that, and a twentieth more for each minute without a 429.
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
    declared: Rates,
    /// What is used of the declared rates, in thousandths.
    part: u64,
    /// When the rates were changed last by what the provider said.
    changed: UnixMillis,
    /// Until when the provider wants to hear nothing.
    shut: UnixMillis,
    requests: Rate,
    tokens: Rate,
    capacity: usize,
    queue: FairQueue<T, A, I>,
    waiting: BTreeMap<I, Wanted>,
    deadlines: BTreeSet<(UnixMillis, I)>,
    sent: BTreeMap<I, Sent>,
}

#[derive(Clone, Debug)]
struct Rate {
    window: Window,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    tokens: u64,
    deadline: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: UnixMillis,
    slot: Slot,
    tokens: u64,
    /// What a minute held then.
    max: u64,
}

impl<T: Ord + Clone, A: Ord + Clone, I: Ord + Clone> Quota<T, A, I> {
    /// A quota of which nothing is used, for which at most `capacity` calls wait.
    pub fn new(declared: Rates, capacity: usize) -> Self {
        Self {
            declared,
            part: ALL,
            changed: UnixMillis(0),
            shut: UnixMillis(0),
            requests: Rate::default(),
            tokens: Rate::default(),
            capacity,
            queue: FairQueue::new(capacity),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Lets a call wait for its turn.
    pub fn ask(&mut self, call: Call<T, A, I>) -> Asked {
        if self.waiting.contains_key(&call.id) {
            return Asked::Waits;
        }
        let Rates { requests_per_minute, tokens_per_minute } = self.declared;
        if let Some(max) = requests_per_minute.filter(|max| *max < 1) {
            return Asked::Never { limit: Limit::MaxRequestsPerMinute, needs: 1, max };
        }
        if let Some(max) = tokens_per_minute.filter(|max| *max < call.tokens) {
            return Asked::Never { limit: Limit::MaxTokensPerMinute, needs: call.tokens, max };
        }
        // A call takes the larger one of its parts: of the tokens, or of the requests.
        let least =
            tokens_per_minute.zip(requests_per_minute).map_or(1, |(tokens, requests)| tokens / requests);
        let cost = call.tokens.max(least);
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
        self.recover(now);
        let Some(first) = self.queue.peek() else { return Turn::Nobody { until: None } };
        let tokens = self.waiting[&first.item].tokens;
        let (requests_max, tokens_max) = self.limits();
        let at = self.requests.ready(now, 1, requests_max).max(self.tokens.ready(now, tokens, tokens_max));
        let at = at.max(self.shut);
        if at > now {
            let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
            return Turn::Nobody { until: Some(deadline.map_or(at, |deadline| deadline.min(at))) };
        }
        let first = self.queue.pop().expect("it was seen just now").item;
        self.forget(&first);
        self.requests.charge(now, 1, requests_max);
        let slot = self.tokens.charge(now, tokens, tokens_max);
        self.sent.insert(first.clone(), Sent { at: now, slot, tokens, max: tokens_max });
        Turn::Send(first)
    }

    /// Charges the tokens that a call took in place of what it takes at most.
    pub fn settle(&mut self, id: &I, took: u64) -> Settled {
        let Some(sent) = self.sent.remove(id) else { return Settled::NotHeld };
        self.correct(&sent, took);
        Settled::Settled
    }

    /// Leaves a call charged with the tokens that it takes at most: nobody knows what it took, or the provider counts them so.
    pub fn keep(&mut self, id: &I) -> Settled {
        match self.sent.remove(id) {
            Some(_) => Settled::Settled,
            None => Settled::NotHeld,
        }
    }

    /// The provider refused a call with 429, and said when to come again. The call's tokens are free again; that it was sent counts.
    ///
    /// The rates are lowered once for all calls that were sent before they were: these say nothing of the lower ones.
    pub fn refused(&mut self, id: &I, now: UnixMillis, retry_after: Option<Duration>) -> Settled {
        let Some(sent) = self.sent.remove(id) else { return Settled::NotHeld };
        self.recover(now);
        self.correct(&sent, 0);
        self.shut = self.shut.max(now.after(retry_after.unwrap_or(PAUSE)));
        if sent.at >= self.changed {
            let (of, parts, least) = LOWERED;
            self.part = (self.part * of / parts).max(least);
        }
        self.changed = self.changed.max(now);
        Settled::Settled
    }

    fn correct(&mut self, sent: &Sent, took: u64) {
        self.tokens.window.correct(sent.slot, sent.tokens, took);
        self.tokens.pace.refund(sent.tokens.saturating_sub(took), sent.max);
    }

    /// The rates come back step by step.
    fn recover(&mut self, now: UnixMillis) {
        let (every, by) = STEP;
        while self.part < ALL && self.changed.after(every) <= now {
            self.part = (self.part + by).min(ALL);
            self.changed = self.changed.after(every);
        }
    }

    /// What may be used in a minute now: what is declared, or what the provider was found to hold.
    pub fn rates(&self) -> Rates {
        let part = |declared: Option<u64>| declared.map(|declared| (declared * self.part / ALL).max(1));
        Rates {
            requests_per_minute: part(self.declared.requests_per_minute),
            tokens_per_minute: part(self.declared.tokens_per_minute),
        }
    }

    fn limits(&self) -> (u64, u64) {
        let Rates { requests_per_minute, tokens_per_minute } = self.rates();
        (requests_per_minute.unwrap_or(u64::MAX), tokens_per_minute.unwrap_or(u64::MAX))
    }

    /// Declares other rates from now on.
    pub fn set_rates(&mut self, declared: Rates) {
        self.declared = declared;
    }

    /// Where a call stands; `None`: it does not wait.
    pub fn place(&mut self, id: &I, now: UnixMillis) -> Option<Place> {
        self.places(now).into_iter().find(|(waits, _)| waits == id).map(|(_, place)| place)
    }

    /// Where each call stands that waits, in the order of their turns.
    pub fn places(&mut self, now: UnixMillis) -> Vec<(I, Place)> {
        let (requests_max, tokens_max) = self.limits();
        let (mut requests, mut tokens, mut places) = (0, 0, Vec::with_capacity(self.queue.len()));
        for (ahead, waiting) in self.queue.order().enumerate() {
            (requests, tokens) = (requests + 1, tokens + self.waiting[&waiting.item].tokens);
            let of_requests = self.requests.expected(now, requests, requests_max);
            let of_tokens = self.tokens.expected(now, tokens, tokens_max);
            let expected = of_requests.max(of_tokens).max(self.shut);
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
        self.sent.len()
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self { window: Window::new(SPAN), pace: Pace::default() }
    }
}

impl Rate {
    /// When there is room for so much. What is more than a minute holds goes alone.
    fn ready(&mut self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let room = self.window.falls_to(now, limit.saturating_sub(amount));
        room.max(self.pace.ready(now, amount, limit))
    }

    /// About when there is room for so much that is more than a minute may hold.
    fn expected(&mut self, now: UnixMillis, amount: u64, limit: u64) -> UnixMillis {
        let (minutes, rest) = (amount.saturating_sub(1) / limit, amount.saturating_sub(1) % limit + 1);
        let room =
            self.window.falls_to(now, limit - rest).after(SPAN * u32::try_from(minutes).unwrap_or(u32::MAX));
        room.max(self.pace.spent(now, amount, limit))
    }

    fn charge(&mut self, now: UnixMillis, amount: u64, limit: u64) -> Slot {
        self.pace.charge(now, amount, limit);
        self.window.charge(now, amount)
    }
}

#[cfg(test)]
mod tests;
