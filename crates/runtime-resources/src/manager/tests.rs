//! Who waits for a limit that others share gets its part of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::Usage;
use runtime_traits::resource::{
    Admission, Call, CallId, Known, Limit, Minute, Money, OnLimit, OpenUse, Past, Refused, ResourceGovernor,
    ResourceLimits, Turn, Whose,
};
use runtime_traits::{Partition, Pool, Tenant, UnixMillis};

use super::{QuotaError, QuotaRule, ResourceManager, Shared};
use crate::budgets::Budgets;

mod aside;
mod by_credential;
mod many;
mod whatever;

const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 0 };
const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);

fn agent(nth: usize) -> AgentId {
    AgentId::from_parts(PARTITION, uuid::Uuid::from_u128(nth as u128 + 1))
}

fn call(id: u128, of: usize, tokens: u64) -> Call {
    Call {
        id: CallId(id),
        tenant: Tenant::default(),
        agent: agent(of),
        run: RunId::from_parts(PARTITION, uuid::Uuid::from_u128(id + 1_000_000)),
        model: Some("openai/gpt-4o".into()),
        most: Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() },
        on_limit: OnLimit::Wait,
        priority: 0,
    }
}

/// Fifty agents press against a quota for three minutes, each with one call at a time. What each of them sent, and when.
fn press(manager: &ResourceManager, agents: usize, tokens: impl Fn(usize) -> u64) -> Vec<(u64, usize, u64)> {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut turns, mut sent, mut id) = (BTreeMap::<usize, (CallId, Box<dyn Turn>)>::new(), Vec::new(), 0);
    let mut busy: BTreeMap<usize, (CallId, u64)> = BTreeMap::new();
    for tick in 0..180_000 / 50 {
        let now = UnixMillis(BEGIN.0 + tick * 50);
        for nth in 0..agents {
            if let Some((call, until)) = busy.get(&nth).copied() {
                if until > now.0 {
                    continue;
                }
                busy.remove(&nth);
                let took = Usage { output_tokens: tokens(nth), model_calls: 1, ..Usage::default() };
                manager.settle(call, took, now);
            }
            let (call_id, admission) = match turns.remove(&nth) {
                Some((call, mut turn)) => match turn.poll(now, &mut cx) {
                    Poll::Ready(admission) => (call, admission),
                    Poll::Pending => {
                        turns.insert(nth, (call, turn));
                        continue;
                    }
                },
                None => {
                    id += 1;
                    let call = Call { id: CallId(id), ..call(id, nth, tokens(nth)) };
                    (call.id, manager.admit(call, now))
                }
            };
            match admission {
                Admission::Held { .. } => {
                    sent.push((now.0, nth, tokens(nth)));
                    busy.insert(nth, (call_id, now.0 + 500));
                }
                Admission::Waits(turn) => {
                    turns.insert(nth, (call_id, turn));
                }
                Admission::Refused(refused) => panic!("{refused}"),
            }
        }
    }
    sent
}

#[test]
fn fifty_agents_use_a_quota_fully_and_never_exceed_it_and_each_gets_its_part() {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule {
        requests_per_minute: Some(600),
        tokens_per_minute: Some(100_000),
        ..QuotaRule::of_models(["openai/*"])
    });
    // Half of them ask for much at a time, half for little.
    let sent = press(&manager, 50, |nth| if nth % 2 == 0 { 300 } else { 100 });

    for (from, _, _) in &sent {
        let within: Vec<_> = sent.iter().filter(|(at, _, _)| (*from..from + 60_000).contains(at)).collect();
        assert!(within.len() <= 600, "{} calls in a minute", within.len());
        assert!(within.iter().map(|(_, _, tokens)| tokens).sum::<u64>() <= 100_000);
    }
    let all: u64 = sent.iter().map(|(_, _, tokens)| tokens).sum();
    assert!(
        all >= 100_000 * 3 * 95 / 100 || sent.len() >= 600 * 3 * 95 / 100,
        "{all} tokens in {} calls",
        sent.len()
    );
    let fair = all / 50;
    for nth in 0..50 {
        let own: u64 = sent.iter().filter(|(_, of, _)| *of == nth).map(|(_, _, tokens)| tokens).sum();
        assert!(own * 2 >= fair, "agent {nth} got {own} of {fair}");
    }
}

#[test]
fn whoever_asks_for_little_at_a_time_does_not_take_the_requests_from_the_others() {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule {
        requests_per_minute: Some(60),
        tokens_per_minute: Some(60_000),
        ..QuotaRule::of_models(["openai/*"])
    });
    let sent = press(&manager, 2, |nth| if nth == 0 { 10 } else { 1_000 });

    let of = |nth| sent.iter().filter(|(_, of, _)| *of == nth).count();
    assert!(of(0).abs_diff(of(1)) <= 10, "{} and {}", of(0), of(1));
}

/// A quota of so many requests for `openai/*`.
fn of_requests(requests: u64) -> ResourceManager {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule {
        requests_per_minute: Some(requests),
        tokens_per_minute: None,
        ..QuotaRule::of_models(["openai/*"])
    });
    manager
}

/// How many calls are let through within this span, if one presses from its begin on; each ends at once.
fn let_through(manager: &ResourceManager, from: UnixMillis, millis: u64, ids: &mut u128) -> usize {
    let moments = (from.0..from.0 + millis).step_by(10).map(UnixMillis);
    let mut sent = 0;
    for now in moments {
        *ids += 1;
        if let Admission::Held { .. } = manager.admit(call(*ids, 0, 5), now) {
            manager.settle(CallId(*ids), call(*ids, 0, 5).most, now);
            sent += 1;
        }
    }
    sent
}

#[test]
fn after_a_refusal_of_the_provider_nothing_is_sent_until_its_time_and_then_less_and_step_by_step_more() {
    let (manager, mut ids) = (of_requests(60), 1_000);
    let later = |millis: u64| UnixMillis(BEGIN.0 + millis);
    for id in [1, 2] {
        assert!(matches!(manager.admit(call(id, 0, 5), BEGIN), Admission::Held { .. }));
    }
    let seconds = |seconds| Some(std::time::Duration::from_secs(seconds));
    manager.throttled(CallId(1), seconds(20), later(100));
    // It was sent with the other one: that is one refusal.
    manager.throttled(CallId(2), seconds(20), later(150));
    for id in [1, 2] {
        manager.settle(CallId(id), Usage { model_calls: 1, ..Usage::default() }, later(160));
    }

    let Admission::Waits(mut turn) = manager.admit(call(3, 0, 5), later(200)) else { panic!("it is shut") };
    let waiting = turn.waiting();
    assert_eq!((waiting.limit, waiting.until), (Limit::MaxRequestsPerMinute, Some(later(20_150))));
    assert_eq!(turn.until(), Some(later(20_150)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(turn.poll(later(20_149), &mut cx).is_pending());
    assert!(turn.poll(later(20_150), &mut cx).is_ready());
    // Another provider is another matter.
    let other = Call { model: Some("anthropic/claude".into()), ..call(99, 0, 5) };
    assert!(matches!(manager.admit(other, later(200)), Admission::Held { .. }));

    // Three quarters of sixty, of which that one and the two that were refused are some; then a twentieth of sixty more for each
    // minute.
    assert_eq!(let_through(&manager, later(20_160), 39_000, &mut ids), 35);
    let of_fifth_minute = let_through(&manager, later(240_000), 61_000, &mut ids);
    assert!((57..=61).contains(&of_fifth_minute), "{of_fifth_minute}");
}

#[test]
fn a_call_that_is_refused_again_lowers_the_rates_again_and_each_counts_as_a_request() {
    let (manager, mut ids) = (of_requests(10), 1_000);
    let later = |millis: u64| UnixMillis(BEGIN.0 + millis);
    let second = Some(std::time::Duration::from_secs(1));
    let refused = Usage { model_calls: 1, ..Usage::default() };
    assert!(matches!(manager.admit(call(1, 0, 5), BEGIN), Admission::Held { .. }));
    manager.throttled(CallId(1), second, later(100));
    // Told twice of one refusal.
    manager.throttled(CallId(1), second, later(100));
    manager.settle(CallId(1), refused, later(100));
    // It is made once more.
    let Admission::Waits(mut turn) = manager.admit(call(2, 0, 5), later(200)) else { panic!("it is shut") };
    let until = turn.until().expect("the provider said when");
    assert!(until >= later(1_100));
    assert!(turn.poll(until, &mut Context::from_waker(Waker::noop())).is_ready());
    manager.throttled(CallId(2), second, until.after(std::time::Duration::from_millis(100)));
    manager.settle(CallId(2), refused, until.after(std::time::Duration::from_millis(100)));

    // Nine sixteenths of ten are five a minute; two of them are gone.
    assert_eq!(let_through(&manager, later(3_000), 57_000, &mut ids), 3);
}

#[test]
fn what_was_used_in_the_minute_before_a_restart_counts_against_the_quota() {
    let before = of_requests(60);
    let mut ids = 0;
    // As fast as it may, for one minute and some more, until the process ends in the middle of a minute.
    let sent: Vec<UnixMillis> = (0..9_000)
        .map(|tick| UnixMillis(BEGIN.0 + tick * 10))
        .filter(|now| let_through(&before, *now, 10, &mut ids) > 0)
        .collect();
    let end = UnixMillis(BEGIN.0 + 90_000);
    // The books know them by minutes; BEGIN is the begin of one.
    let mut minutes: BTreeMap<u64, Minute> = BTreeMap::new();
    for at in &sent {
        let nth = at.0 / 60_000;
        let minute = minutes
            .entry(nth)
            .or_insert(Minute { at: UnixMillis((nth + 1) * 60_000 - 1), ..Minute::default() });
        (minute.requests, minute.tokens) = (minute.requests + 1, minute.tokens + 5);
    }
    let past = Past { minutes: minutes.into_values().collect(), ..Past::default() };

    let after = of_requests(60);
    assert!(after.limits_tenant(&Tenant::default()), "so that it is told");
    after.recall_tenant(&Tenant::default(), &past, end);
    let mut all = sent;
    all.extend(
        (0..18_000)
            .map(|tick| UnixMillis(end.0 + tick * 10))
            .filter(|now| let_through(&after, *now, 10, &mut ids) > 0),
    );
    for from in &all {
        let within = all.iter().filter(|at| (from.0..from.0 + 60_000).contains(&at.0)).count();
        assert!(within <= 60, "{within} in a minute");
    }
    let later = all.iter().filter(|at| at.0 >= end.0 + 62_000).count();
    assert!(later >= 110, "after a minute it is used as before: {later} in two minutes");
}

#[test]
fn whoever_waits_for_its_own_limit_keeps_nobody_else_waiting() {
    let manager = ResourceManager::default();
    let of = |tokens| Budgets { tokens_total: Some(tokens), ..Budgets::default() };
    manager.limit_tenant(&Tenant::default(), of(1_000));
    let own = ResourceLimits { max_tokens_total: Some(10), ..Default::default() };
    manager.limit(&Tenant::default(), &agent(0), &own);
    assert!(matches!(manager.admit(call(1, 0, 10), BEGIN), Admission::Held { .. }));
    let waits = manager.admit(call(2, 0, 5), BEGIN);
    assert!(matches!(waits, Admission::Waits(_)), "its own limit is reached");

    assert!(matches!(manager.admit(call(3, 1, 900), BEGIN), Admission::Held { .. }), "the tenant's is not");
    let beyond = manager.admit(call(4, 1, 200), BEGIN);
    assert!(matches!(beyond, Admission::Waits(_)));
    assert!(
        matches!(manager.admit(call(5, 2, 1), BEGIN), Admission::Waits(_)),
        "nobody overtakes within the tenant"
    );
    drop(beyond);
    assert!(matches!(manager.admit(call(6, 2, 1), BEGIN), Admission::Held { .. }));
}

#[test]
fn a_call_that_only_another_limit_can_help_keeps_nobody_from_the_room_that_is_left() {
    let manager = ResourceManager::default();
    let of = |tokens| Budgets { tokens_total: Some(tokens), ..Budgets::default() };
    manager.limit_tenant(&Tenant::default(), of(1_000));
    assert!(matches!(manager.admit(call(1, 0, 850), BEGIN), Admission::Held { .. }));
    let Admission::Waits(mut large) = manager.admit(call(2, 1, 250), BEGIN) else { panic!("850 are held") };
    let Admission::Waits(mut small) = manager.admit(call(3, 2, 10), BEGIN) else {
        panic!("the call before it may take less, so that the next has room")
    };

    let took = Usage { output_tokens: 800, model_calls: 1, ..Usage::default() };
    manager.settle(CallId(1), took, BEGIN);

    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(small.poll(BEGIN, &mut cx), Poll::Ready(Admission::Held { .. })), "200 are left");
    assert!(matches!(manager.admit(call(4, 3, 10), BEGIN), Admission::Held { .. }), "190 are left");
    let Admission::Waits(mut other) = manager.admit(call(5, 3, 300), BEGIN) else {
        panic!("it is too large")
    };
    assert!(large.poll(BEGIN, &mut cx).is_pending());
    assert_eq!((large.waiting().place, other.waiting().place, other.until()), (1, 2, None));
    manager.limit_tenant(&Tenant::default(), of(1_100));
    assert!(other.poll(BEGIN, &mut cx).is_pending());
    assert!(matches!(large.poll(BEGIN, &mut cx), Poll::Ready(Admission::Held { .. })), "it came first");
}

#[test]
fn who_waited_for_a_provider_is_not_behind_those_of_its_agent_that_came_later() {
    let manager = of_requests(1);
    let limits = ResourceLimits { max_tokens_total: Some(1_000), ..ResourceLimits::default() };
    manager.limit(&Tenant::default(), &agent(0), &limits);
    let other = |id, tokens| Call { model: Some("anthropic/claude".into()), ..call(id, 0, tokens) };
    let is_held = |call| matches!(manager.admit(call, BEGIN), Admission::Held { .. });
    assert!(is_held(call(1, 1, 10)), "that is the one of this minute");
    assert!(is_held(other(2, 900)));
    let Admission::Waits(mut first) = manager.admit(call(3, 0, 100), BEGIN) else {
        panic!("one was let through")
    };
    assert!(is_held(other(4, 100)), "another provider is another matter");
    let Admission::Waits(mut second) = manager.admit(other(5, 100), BEGIN) else { panic!("1,000 are held") };

    let (later, mut cx) = (UnixMillis(BEGIN.0 + 62_000), Context::from_waker(Waker::noop()));
    assert!(first.poll(later, &mut cx).is_pending(), "its agent has no room any more");
    assert_eq!(first.no_room().whose, Whose::Agent);
    manager.settle(CallId(2), Usage { output_tokens: 800, model_calls: 1, ..Usage::default() }, later);
    assert!(second.poll(later, &mut cx).is_pending(), "it came later");
    assert!(matches!(first.poll(later, &mut cx), Poll::Ready(Admission::Held { .. })));
}

/// A call that reads so much, as its text says.
fn reads(id: u128, tokens: u64) -> Call {
    let most = Usage { input_tokens: tokens, estimated_tokens: tokens, model_calls: 1, ..Usage::default() };
    Call { most, ..call(id, 0, 0) }
}

#[test]
fn what_a_model_billed_beyond_the_estimate_makes_no_call_too_large_and_concerns_no_other_tenant() {
    let manager = ResourceManager::default();
    let limits = ResourceLimits { max_tokens_per_minute: Some(5_000), ..ResourceLimits::default() };
    manager.limit(&Tenant::default(), &agent(0), &limits);
    assert!(matches!(manager.admit(reads(1, 2_000), BEGIN), Admission::Held { .. }));
    let billed = Usage { input_tokens: 90_000, model_calls: 1, ..Usage::default() };
    manager.settle(CallId(1), billed, BEGIN);
    let later = UnixMillis(BEGIN.0 + 61_000);

    let Admission::Held { most, .. } = manager.admit(reads(2, 2_200), later) else { panic!("it fits") };
    assert_eq!(most.tokens(), 5_000, "2.7 times as much is too much for any minute");
    let elsewhere = Call { tenant: Tenant::new("elsewhere").unwrap(), agent: agent(1), ..reads(3, 2_200) };
    let Admission::Held { most, .. } = manager.admit(elsewhere, later) else { panic!("nothing is limited") };
    assert_eq!(most.tokens(), 2_200);
}

#[test]
fn a_call_that_its_tenant_or_its_provider_never_lets_through_is_named_at_registration() {
    let manager = ResourceManager::default();
    let (none, dear) = (ResourceLimits::default(), Tenant::new("dear").unwrap());
    manager.declare_quota(QuotaRule {
        requests_per_minute: None,
        tokens_per_minute: Some(1_000),
        ..QuotaRule::of_models(["openai/*"])
    });
    manager.limit_tenant(&dear, Budgets { cost_per_day: Some(Money::from_micros(1)), ..Budgets::default() });
    let check = |tenant: &Tenant, model: &str, tokens| {
        let most = Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() };
        manager.check(tenant, &none, Some((&model.into(), most)))
    };

    assert_eq!(check(&Tenant::default(), "openai/gpt-4o", 1_000), Ok(()));
    let (limit, whose) = (Limit::MaxTokensPerMinute, Whose::Provider);
    let never = Refused::Never { limit, whose, needs: 1_001, max: 1_000 };
    assert_eq!(check(&Tenant::default(), "openai/gpt-4o", 1_001), Err(never));
    let unpriced = Refused::Unpriced { model: "other/model".to_owned() };
    assert_eq!(check(&dear, "other/model", 1), Err(unpriced));
    assert_eq!(check(&Tenant::default(), "other/model", 1), Ok(()));
}

/// A waker that looks whether the books are closed, when it is woken and when it is let go.
struct Looks {
    shared: Weak<Shared>,
    closed: Arc<AtomicUsize>,
}

impl Looks {
    fn look(&self) {
        let shared = self.shared.upgrade().expect("the manager is there");
        self.closed.fetch_add(usize::from(shared.books.try_lock().is_ok()), Ordering::SeqCst);
    }
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.look();
    }
}

#[test]
fn whoever_is_woken_or_let_go_may_open_the_books() {
    let manager = ResourceManager::default();
    let limit = |tokens, at_once| {
        let (max_tokens_total, max_concurrent_requests) = (Some(tokens), Some(at_once));
        let limits =
            ResourceLimits { max_tokens_total, max_concurrent_requests, ..ResourceLimits::default() };
        manager.limit(&Tenant::default(), &agent(0), &limits);
    };
    let closed = Arc::new(AtomicUsize::new(0));
    let looks = || Looks { shared: Arc::downgrade(&manager.shared), closed: Arc::clone(&closed) };
    let pending = |turn: &mut Box<dyn Turn>, waker: Waker| {
        assert!(turn.poll(BEGIN, &mut Context::from_waker(&waker)).is_pending());
    };
    limit(100, 1);
    assert!(matches!(manager.admit(call(1, 0, 90), BEGIN), Admission::Held { .. }));
    let Admission::Waits(mut turn) = manager.admit(call(2, 0, 90), BEGIN) else { panic!("90 are held") };

    pending(&mut turn, Waker::from(Arc::new(looks())));
    limit(150, 1);
    assert_eq!(closed.swap(0, Ordering::SeqCst), 2, "it was woken, and let go");
    pending(&mut turn, Waker::from(Arc::new(looks())));
    pending(&mut turn, Waker::from(Arc::new(looks())));
    assert_eq!(closed.swap(0, Ordering::SeqCst), 1, "another one took its place");
    drop(turn);
    assert_eq!(closed.swap(0, Ordering::SeqCst), 1, "it was let go");

    let [mut first, mut second] =
        [call(1, 0, 0).run, call(2, 0, 0).run].map(|run| manager.enter(&agent(0), &run, 0));
    let Poll::Ready(inside) = first.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nobody is in")
    };
    let waker = Waker::from(Arc::new(looks()));
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    limit(150, 2);
    assert_eq!(closed.swap(0, Ordering::SeqCst), 2, "it may be worked now");
    drop(inside);
}

#[test]
fn a_quota_of_no_model_or_of_nothing_is_named() {
    let rule = |models: &str, requests_per_minute| QuotaRule {
        requests_per_minute,
        ..QuotaRule::of_models([models])
    };

    for models in ["openai/gpt-4o", "openai/*", "openai/gpt*"] {
        assert_eq!(rule(models, Some(1)).check(), Ok(()));
        assert_eq!(rule(models, None).check(), Err(QuotaError::Empty { of: models.to_owned() }));
        assert_eq!(rule(models, Some(0)).check(), Err(QuotaError::Empty { of: models.to_owned() }));
    }
    for models in ["gpt-4o", "*", "openai/gpt*o", "openai/", ""] {
        assert_eq!(rule(models, Some(1)).check(), Err(QuotaError::Name { models: models.to_owned() }));
    }
}

#[test]
fn a_few_look_for_those_who_come_next_and_do_not_and_the_others_wait_until_they_are_woken() {
    let manager = of_requests(1);
    assert_eq!(let_through(&manager, BEGIN, 10, &mut 1_000), 1);
    let mut noop = Context::from_waker(Waker::noop());
    let mut turns: Vec<Box<dyn Turn>> = (0..100)
        .map(|nth| {
            let Admission::Waits(turn) = manager.admit(call(nth, nth as usize, 5), BEGIN) else {
                panic!("one was let through")
            };
            turn
        })
        .collect();
    for turn in &mut turns {
        assert!(turn.poll(BEGIN, &mut noop).is_pending());
    }

    let next = turns[0].until().expect("it comes next");
    let others: Vec<_> = turns[1..].iter().filter_map(|turn| turn.until()).collect();
    assert_eq!(others, [250, 500, 750].map(|later| UnixMillis(next.0 + later)));
    // The thread of whoever comes next is blocked: somebody else looks, and it is let through all the same.
    let other = turns.iter_mut().skip(1).find(|turn| turn.until().is_some()).expect("three look");
    assert!(other.poll(UnixMillis(next.0 + 250), &mut noop).is_pending(), "it is not its turn");
    let Poll::Ready(Admission::Held { .. }) = turns[0].poll(BEGIN, &mut noop) else {
        panic!("it was let through")
    };
    assert!(turns[1].until() >= Some(UnixMillis(next.0 + 60_000)), "it comes next now");
}

#[test]
fn the_moment_that_is_shown_counts_those_who_come_before() {
    let manager = ResourceManager::default();
    let limits = ResourceLimits { max_tokens_per_minute: Some(100), ..ResourceLimits::default() };
    manager.limit(&Tenant::default(), &agent(0), &limits);
    assert!(matches!(manager.admit(call(1, 0, 100), BEGIN), Admission::Held { .. }));
    let turns = [2, 3, 4].map(|id| match manager.admit(call(id, 0, 50), BEGIN) {
        Admission::Waits(turn) => (call(id, 0, 50).run, turn),
        other => panic!("there is no room: {other:?}"),
    });

    // A minute, and a 240th part of it, after which what was charged is counted no more.
    let shown = turns.each_ref().map(|(run, _)| manager.waiting(run).map(|it| (it.place, it.until)));
    let at = |millis| Some(UnixMillis(BEGIN.0 + millis));
    assert_eq!(shown, [Some((1, at(60_250))), Some((2, at(60_250))), Some((3, at(120_500)))]);
    let alone = turns.each_ref().map(|(_, turn)| turn.waiting().until);
    assert_eq!(alone, [at(60_250); 3], "if nobody takes it before");
}

#[test]
fn what_a_tenant_used_before_counts_once_whoever_tells_it() {
    let manager = ResourceManager::default();
    let budgets = Budgets { tokens_total: Some(1_000), ..Budgets::default() };
    manager.limit_tenant(&Tenant::default(), budgets);
    for _ in 0..2 {
        manager.recall_tenant(&Tenant::default(), &Past { tokens: 600, ..Past::default() }, BEGIN);
    }

    assert!(matches!(manager.admit(call(1, 0, 400), BEGIN), Admission::Held { .. }));
}

#[test]
fn of_agents_that_did_nothing_for_a_while_no_book_is_kept_and_of_those_that_are_at_work_it_is() {
    let manager = ResourceManager::default();
    let limits = ResourceLimits { max_tokens_total: Some(10), ..ResourceLimits::default() };
    let begin = |nth: usize| {
        let known = manager.limit(&Tenant::default(), &agent(nth), &limits);
        manager.recall(&agent(nth), &Past::default(), BEGIN);
        known
    };
    for nth in 0..3 {
        begin(nth);
    }
    assert!(matches!(manager.admit(call(1, 0, 10), BEGIN), Admission::Held { .. }));
    let inside = manager.enter(&agent(1), &call(2, 1, 0).run, 0);
    let open = OpenUse { run: call(3, 2, 0).run, tokens: 5, micros: 0 };
    manager.recall(&agent(3), &Past { open: vec![open], ..Past::default() }, BEGIN);
    for nth in 4..20_000 {
        begin(nth);
        assert_eq!(begin(nth), Known::Yes, "it was told just now");
    }

    let known = |nth| manager.limit(&Tenant::default(), &agent(nth), &limits);
    assert_eq!([0, 1, 2, 3].map(known), [Known::Yes, Known::Yes, Known::No, Known::No]);
    assert!(manager.shared.books.lock().unwrap().agents() < 5_000);
    assert!(matches!(manager.admit(call(4, 0, 1), BEGIN), Admission::Waits(_)), "ten of ten are held");
    drop(inside);
}
