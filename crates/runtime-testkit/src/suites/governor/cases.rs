//! The cases of the suite of governors.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::Usage;
use runtime_traits::resource::{
    Admission, Call, CallId, Inside, Known, Limit, Minute, Money, OnLimit, Past, Refused, ResourceLimits,
    Turn,
};
use runtime_traits::{CalledModel, Partition, Pool, ResourceGovernor, Tenant, UnixMillis};
use uuid::Uuid;

use super::{LIMITED, PRICED, UNPRICED};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 7 };

fn agent() -> AgentId {
    AgentId::from_parts(PARTITION, Uuid::from_u128(1))
}

/// A call of run `run`, of so many tokens at most.
fn call(id: u128, run: u128, tokens: u64) -> Call {
    Call {
        id: CallId(id),
        tenant: Tenant::default(),
        agent: agent(),
        run: RunId::from_parts(PARTITION, Uuid::from_u128(run)),
        model: Some(PRICED.into()),
        most: Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() },
        on_limit: OnLimit::Wait,
        priority: 0,
    }
}

fn used(tokens: u64) -> Usage {
    Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() }
}

fn in_all(tokens: u64) -> ResourceLimits {
    ResourceLimits { max_tokens_total: Some(tokens), ..ResourceLimits::default() }
}

/// Limits an agent whose use before is nothing.
fn limit(governor: &Arc<dyn ResourceGovernor>, limits: ResourceLimits) {
    limits.check().expect("the limits of a case can be reached");
    if governor.limit(&Tenant::default(), &agent(), &limits) == Known::No {
        governor.recall(&agent(), &Past::default(), NOW);
    }
}

/// Tokens of the agent in all; 0 of one that is not known.
fn used_in_all(governor: &Arc<dyn ResourceGovernor>) -> u64 {
    governor.usage(&agent(), NOW).map_or(0, |usage| usage.tokens_total)
}

fn is_held(governor: &Arc<dyn ResourceGovernor>, call: Call) -> bool {
    matches!(governor.admit(call, NOW), Admission::Held { .. })
}

fn turn(admission: Admission) -> Box<dyn Turn> {
    let turn = if let Admission::Waits(turn) = admission { Some(turn) } else { None };
    turn.expect("there is no room, and it waits")
}

/// That a run is worked, if it is let in.
fn let_in(asks: &mut BoxFuture<'static, Result<Inside, Refused>>) -> Option<Inside> {
    match asks.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(let_in) => Some(let_in.expect("few wait")),
        Poll::Pending => None,
    }
}

fn poll(turn: &mut Box<dyn Turn>) -> Poll<Admission> {
    turn.poll(NOW, &mut Context::from_waker(Waker::noop()))
}

/// `held-before-sent`: what is held counts as used until it is settled; the sum never exceeds a limit.
pub fn held_before_sent(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    assert!(is_held(&governor, call(1, 1, 600)), "there is room");
    assert!(!is_held(&governor, call(2, 2, 401)), "600 are held of 1,000");
    assert!(is_held(&governor, call(3, 3, 400)), "400 are left");
    assert_eq!(used_in_all(&governor), 1_000, "what is held counts as used");
    let of_run = ResourceLimits { max_tokens_per_run: Some(100), ..ResourceLimits::default() };
    limit(&governor, of_run);
    assert!(is_held(&governor, call(4, 4, 100)), "each run has its own");
    assert!(!is_held(&governor, call(5, 4, 1)), "and no more");
}

/// `once-by-id`: a call that is asked for or settled again changes nothing.
pub fn once_by_id(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    for _ in 0..3 {
        assert!(is_held(&governor, call(1, 1, 600)), "it is the same call");
    }
    governor.settle(CallId(1), used(100), NOW);
    governor.settle(CallId(1), used(900), NOW);
    assert_eq!(used_in_all(&governor), 100, "what was settled stays settled");
    // One that waits is asked for again, twice: it is one call, whoever of them looks.
    assert!(is_held(&governor, call(2, 2, 900)), "the rest is left");
    let mut places = [(); 3].map(|()| turn(governor.admit(call(3, 3, 300), NOW)));
    governor.settle(CallId(2), used(0), NOW);
    assert_eq!(used_in_all(&governor), 400, "all have room for the one call");
    let [_, second, third] = &mut places;
    assert!(matches!(poll(second), Poll::Ready(Admission::Held { .. })), "it is let through");
    assert!(matches!(poll(third), Poll::Ready(Admission::Held { .. })), "it is the same call");
    assert!(is_held(&governor, call(3, 3, 300)), "it is the same call");
    drop(places);
    assert_eq!(used_in_all(&governor), 400, "whoever goes away gives back nothing that another one has");
    assert_eq!(governor.settle(CallId(3), used(50), NOW).micros, Some(50), "it is charged");
    // All who asked for it go away.
    assert!(is_held(&governor, call(4, 4, 850)), "the rest is left");
    let places = [(); 2].map(|()| turn(governor.admit(call(5, 5, 300), NOW)));
    governor.settle(CallId(4), used(0), NOW);
    drop(places);
    assert_eq!(used_in_all(&governor), 150, "nobody has it");
}

/// `settled-with-the-truth`: once it is settled, a call counts with what it took.
pub fn settled_with_the_truth(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    assert!(is_held(&governor, call(1, 1, 600)), "there is room");
    let price = governor.settle(CallId(1), used(10), NOW);
    assert_eq!(price.micros, Some(10), "ten tokens cost ten millionths of a dollar");
    assert!(is_held(&governor, call(2, 1, 990)), "it took 10");
    // More than was held: somebody will bill it.
    governor.settle(CallId(2), used(2_000), NOW);
    assert_eq!(used_in_all(&governor), 2_010, "the bill counts");
}

/// `recorded-counts`: what a call took that was never held counts as if it had been.
pub fn recorded_counts(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    governor.record(&call(1, 1, 300), NOW);
    governor.record(&call(2, 1, 300), NOW);
    assert_eq!(used_in_all(&governor), 600, "what was taken counts");
    assert!(!is_held(&governor, call(3, 2, 401)), "400 are left");
    governor.record(&call(4, 1, 5_000), NOW);
    assert_eq!(used_in_all(&governor), 5_600, "also beyond a limit");
    governor.settle(CallId(4), used(0), NOW);
    assert_eq!(used_in_all(&governor), 5_600, "and is over");
}

/// `recalled-counts`: what was used before a restart counts as what is used now.
pub fn recalled_counts(governor: Arc<dyn ResourceGovernor>) {
    let limits = ResourceLimits { max_tokens_per_minute: Some(500), ..in_all(1_000) };
    assert_eq!(governor.limit(&Tenant::default(), &agent(), &limits), Known::No, "nobody told it");
    let minute = Minute { at: NOW, requests: 1, tokens: 300, micros: 0 };
    let past = Past { minutes: vec![minute], tokens: 900, ..Past::default() };
    let shown = governor.usage_from(&limits, &past, NOW);
    assert_eq!((shown.tokens_total, shown.tokens_used_last_minute), (900, 300), "what was kept is shown");
    assert_eq!(governor.usage(&agent(), NOW), None, "and not remembered");
    governor.recall(&agent(), &past, NOW);
    governor.recall(&agent(), &past, NOW);
    assert_eq!(governor.limit(&Tenant::default(), &agent(), &limits), Known::Yes, "it was told");
    assert_eq!(used_in_all(&governor), 900, "it is told once");
    assert!(!is_held(&governor, call(1, 1, 101)), "900 of 1,000 were used");
    limit(&governor, ResourceLimits { max_tokens_total: Some(10_000), ..limits });
    assert!(!is_held(&governor, call(2, 2, 201)), "300 of 500 were used in this minute");
    assert!(is_held(&governor, call(3, 3, 200)), "200 are left of this minute");
}

/// `waits-in-turn`: whoever waits gets room as soon as there is some, and a turn that is dropped leaves no trace.
pub fn waits_in_turn(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    assert!(is_held(&governor, call(1, 1, 900)), "there is room");
    let mut first = turn(governor.admit(call(2, 2, 500), NOW));
    let second = turn(governor.admit(call(3, 3, 500), NOW));
    let waiting = first.waiting();
    assert_eq!((waiting.limit, waiting.place), (Limit::MaxTokensTotal, 1), "it comes next");
    let of_run = governor.waiting(&call(3, 3, 0).run).expect("the other waits as well");
    assert_eq!(of_run.place, 2, "behind it");
    assert!(poll(&mut first).is_pending(), "there is no room yet");
    assert!(!is_held(&governor, call(4, 4, 50)), "who comes later does not overtake");
    drop(second);
    governor.settle(CallId(1), used(100), NOW);
    assert!(matches!(poll(&mut first), Poll::Ready(Admission::Held { .. })), "now there is room");
    governor.settle(CallId(2), used(0), NOW);
    assert!(is_held(&governor, call(5, 5, 900)), "whoever left holds nothing");
    let refused = governor.admit(Call { on_limit: OnLimit::Refuse, ..call(6, 6, 500) }, NOW);
    assert!(
        matches!(refused, Admission::Refused(Refused::Reached { limit: Limit::MaxTokensTotal, .. })),
        "who does not wait is refused, and told by what"
    );
    let late = turn(governor.admit(call(7, 7, 500), NOW));
    governor.settle(CallId(5), used(0), NOW);
    // It has room by now, and goes away without having looked.
    drop(late);
    assert!(is_held(&governor, call(8, 8, 900)), "what it was given is given back");
    governor.settle(CallId(8), used(800), NOW);
    let mut large = turn(governor.admit(call(9, 9, 200), NOW));
    assert!(is_held(&governor, call(10, 10, 100)), "only another limit can help whoever is before it");
    limit(&governor, in_all(1_200));
    assert!(matches!(poll(&mut large), Poll::Ready(Admission::Held { .. })), "there is one");
    under_several_limits(&governor);
}

/// Who waits under one limit keeps its turn under the next.
fn under_several_limits(governor: &Arc<dyn ResourceGovernor>) {
    governor.forget(&agent());
    limit(governor, ResourceLimits { max_tokens_per_run: Some(900), ..in_all(1_200) });
    assert!(is_held(governor, call(21, 21, 800)), "there is room");
    let mut of_run = turn(governor.admit(call(22, 21, 150), NOW));
    assert!(is_held(governor, call(23, 23, 400)), "who waits for its run keeps no other waiting");
    let mut of_agent = turn(governor.admit(call(24, 24, 150), NOW));
    governor.settle(CallId(21), used(650), NOW);
    assert!(
        matches!(poll(&mut of_run), Poll::Ready(Admission::Held { .. })),
        "it came before, and there is room"
    );
    assert!(poll(&mut of_agent).is_pending(), "it came later, and nothing is left");
}

/// `limits-at-once`: changed limits hold from the next call on, for calls that wait too.
pub fn limits_at_once(governor: Arc<dyn ResourceGovernor>) {
    limit(&governor, in_all(1_000));
    assert!(is_held(&governor, call(1, 1, 900)), "there is room");
    let mut waits = turn(governor.admit(call(2, 2, 500), NOW));
    limit(&governor, in_all(2_000));
    assert!(matches!(poll(&mut waits), Poll::Ready(Admission::Held { .. })), "the limit was raised");
    limit(&governor, in_all(1_500));
    assert!(!is_held(&governor, call(3, 3, 200)), "the limit was lowered");
    assert!(
        matches!(governor.admit(call(4, 4, 1_501), NOW), Admission::Refused(Refused::Never { .. })),
        "what never fits does not wait"
    );
    let check =
        |limits, model: &str| governor.check(&Tenant::default(), &limits, Some((&model.into(), used(100))));
    assert!(check(in_all(99), PRICED).is_err(), "no call would be let through");
    assert!(check(in_all(100), PRICED).is_ok(), "one would");
    let mut waits = turn(governor.admit(call(5, 5, 200), NOW));
    limit(&governor, ResourceLimits { on_limit: OnLimit::Refuse, ..in_all(1_500) });
    assert!(
        matches!(
            poll(&mut waits),
            Poll::Ready(Admission::Refused(Refused::Reached { limit: Limit::MaxTokensTotal, .. }))
        ),
        "whoever waited is refused"
    );
    assert!(
        matches!(governor.admit(call(6, 6, 200), NOW), Admission::Refused(Refused::Reached { .. })),
        "and whoever asks"
    );
    governor.forget(&agent());
    assert_eq!(used_in_all(&governor), 0, "of an agent that is deleted nothing is known");
}

/// `shared-by-a-tenant`: what is limited of a tenant is shared by all its agents and by no others, counts calls that were under way when
/// it was limited first, and holds from the next call on when it is changed or lifted, for calls that wait too.
pub fn shared_by_a_tenant(governor: Arc<dyn ResourceGovernor>) {
    let (tenant, none) = (Tenant::default(), ResourceLimits::default());
    let of = |agent: u128, call: Call| {
        let agent = AgentId::from_parts(PARTITION, Uuid::from_u128(agent));
        if governor.limit(&call.tenant, &agent, &none) == Known::No {
            governor.recall(&agent, &Past::default(), NOW);
        }
        Call { agent, ..call }
    };
    let shown = || governor.usage_together(&tenant, NOW).map(|(limits, usage)| (limits, usage.tokens_total));
    assert!(is_held(&governor, of(1, call(1, 1, 500))), "nothing is limited");
    assert!(!governor.limits_tenant(&tenant) && shown().is_none(), "nobody limits it");
    governor.recall_tenant(&tenant, &Past { tokens: 100, ..Past::default() }, NOW);
    governor.limit_together(&tenant, &in_all(1_000));
    assert!(governor.limits_tenant(&tenant), "somebody does");
    assert_eq!(shown(), Some((in_all(1_000), 600)), "what was used before counts, and what is under way");
    assert!(is_held(&governor, of(2, call(2, 2, 400))), "400 are left");
    let mut waits = turn(governor.admit(of(3, call(3, 3, 100)), NOW));
    assert_eq!(waits.waiting().limit, Limit::MaxTokensTotal, "agents share it");
    let elsewhere = Call { tenant: Tenant::new("elsewhere").expect("a name"), ..call(4, 4, 900) };
    assert!(is_held(&governor, of(4, elsewhere)), "another tenant has a limit of its own, or none");
    governor.limit_together(&tenant, &in_all(1_100));
    assert!(matches!(poll(&mut waits), Poll::Ready(Admission::Held { .. })), "the limit was raised");
    governor.settle(CallId(1), used(100), NOW);
    assert_eq!(shown(), Some((in_all(1_100), 700)), "a call that was under way counts with what it took");
    governor.limit_together(&tenant, &in_all(700));
    let mut waits = turn(governor.admit(of(1, call(5, 5, 10)), NOW));
    assert!(poll(&mut waits).is_pending(), "the limit was lowered");
    governor.limit_together(&tenant, &none);
    assert!(matches!(poll(&mut waits), Poll::Ready(Admission::Held { .. })), "the limit was lifted");
    assert!(!governor.limits_tenant(&tenant) && shown().is_none(), "nobody limits it any more");
}

/// `no-more-at-once`: no more runs of an agent are let in at once than may, and who leaves lets the next one in.
pub fn no_more_at_once(governor: Arc<dyn ResourceGovernor>) {
    let at_once = |max| ResourceLimits { max_concurrent_requests: Some(max), ..ResourceLimits::default() };
    limit(&governor, at_once(1));
    let run = |nth| call(0, nth, 0).run;
    let mut asks: Vec<_> = (1..=4).map(|nth| governor.enter(&agent(), &run(nth), 0)).collect();
    let first = let_in(&mut asks[0]).expect("nobody is in");
    assert!(let_in(&mut asks[1]).is_none(), "one is in");
    assert!(let_in(&mut asks[2]).is_none(), "one is in");
    let place = governor.waiting(&run(3)).map(|waiting| (waiting.limit, waiting.place));
    assert_eq!(place, Some((Limit::MaxConcurrentRequests, 2)), "another one comes before");
    // The one before it goes away.
    drop(asks.remove(1));
    assert_eq!(governor.waiting(&run(3)).map(|waiting| waiting.place), Some(1), "it comes next");
    drop(first);
    let third = let_in(&mut asks[1]).expect("it is its turn");
    assert!(let_in(&mut asks[2]).is_none(), "one is in");
    limit(&governor, at_once(2));
    let fourth = let_in(&mut asks[2]).expect("two may be in");
    assert_eq!(governor.waiting(&run(4)), None, "nobody waits");
    limit(&governor, at_once(1));
    let mut low = governor.enter(&agent(), &run(5), 0);
    let mut high = governor.enter(&agent(), &run(6), 9);
    assert!(let_in(&mut low).is_none() && let_in(&mut high).is_none(), "two are in");
    drop((third, fourth));
    let high = let_in(&mut high).expect("it comes first, though it asked last");
    assert!(let_in(&mut low).is_none(), "one is in");
    drop(high);
    drop(let_in(&mut low).expect("it is its turn"));
}

/// `refused-to-one`: that a provider refused a call for now holds up no call with another credential.
pub fn refused_to_one(governor: Arc<dyn ResourceGovernor>) {
    let with = |id: u128, credential: &str| {
        let model = Some(CalledModel::from(LIMITED).with_credential(credential));
        Call { model, ..call(id, id, 5) }
    };
    limit(&governor, ResourceLimits::default());
    assert!(is_held(&governor, with(1, "env:ONE")), "there is room");
    assert!(is_held(&governor, with(2, "env:OTHER")), "there is room");
    governor.throttled(CallId(1), Some(Duration::from_secs(20)), NOW);
    assert!(is_held(&governor, with(3, "env:OTHER")), "it was not refused to the other one");
    assert!(is_held(&governor, Call { model: Some(LIMITED.into()), ..call(4, 4, 5) }), "nor to nobody's");
    for id in 1..=4 {
        governor.settle(CallId(id), Usage { model_calls: 1, ..Usage::default() }, NOW);
    }
    assert!(is_held(&governor, with(5, "env:OTHER")), "that it is over changes nothing for it");
}

/// `unknown-price-is-not-zero`: a model without a price is refused where money is limited, and its price is `None`.
pub fn unknown_price_is_not_zero(governor: Arc<dyn ResourceGovernor>) {
    let unpriced = |id, run| Call { model: Some(UNPRICED.into()), ..call(id, run, 10) };
    assert_eq!(governor.price(UNPRICED, &used(10)).micros, None, "nobody knows what it costs");
    assert_eq!(governor.price(PRICED, &used(10)).micros, Some(10), "that is known");
    limit(&governor, in_all(1_000));
    assert!(is_held(&governor, unpriced(1, 1)), "money is not limited");
    assert_eq!(governor.settle(CallId(1), used(10), NOW).micros, None, "unknown, which is not 0");
    assert!(is_held(&governor, call(10, 10, 900)), "there is room");
    let mut waits = turn(governor.admit(Call { model: Some(UNPRICED.into()), ..call(11, 11, 200) }, NOW));
    let money = ResourceLimits { max_cost_per_day: Some(Money::from_micros(100)), ..in_all(1_000) };
    limit(&governor, money);
    assert!(
        matches!(poll(&mut waits), Poll::Ready(Admission::Refused(Refused::Unpriced { .. }))),
        "money is limited now, for calls that wait too"
    );
    governor.settle(CallId(10), used(0), NOW);
    assert!(
        matches!(governor.admit(unpriced(2, 2), NOW), Admission::Refused(Refused::Unpriced { .. })),
        "money is limited"
    );
    assert!(
        governor.check(&Tenant::default(), &money, Some((&UNPRICED.into(), used(10)))).is_err(),
        "that is told before"
    );
    assert!(is_held(&governor, call(3, 3, 100)), "the price is known, and there is room");
    let exhausted = |least: Option<u64>| {
        let (model, least) = (PRICED.into(), least.map(used));
        governor.exhausted(&Tenant::default(), &agent(), least.map(|least| (&model, least)), NOW)
    };
    assert!(exhausted(None).is_some(), "the money is used up");
    assert!(!is_held(&governor, call(4, 4, 1)), "the money is used up");
    governor.settle(CallId(3), used(90), NOW);
    assert_eq!(exhausted(None), None, "some is left");
    assert_eq!(exhausted(Some(10)), None, "it is enough");
    assert!(exhausted(Some(11)).is_some(), "it is not enough for any call");
}
