//! Who waits for room, and whose turn it is.

use std::collections::{BTreeSet, HashMap};
use std::task::Waker;

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::Tenant;
use runtime_traits::resource::{Call, CallId, Limit, OnLimit, Refused, Waiting};

use super::book::{Blocked, Books, Scope};
use super::turn::{Answered, Waiter};
use crate::claim::Claim;
use crate::fair::FairQueue;

/// All queues: one for each limit's owner that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Queues {
    lines: HashMap<Scope, FairQueue<Tenant, AgentId, u64>>,
    /// Those whom only another limit can help. They keep nobody else waiting.
    aside: HashMap<Scope, BTreeSet<u64>>,
    waiters: HashMap<u64, Waiter>,
    /// Who waits for which call: a call that is asked for again has a place for each time.
    calls: BTreeSet<(CallId, u64)>,
    runs: BTreeSet<(RunId, u64)>,
    /// How many calls of each agent wait, or were let through and have not looked.
    of_agents: HashMap<AgentId, u32>,
    last: u64,
    pub(super) wakers: Wakers,
}

/// Wakers of those who waited.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) woken: Vec<Waker>,
    pub(super) let_go: Vec<Waker>,
}

impl Wakers {
    pub(super) fn wake(self) {
        self.woken.into_iter().for_each(Waker::wake);
    }
}

/// Whoever comes next looks at the moment for which it waits. It may be kept from that, as by a thread that is blocked: so a few others look
/// as well, each so much later than the one before.
const LATER_MILLIS: u64 = 250;
const LOOK_TOO: usize = 3;

impl Queues {
    /// What the first in line waits for, if somebody does.
    pub(super) fn line(&self, scope: &Scope) -> Option<(Limit, Option<UnixMillis>)> {
        let head = self.head(scope)?;
        self.waiters.get(&head).map(|waiter| (waiter.limit, waiter.until))
    }

    fn head(&self, scope: &Scope) -> Option<u64> {
        self.lines.get(scope)?.peek().map(|waiting| waiting.item)
    }

    /// Lets a waiter wait in its line. Among those of its agent who came first is first, wherever it waited meanwhile.
    /// `cost`: what a turn with so many tokens takes of what its scope shares.
    fn push(&mut self, id: u64, cost: impl FnOnce(&Scope, u64) -> u64) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        let cost = cost(&waiter.scope, waiter.claim.tokens);
        let waiting = crate::fair::Waiting { item: id, cost, deadline: None };
        let line = self.lines.entry(waiter.scope.clone()).or_insert_with(|| FairQueue::new(usize::MAX));
        line.insert(waiter.call.priority, &waiter.party(), id, waiting);
    }

    /// Takes out whose turn it is.
    fn pop(&mut self, scope: &Scope) {
        if let Some(line) = self.lines.get_mut(scope) {
            line.pop();
            if line.is_empty() {
                self.lines.remove(scope);
            }
        }
    }

    pub(super) fn waiter(&mut self, id: u64) -> Option<&mut Waiter> {
        self.waiters.get_mut(&id)
    }

    /// Takes a waiter out, wherever it is.
    fn remove(&mut self, id: u64) -> Option<Waiter> {
        self.leave(id);
        self.forget(id)
    }

    /// Takes a waiter out that stands in no line.
    fn forget(&mut self, id: u64) -> Option<Waiter> {
        let mut waiter = self.waiters.remove(&id)?;
        self.calls.remove(&(waiter.call.id, id));
        self.runs.remove(&(waiter.call.run, id));
        if let Some(of) = self.of_agents.get_mut(&waiter.call.agent) {
            *of -= 1;
            if *of == 0 {
                self.of_agents.remove(&waiter.call.agent);
            }
        }
        self.wakers.let_go.extend(waiter.waker.take());
        Some(waiter)
    }

    pub(super) fn waiting_of_tenant(&self, tenant: &Tenant) -> u32 {
        let of = self.waiters.values().filter(|waiter| waiter.call.tenant == *tenant);
        u32::try_from(of.count()).unwrap_or(u32::MAX)
    }

    /// Whoever polls a waiter is to look.
    fn wake(&mut self, id: u64) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            self.wakers.woken.extend(waiter.waker.take());
        }
    }

    /// Whoever polls a waiter wants to be woken so.
    pub(super) fn wakes(&mut self, id: u64, waker: &Waker) {
        if let Some(waiter) = self.waiters.get_mut(&id)
            && !waiter.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            self.wakers.let_go.extend(waiter.waker.replace(waker.clone()));
        }
    }

    /// A waiter waits for this now.
    fn waits_for(&mut self, id: u64, limit: Limit, until: Option<UnixMillis>) {
        let Some(waiter) = self.waiters.get_mut(&id) else { return };
        let other = waiter.limit != limit;
        (waiter.limit, waiter.until) = (limit, until);
        if other {
            self.wake(id);
        }
    }

    /// Who looks at a line by the time, and when: whoever comes next, and a few others. Nobody where time makes no room.
    fn watch(&self, scope: &Scope) -> Vec<(u64, UnixMillis)> {
        let watch = || {
            let (line, head) = (self.lines.get(scope)?, self.head(scope)?);
            let until = self.waiters.get(&head)?.until?;
            let others = line.some().copied().filter(|id| *id != head).take(LOOK_TOO);
            let at = |nth: usize| UnixMillis(until.0.saturating_add(nth as u64 * LATER_MILLIS));
            Some(std::iter::once(head).chain(others).enumerate().map(|(nth, id)| (id, at(nth))).collect())
        };
        watch().unwrap_or_default()
    }

    /// Sees that those look at a line by the time who are to, and not much later.
    fn keep_watch(&mut self, scope: &Scope) {
        for (nth, (id, at)) in self.watch(scope).into_iter().enumerate() {
            let latest = if nth == 0 { at } else { UnixMillis(at.0.saturating_add(LATER_MILLIS)) };
            let Some(waiter) = self.waiters.get_mut(&id) else { continue };
            if waiter.looks_at.is_none_or(|known| known > latest) {
                waiter.looks_at = Some(at);
                self.wake(id);
            }
        }
    }

    /// Takes a waiter out of those who wait for its scope.
    fn leave(&mut self, id: u64) {
        let Self { lines, aside, waiters, .. } = self;
        let Some(waiter) = waiters.get(&id) else { return };
        if let Some(others) = aside.get_mut(&waiter.scope)
            && others.remove(&id)
        {
            if others.is_empty() {
                aside.remove(&waiter.scope);
            }
            return;
        }
        if let Some(line) = lines.get_mut(&waiter.scope) {
            line.remove(waiter.call.priority, &waiter.party(), id);
            if line.is_empty() {
                lines.remove(&waiter.scope);
            }
        }
    }

    /// Lets a waiter wait where it keeps nobody else waiting.
    fn set_aside(&mut self, id: u64, scope: &Scope) {
        self.leave(id);
        self.aside.entry(scope.clone()).or_default().insert(id);
    }

    /// Whether only another limit can help a waiter.
    pub(super) fn is_aside(&self, id: u64) -> bool {
        let aside = self.waiters.get(&id).and_then(|waiter| self.aside.get(&waiter.scope));
        aside.is_some_and(|aside| aside.contains(&id))
    }

    /// Those who wait for a call.
    fn of_call(&self, id: CallId) -> Vec<u64> {
        self.calls.range((id, 0)..=(id, u64::MAX)).map(|(_, waiter)| *waiter).collect()
    }

    /// Whether somebody who waits for a call may still take it: not who was refused before, and has not heard of it.
    fn may_be_taken(&self, id: CallId) -> bool {
        let refused = |waiter: &Waiter| matches!(waiter.answer, Some(Answered::Refused(_)));
        self.of_call(id).iter().filter_map(|id| self.waiters.get(id)).any(|waiter| !refused(waiter))
    }

    pub(super) fn waiting_for(&self, agent: &AgentId) -> u32 {
        self.of_agents.get(agent).copied().unwrap_or(0)
    }

    /// Those of whom a waiter is one whom only another limit can help.
    fn aside_with(&self, id: u64) -> Option<&BTreeSet<u64>> {
        let scope = &self.waiters.get(&id)?.scope;
        self.aside.get(scope).filter(|aside| aside.contains(&id))
    }

    /// How many come before a waiter, and what they and it take. `None`: nothing moves it but another limit. It looks at each of them:
    /// for whoever is shown it, and nobody else.
    fn before(&self, id: u64) -> Option<(usize, Option<Claim>)> {
        let waiter = self.waiters.get(&id)?;
        if let Some(aside) = self.aside_with(id) {
            return Some((aside.range(..id).count(), None));
        }
        let mut claims = Claim::default();
        for (place, waiting) in self.lines.get(&waiter.scope)?.order().enumerate() {
            claims = claims.plus(self.waiters.get(&waiting.item)?.claim.known());
            if waiting.item == id {
                return Some((place, Some(claims)));
            }
        }
        None
    }
}

impl Books {
    /// Lets a call wait. `None`: too many do.
    pub(super) fn enqueue(&mut self, waiter: Waiter, most: usize, now: UnixMillis) -> Option<u64> {
        let queues = &mut self.queues;
        if queues.waiters.len() >= most {
            return None;
        }
        queues.last += 1;
        let id = queues.last;
        queues.calls.insert((waiter.call.id, id));
        queues.runs.insert((waiter.call.run, id));
        *queues.of_agents.entry(waiter.call.agent).or_default() += 1;
        let (scope, call, claim) = (waiter.scope.clone(), waiter.call.clone(), waiter.claim.known());
        queues.waiters.insert(id, waiter);
        self.join(id);
        self.keep_from_nobody(id, &scope, &call, claim, now);
        self.queues.keep_watch(&scope);
        Some(id)
    }

    fn join(&mut self, id: u64) {
        let Self { queues, quotas, .. } = self;
        queues.push(id, |scope, tokens| match scope {
            Scope::Quota(at) => quotas.cost(*at, tokens),
            Scope::Run(_) | Scope::Agent(_) | Scope::Tenant(_) => tokens.max(1),
        });
    }

    /// Whoever comes next, and can only be helped by another limit, keeps nobody else from the room that there is. Whether it was one.
    fn keep_from_nobody(
        &mut self,
        id: u64,
        scope: &Scope,
        call: &Call,
        claim: Claim,
        now: UnixMillis,
    ) -> bool {
        let is = self.queues.head(scope) == Some(id) && self.is_stuck(scope, call, claim, now);
        if is {
            self.queues.set_aside(id, scope);
        }
        is
    }

    /// Lets those go on that wait for a limit and have room now, one after the other.
    pub(super) fn pump(&mut self, scope: &Scope, now: UnixMillis) {
        while let Some(id) = self.queues.head(scope) {
            let Some(waiter) = self.queues.waiters.get(&id) else {
                self.queues.pop(scope);
                continue;
            };
            let call = waiter.call.clone();
            // What is known of it, and the limits, may have changed since it asked.
            let (most, claim) = match self.wanted(&call) {
                Ok(wanted) => wanted,
                Err(refused) => {
                    self.queues.leave(id);
                    self.answer(id, Answered::Refused(refused));
                    continue;
                }
            };
            let blocked = self.scopes(&call).into_iter().find_map(|other| {
                if let Err(blocked) = self.look_in(&other, &call, claim.known(), now) {
                    return Some(blocked);
                }
                let (limit, until) = self.queues.line(&other).filter(|_| other != *scope)?;
                Some(Blocked::Full { scope: other, limit, until })
            });
            match blocked {
                Some(Blocked::Full { scope: other, limit, until }) if other == *scope => {
                    self.queues.waits_for(id, limit, until);
                    if !self.keep_from_nobody(id, scope, &call, claim.known(), now) {
                        self.queues.keep_watch(scope);
                        return;
                    }
                }
                Some(Blocked::Full { scope: other, limit, until }) => {
                    self.queues.leave(id);
                    if let Some(waiter) = self.queues.waiter(id) {
                        waiter.scope = other.clone();
                    }
                    self.queues.waits_for(id, limit, until);
                    self.join(id);
                    self.keep_from_nobody(id, &other, &call, claim.known(), now);
                    self.queues.keep_watch(&other);
                }
                Some(Blocked::Never(refused)) => {
                    self.queues.leave(id);
                    self.answer(id, Answered::Refused(refused));
                }
                None => {
                    self.hold(&call, most, claim, now);
                }
            }
        }
    }

    /// Whether only another limit can help a waiter, also one that has others before it.
    pub(super) fn is_only_by_limit(&mut self, id: u64) -> bool {
        if self.queues.is_aside(id) {
            return true;
        }
        let Some(waiter) = self.queues.waiter(id) else { return false };
        let (scope, call, claim) = (waiter.scope.clone(), waiter.call.clone(), waiter.claim.known());
        self.is_stuck(&scope, &call, claim, self.latest())
    }

    /// What a waiter waits for, and when there is room if nobody else takes it; its place is left open (0).
    pub(super) fn waits_for(&mut self, id: u64) -> Option<Waiting> {
        let is_aside = self.queues.aside_with(id).is_some();
        let waiter = self.queues.waiter(id)?;
        let (scope, limit) = (waiter.scope.clone(), waiter.limit);
        let (call, claim) = (waiter.call.clone(), waiter.claim.known());
        let until = match self.look_in(&scope, &call, claim, self.latest()) {
            _ if is_aside => None,
            Err(Blocked::Full { until, .. }) => until,
            Ok(()) | Err(Blocked::Never(_)) => self.queues.line(&scope).and_then(|(_, until)| until),
        };
        Some(Waiting { limit, place: 0, until })
    }

    /// The same, with its place.
    pub(super) fn stands(&mut self, id: u64) -> Option<Waiting> {
        let (before, _) = self.queues.before(id)?;
        Some(Waiting { place: place(before), ..self.waits_for(id)? })
    }

    /// What a waiter waits for, at which place, and about when its turn comes.
    pub(super) fn waiting(&mut self, id: u64) -> Option<Waiting> {
        let (before, claims) = self.queues.before(id)?;
        let waiter = self.queues.waiter(id)?;
        let (scope, limit, until) = (waiter.scope.clone(), waiter.limit, waiter.until);
        let expected = claims.and_then(|claims| self.expected(&scope, &claims));
        // Whoever comes next was looked at.
        let until = if before == 0 { until } else { expected };
        Some(Waiting { limit, place: place(before), until })
    }

    /// A limit is another one: who could not be helped comes first again.
    pub(super) fn limits_changed(&mut self, scope: &Scope) {
        for id in self.queues.aside.remove(scope).into_iter().flatten() {
            self.join(id);
        }
        self.nudge(scope);
    }

    /// Lets whoever comes next for a limit look whether there is room: it knows the time.
    pub(super) fn nudge(&mut self, scope: &Scope) {
        if let Some(head) = self.queues.head(scope) {
            self.queues.wake(head);
        }
    }

    /// Answers all who wait for a call. They stand in no line any more.
    pub(super) fn answer_all(&mut self, call: CallId, answer: &Answered) {
        for id in self.queues.of_call(call) {
            let Some(waiter) = self.queues.waiter(id).filter(|waiter| waiter.answer.is_none()) else {
                continue;
            };
            let scope = waiter.scope.clone();
            if self.queues.head(&scope) == Some(id) {
                self.queues.pop(&scope);
            } else {
                self.queues.leave(id);
            }
            self.answer(id, answer.clone());
        }
    }

    /// Whether an agent is not to wait where a limit is reached.
    pub(super) fn refuses(&self, agent: &AgentId) -> bool {
        self.limits_of(agent).on_limit == OnLimit::Refuse
    }

    /// An agent waits no longer where a limit is reached: its calls that do are refused.
    pub(super) fn refuse_waiting(&mut self, agent: &AgentId) {
        let now = self.latest();
        let of = self.queues.waiters.iter().filter(|(_, waiter)| waiter.call.agent == *agent);
        let mut waiting: Vec<_> = of.map(|(id, waiter)| (*id, waiter.call.id)).collect();
        waiting.sort_unstable();
        for (id, call) in waiting {
            // It may have been answered with another one of its call.
            let Some(waiter) = self.queues.waiter(id).filter(|waiter| waiter.answer.is_none()) else {
                continue;
            };
            let (scope, limit) = (waiter.scope.clone(), waiter.limit);
            let retry_after = waiter.until.map(|until| until.since(now));
            let refused = Refused::Reached { limit, whose: scope.whose(), retry_after };
            self.answer_all(call, &Answered::Refused(refused));
            self.nudge(&scope);
        }
    }

    /// A call is over. Whoever was given it and did not look holds nothing, and waits again.
    pub(super) fn ask_again(&mut self, call: CallId) {
        for id in self.queues.of_call(call) {
            let waiter = self.queues.waiter(id);
            if let Some(Answered::Held { .. }) = waiter.and_then(|waiter| waiter.answer.take()) {
                self.join(id);
            }
        }
    }

    fn answer(&mut self, id: u64, answer: Answered) {
        if let Some(waiter) = self.queues.waiter(id) {
            waiter.answer = Some(answer);
            self.queues.wake(id);
        }
    }

    /// What a waiter is answered, if it is; then it waits no longer.
    pub(super) fn answered(&mut self, id: u64, now: UnixMillis) -> Option<Answered> {
        self.seen(now);
        let scope = self.queues.waiter(id)?.scope.clone();
        if self.queues.waiter(id)?.answer.is_none() {
            self.pump(&scope, now);
        }
        if self.queues.waiter(id)?.answer.is_some() {
            let waiter = self.queues.forget(id)?;
            if let Some(Answered::Held { .. }) = waiter.answer {
                self.take(waiter.call.id);
            }
            return waiter.answer;
        }
        let scope = self.queues.waiter(id)?.scope.clone();
        let at = self.queues.watch(&scope).into_iter().find(|(other, _)| *other == id);
        // A moment that has come was looked at just now.
        let later = UnixMillis(now.0.saturating_add(LATER_MILLIS));
        let at = at.map(|(_, at)| if at <= now { later } else { at });
        self.queues.waiter(id)?.looks_at = at;
        None
    }

    /// A waiter gives up its place. What it was given and did not take is given back.
    pub(super) fn give_up(&mut self, id: u64) {
        let Some(waiter) = self.queues.remove(id) else { return };
        let call = waiter.call.id;
        // It may be somebody else's who asked for the same call.
        if self.is_untaken(call) && !self.queues.may_be_taken(call) {
            self.give_back(call);
        }
        self.nudge(&waiter.scope);
    }

    pub(super) fn waiting_of(&mut self, run: &RunId) -> Option<Waiting> {
        let first = self.queues.runs.range((*run, 0)..=(*run, u64::MAX)).next().map(|(_, id)| *id);
        match first {
            Some(first) => self.waiting(first),
            None => self.entering_of(run),
        }
    }
}

fn place(before: usize) -> u32 {
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}
