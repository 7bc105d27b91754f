//! The scope that lends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use runtime_traits::{Partition, UnixMillis};

use super::Grant;
use crate::budgets::{Budgets, COUNTED};
use crate::claim::Claim;
use crate::ledger::{Answer, Ledger, Settled};
use runtime_traits::resource::Limit;
use runtime_traits::resource::Used;

/// A grant is at most this part of what is left, as long as that is more than one call.
const PART: u64 = 8;

/// Expired grants whose true use may still be told; those of longest ago stay charged with all of it.
const UNANSWERED: usize = 4_096;

/// What a partition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The grant's id: asked again under it, what was lent is answered again.
    pub id: u128,
    /// Who asks.
    pub borrower: Partition,
    /// What one call takes at most: less is of no use.
    pub least: Claim,
    /// What it would like to have.
    pub most: Claim,
    /// Until when.
    pub expiry: UnixMillis,
}

/// What became of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was lent is charged until it is given back"]
pub enum Lent {
    /// It is lent; also when it was before.
    Grant(Grant),
    /// There is no room for one call now.
    Wait {
        /// The limit that has least room.
        limit: Limit,
        /// When there will be room, if no more is lent; `None`: when a grant is given back, or the limit is raised.
        until: Option<UnixMillis>,
    },
    /// There is never room for one call.
    Never {
        /// The limit that is too low.
        limit: Limit,
        /// What is asked for.
        needs: u64,
        /// What the limit is.
        max: u64,
    },
    /// It expired, or was given back: ask under another id.
    Over,
    /// As many grants are known as may be.
    TooMany {
        /// How many.
        max: usize,
    },
}

/// Lends parts of its budgets to partitions: a tenant's, those of a key at a provider, or the runtime's own.
///
/// What is lent is charged in full until it is given back; then it is charged with what was used, at that moment, the latest at which
/// it may have been. A grant that expires without an answer stays charged with all of it, from the moment on at which nobody can use
/// it any more: its expiry, and the `margin` by which the clocks of lender and borrower may differ. So whatever dies, no limit is
/// exceeded. The nearer a limit is, the less is lent at once, down to what one call takes.
///
/// Spans of time are those of the moments that it is told, which it never lets go back.
///
/// A plain value: it reads no clock, takes no lock and sends nothing. Whoever keeps grants elsewhere makes it again with
/// [`record`](Self::record) and [`hold`](Self::hold), in the order of time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use runtime_resources::{Admission, Ask, Borrower, Budgets, Claim, Lender, Lent};
/// use runtime_traits::{Partition, Pool, UnixMillis};
///
/// let budgets = Budgets { tokens_total: Some(80_000), ..Budgets::default() };
/// let mut lender = Lender::new(budgets, Duration::from_secs(2));
/// let mut borrower = Borrower::default();
/// let (now, tokens) = (UnixMillis(0), |tokens| Claim { requests: 1, tokens, ..Claim::default() });
///
/// assert_eq!(borrower.admit(1, now, tokens(900)), Admission::Ask);
/// let (least, most) = (tokens(900), Claim { requests: 100, tokens: 90_000, micros: 0 });
/// let ask = Ask {
///     id: 1,
///     borrower: Partition { pool: Pool::MAIN, index: 7 },
///     least,
///     most,
///     expiry: UnixMillis(30_000),
/// };
/// let Lent::Grant(grant) = lender.lend(now, ask) else { panic!("there is room") };
/// assert_eq!(grant.lent.tokens, 10_000); // an eighth of what is left
/// borrower.take(grant);
/// assert_eq!(borrower.admit(1, now, tokens(900)), Admission::Held { grant: 1 });
/// borrower.settle(1, tokens(300));
/// for (id, used) in borrower.give_back(UnixMillis(30_000), None) {
///     lender.give_back(id, UnixMillis(30_000), used);
/// }
/// assert_eq!(lender.left(UnixMillis(30_000)).tokens, 79_700);
/// ```
#[derive(Clone, Debug)]
pub struct Lender {
    /// What was used, as far as it is known, and at most where it is not.
    ledger: Ledger,
    margin: Duration,
    open: BTreeMap<u128, Grant>,
    /// The ids of open grants, by when they are over for everybody.
    ends: BTreeSet<(UnixMillis, u128)>,
    /// All that is lent.
    lent: Claim,
    /// Grants that were given back, until they would have expired: a copy of their ask gets nothing.
    given_back: BTreeMap<u128, UnixMillis>,
    /// Expired grants, those of longest ago first.
    unanswered: VecDeque<u128>,
}

impl Lender {
    /// How many grants are known at once, open or given back before their expiry.
    pub const MAX_GRANTS: usize = 65_536;

    /// A lender of which nothing is used and lent. `margin` is by how much its clock and a borrower's may differ.
    pub fn new(budgets: Budgets, margin: Duration) -> Self {
        Self {
            ledger: Ledger::new(budgets),
            margin,
            open: BTreeMap::new(),
            ends: BTreeSet::new(),
            lent: Claim::default(),
            given_back: BTreeMap::new(),
            unanswered: VecDeque::new(),
        }
    }

    /// Lends at least what one call takes, and at most what is asked for and an eighth of what is left, if there is room.
    pub fn lend(&mut self, now: UnixMillis, ask: Ask) -> Lent {
        let now = self.advance(now);
        if let Some(grant) = self.open.get(&ask.id) {
            return Lent::Grant(*grant);
        }
        if ask.expiry <= now || self.given_back.contains_key(&ask.id) {
            return Lent::Over;
        }
        match self.ledger.room(now, &self.lent, &ask.least) {
            Answer::Held => {}
            Answer::Wait { limit, until } => return Lent::Wait { limit, until },
            Answer::Never { limit, needs, max } => return Lent::Never { limit, needs, max },
        }
        if self.open.len() + self.given_back.len() >= Self::MAX_GRANTS {
            return Lent::TooMany { max: Self::MAX_GRANTS };
        }
        let part = self.ledger.left(now, &self.lent).both(Claim::default(), |left, _| left / PART);
        let lent = part.both(ask.most, u64::min).both(ask.least, u64::max);
        let grant = Grant { id: ask.id, borrower: ask.borrower, lent, expiry: ask.expiry };
        self.hold(grant);
        Lent::Grant(grant)
    }

    /// Takes a grant for lent, whether there is room or not: it was lent already.
    pub fn hold(&mut self, grant: Grant) {
        if self.open.insert(grant.id, grant).is_none() {
            self.ends.insert((grant.expiry.after(self.margin), grant.id));
            self.lent = self.lent.plus(grant.lent);
        }
    }

    /// Charges what was used of a grant, all in all; its borrower sends nothing more under it. Also when it expired meanwhile: then
    /// it was charged with all of it.
    pub fn give_back(&mut self, id: u128, now: UnixMillis, used: Claim) -> Settled {
        let now = self.advance(now);
        match self.open.get(&id).copied() {
            Some(grant) => {
                self.close(&grant);
                self.record(&grant, now, used);
                Settled::Settled
            }
            None => self.ledger.settle(id, used),
        }
    }

    /// Charges what was used of a grant that was given back at a moment.
    pub fn record(&mut self, grant: &Grant, at: UnixMillis, used: Claim) {
        let at = self.ledger.seen(at);
        self.ledger.record(at, used);
        if grant.expiry > at {
            self.given_back.insert(grant.id, grant.expiry);
        }
    }

    /// What is lent to a partition: a new owner goes on with it.
    pub fn grants_of(&self, borrower: Partition) -> impl Iterator<Item = &Grant> {
        self.open.values().filter(move |grant| grant.borrower == borrower)
    }

    /// Other limits from now on. What is lent stays lent.
    pub fn set_budgets(&mut self, budgets: Budgets) {
        self.ledger.set_budgets(budgets);
    }

    /// The limits.
    pub fn budgets(&self) -> &Budgets {
        self.ledger.budgets()
    }

    /// What may still be lent; what has no limit is [`u64::MAX`].
    pub fn left(&mut self, now: UnixMillis) -> Claim {
        let now = self.advance(now);
        self.ledger.left(now, &self.lent)
    }

    /// What was used of each limit, with what is lent.
    pub fn used(&mut self, now: UnixMillis) -> Vec<Used> {
        let now = self.advance(now);
        let mut used = self.ledger.used(now);
        for (used, counted) in used.iter_mut().zip(&COUNTED) {
            used.used = used.used.saturating_add(counted.of(&self.lent));
        }
        used
    }

    /// How many grants are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Lets time pass: charges what nobody can use any more, each at the moment since which that is so.
    fn advance(&mut self, now: UnixMillis) -> UnixMillis {
        while let Some((end, id)) = self.ends.first().copied()
            && end <= now
        {
            let grant = self.open[&id];
            self.close(&grant);
            self.ledger.hold(id, end, grant.lent);
            self.unanswered.push_back(id);
            if self.unanswered.len() > UNANSWERED
                && let Some(oldest) = self.unanswered.pop_front()
            {
                self.ledger.keep(oldest);
            }
        }
        let now = self.ledger.seen(now);
        self.given_back.retain(|_, expiry| *expiry > now);
        now
    }

    fn close(&mut self, grant: &Grant) {
        self.open.remove(&grant.id);
        self.ends.remove(&(grant.expiry.after(self.margin), grant.id));
        self.lent = self.lent.minus(grant.lent);
    }
}
