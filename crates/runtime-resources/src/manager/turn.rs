//! A place in a queue.

use std::task::{Context, Poll, Waker};

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::AgentId;
use runtime_traits::log::Usage;
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Admission, Call, Limit, Money, NoRoom, Refused, Turn, Waiting, Whose};

use super::ResourceManager;
use super::book::{Priced, Scope};
use crate::fair::Party;

/// Who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) call: Call,
    /// What it takes at most, as it was known when it asked.
    pub(super) claim: Priced,
    /// In which queue.
    pub(super) scope: Scope,
    pub(super) limit: Limit,
    pub(super) until: Option<UnixMillis>,
    /// When whoever polls it looks again without being woken.
    pub(super) looks_at: Option<UnixMillis>,
    pub(super) answer: Option<Answered>,
    pub(super) waker: Option<Waker>,
}

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Held { most: Usage, price: Option<Money> },
    Refused(Refused),
}

/// The place of a waiter; it is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    manager: ResourceManager,
    id: u64,
    over: bool,
}

impl Waiter {
    pub(super) fn new(
        call: Call,
        claim: Priced,
        scope: Scope,
        limit: Limit,
        until: Option<UnixMillis>,
    ) -> Self {
        Self { call, claim, scope, limit, until, looks_at: None, answer: None, waker: None }
    }
}

impl Waiter {
    pub(super) fn party(&self) -> Party<Tenant, AgentId> {
        Party { tenant: self.call.tenant.clone(), agent: self.call.agent }
    }

    fn no_room(&self) -> NoRoom {
        let (limit, whose, until) = (self.limit, self.scope.whose(), self.until);
        NoRoom { limit, whose, allowed: None, waits: true, until }
    }
}

/// What is said of a place that is none any more.
const NOTHING: Waiting = Waiting { limit: Limit::MaxTokensPerMinute, place: 1, until: None };

impl Place {
    pub(super) fn new(manager: ResourceManager, id: u64) -> Self {
        Self { manager, id, over: false }
    }
}

impl Turn for Place {
    fn poll(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> Poll<Admission> {
        let mut books = self.manager.books();
        match books.answered(self.id, now) {
            Some(answer) => {
                drop(books);
                self.over = true;
                Poll::Ready(match answer {
                    Answered::Held { most, price } => Admission::Held { most, price },
                    Answered::Refused(refused) => Admission::Refused(refused),
                })
            }
            None => {
                books.queues.wakes(self.id, cx.waker());
                Poll::Pending
            }
        }
    }

    fn waiting(&self) -> Waiting {
        self.manager.books().stands(self.id).unwrap_or(NOTHING)
    }

    fn waits_for(&self) -> Waiting {
        self.manager.books().waits_for(self.id).unwrap_or(NOTHING)
    }

    fn no_room(&self) -> NoRoom {
        let (limit, whose) = (Limit::MaxTokensPerMinute, Whose::Agent);
        let nothing = NoRoom { limit, whose, allowed: None, waits: true, until: None };
        let mut books = self.manager.books();
        books.queues.waiter(self.id).map_or(nothing, |waiter| waiter.no_room())
    }

    fn until(&self) -> Option<UnixMillis> {
        self.manager.books().queues.waiter(self.id).and_then(|waiter| waiter.looks_at)
    }

    fn only_by_limit(&self) -> bool {
        self.manager.books().is_only_by_limit(self.id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.over {
            self.manager.books().give_up(self.id);
        }
    }
}
