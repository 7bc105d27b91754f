//! The partition that borrows.

use std::collections::BTreeMap;

use runtime_traits::UnixMillis;

use super::Grant;
use crate::claim::Claim;
use crate::ledger::Settled;

/// Admits calls against the grants that a partition holds. Each call is held under one grant, with the most that it can take, before
/// it is sent, and settled with what it took.
///
/// A plain value, as the [`Lender`](super::Lender) is. A partition's new owner makes it again, with [`take`](Self::take),
/// [`hold`](Self::hold) and [`record`](Self::record).
#[derive(Clone, Debug, Default)]
pub struct Borrower {
    grants: BTreeMap<u128, Account>,
    calls: BTreeMap<u128, Held>,
    /// What it gave back, until it expires: an answer that comes late must not be taken for a new grant.
    given_back: BTreeMap<u128, UnixMillis>,
    /// The latest moment that was seen: a clock that is set back makes no grant younger.
    latest: UnixMillis,
}

#[derive(Clone, Debug)]
struct Account {
    grant: Grant,
    /// What its calls took, and at most take.
    charged: Claim,
    /// How many are under way.
    calls: usize,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    grant: u128,
    most: Claim,
}

/// What became of the wish to send a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is not held must not be sent"]
pub enum Admission {
    /// It is held; also when it was before.
    Held {
        /// Under which grant.
        grant: u128,
    },
    /// No grant has room for it: give back what has none, and ask the lender for one that has.
    Ask,
}

impl Borrower {
    /// Takes a grant that was lent. One that was given back or has expired changes nothing; a new owner, to whom nobody has told the
    /// time yet, takes all that it finds.
    pub fn take(&mut self, grant: Grant) {
        if self.given_back.contains_key(&grant.id) || grant.expiry <= self.latest {
            return;
        }
        self.grants.entry(grant.id).or_insert(Account { grant, charged: Claim::default(), calls: 0 });
    }

    /// Holds what a call takes at most, if a grant has room for it that has not expired; of several the one that expires first.
    pub fn admit(&mut self, call: u128, now: UnixMillis, most: Claim) -> Admission {
        if let Some(held) = self.calls.get(&call) {
            return Admission::Held { grant: held.grant };
        }
        self.latest = self.latest.max(now);
        let fits = |account: &&Account| account.grant.expiry > self.latest && account.has_room(most);
        let first = self.grants.values().filter(fits).min_by_key(|account| account.grant.expiry);
        let Some(grant) = first.map(|account| account.grant.id) else { return Admission::Ask };
        self.hold(call, grant, most);
        Admission::Held { grant }
    }

    /// Charges what a call takes at most to a grant, whether there is room or not: it was sent already.
    pub fn hold(&mut self, call: u128, grant: u128, most: Claim) {
        if let Some(account) = self.grants.get_mut(&grant)
            && self.calls.insert(call, Held { grant, most }).is_none()
        {
            account.charged = account.charged.plus(most);
            account.calls += 1;
        }
    }

    /// Charges what was used of a grant, whether there is room or not.
    pub fn record(&mut self, grant: u128, used: Claim) {
        if let Some(account) = self.grants.get_mut(&grant) {
            account.charged = account.charged.plus(used);
        }
    }

    /// Charges what a call took in place of what was held for it.
    pub fn settle(&mut self, call: u128, took: Claim) -> Settled {
        self.end(call, Some(took))
    }

    /// Leaves a call charged with what was held for it: nobody knows what it took.
    pub fn keep(&mut self, call: u128) -> Settled {
        self.end(call, None)
    }

    fn end(&mut self, call: u128, took: Option<Claim>) -> Settled {
        let Some(held) = self.calls.remove(&call) else { return Settled::NotHeld };
        let account =
            self.grants.get_mut(&held.grant).expect("a grant stays while a call is under way in it");
        account.calls -= 1;
        if let Some(took) = took {
            account.charged = account.charged.minus(held.most).plus(took);
        }
        Settled::Settled
    }

    /// Takes out the grants in which no call is under way, and that have expired or have no room for another call that takes `least`
    /// (`None`: all of them). Each comes with what was used of it, for the lender.
    pub fn give_back(&mut self, now: UnixMillis, least: Option<Claim>) -> Vec<(u128, Claim)> {
        self.latest = self.latest.max(now);
        let latest = self.latest;
        let stays = |account: &Account| {
            account.calls > 0
                || account.grant.expiry > latest && least.is_some_and(|least| account.has_room(least))
        };
        let gone: Vec<_> = self.grants.extract_if(.., |_, account| !stays(account)).collect();
        self.given_back.retain(|_, expiry| *expiry > latest);
        self.given_back.extend(gone.iter().map(|(id, account)| (*id, account.grant.expiry)));
        gone.into_iter().map(|(id, account)| (id, account.charged)).collect()
    }

    /// The grants that it holds, with what is charged of each.
    pub fn grants(&self) -> impl Iterator<Item = (&Grant, Claim)> {
        self.grants.values().map(|account| (&account.grant, account.charged))
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.calls.len()
    }
}

impl Account {
    fn has_room(&self, most: Claim) -> bool {
        self.charged.plus(most).fits(self.grant.lent)
    }
}
