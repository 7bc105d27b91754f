//! Whoever only another limit can help says so.

use std::task::{Context, Poll, Waker};

use runtime_traits::Tenant;
use runtime_traits::log::Usage;
use runtime_traits::resource::{Admission, CallId, Past, ResourceGovernor, ResourceLimits};

use super::{BEGIN, ResourceManager, agent, call};

#[test]
fn a_call_that_only_another_limit_helps_says_so_until_one_changes() {
    let manager = ResourceManager::default();
    let limit = |tokens| {
        let limits = ResourceLimits { max_tokens_total: Some(tokens), ..ResourceLimits::default() };
        manager.limit(&Tenant::default(), &agent(0), &limits);
    };
    limit(100);
    manager.recall(&agent(0), &Past { tokens: 90, ..Past::default() }, BEGIN);
    let turn = |id, tokens| match manager.admit(call(id, 0, tokens), BEGIN) {
        Admission::Waits(turn) => turn,
        other => panic!("10 are left: {other:?}"),
    };
    let large = turn(1, 50);
    assert!(large.only_by_limit() && large.waiting().until.is_none());
    assert!(
        matches!(manager.admit(call(2, 0, 10), BEGIN), Admission::Held { .. }),
        "it keeps nobody waiting"
    );
    let small = turn(3, 5);
    assert!(!small.only_by_limit(), "the call under way may take less");

    limit(110);
    assert!(large.only_by_limit(), "that is not enough");
    limit(150);
    assert!(!large.only_by_limit(), "it is to look again");
}

#[test]
fn one_that_only_another_limit_helps_says_so_also_with_others_before_it() {
    let manager = ResourceManager::default();
    let limits = ResourceLimits {
        max_tokens_total: Some(1_000),
        max_tokens_per_minute: Some(100),
        ..ResourceLimits::default()
    };
    manager.limit(&Tenant::default(), &agent(0), &limits);
    manager.recall(&agent(0), &Past { tokens: 875, ..Past::default() }, BEGIN);
    let Admission::Held { .. } = manager.admit(call(1, 0, 95), BEGIN) else { panic!("there is room") };
    let turn = |id, tokens| match manager.admit(call(id, 0, tokens), BEGIN) {
        Admission::Waits(turn) => turn,
        other => panic!("the minute is full: {other:?}"),
    };
    manager.settle(CallId(1), Usage { output_tokens: 95, model_calls: 1, ..Usage::default() }, BEGIN);
    let (first, second) = (turn(2, 20), turn(3, 50));

    assert!(!first.only_by_limit(), "time helps it");
    assert!(second.only_by_limit(), "30 are left in all");
}

#[test]
fn a_call_that_was_refused_to_one_and_that_another_one_left_is_held_for_nobody() {
    let manager = ResourceManager::default();
    let limit = |max_tokens_total| {
        let limits = ResourceLimits { max_tokens_total, ..ResourceLimits::default() };
        manager.limit(&Tenant::default(), &agent(0), &limits);
    };
    limit(Some(100));
    manager.recall(&agent(0), &Past::default(), BEGIN);
    assert!(matches!(manager.admit(call(1, 0, 90), BEGIN), Admission::Held { .. }), "there is room");
    let turn = |id| match manager.admit(call(id, 0, 50), BEGIN) {
        Admission::Waits(turn) => turn,
        other => panic!("10 are left: {other:?}"),
    };
    let mut cx = Context::from_waker(Waker::noop());

    // Who looks finds an answer for all; who asked for call 2 does not ask what it is.
    let (refused, mut looks) = (turn(2), turn(3));
    limit(Some(40));
    assert!(matches!(looks.poll(BEGIN, &mut cx), Poll::Ready(Admission::Refused(_))));
    limit(Some(100));
    let (held, mut looks) = (turn(2), turn(4));
    limit(None);
    assert!(matches!(looks.poll(BEGIN, &mut cx), Poll::Ready(Admission::Held { .. })));
    drop(held);

    let used = || manager.usage(&agent(0), BEGIN).expect("it is known").tokens_total;
    assert_eq!(used(), 140, "call 2 is nobody's");
    drop(refused);
    assert_eq!(used(), 140);
}
