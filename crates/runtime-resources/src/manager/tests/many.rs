//! What each costs who waits does not grow with how many wait.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use runtime_traits::log::Usage;
use runtime_traits::resource::{Admission, CallId, ResourceGovernor, Turn};
use runtime_traits::{Tenant, UnixMillis};

use super::{BEGIN, call};
use crate::budgets::Budgets;
use crate::manager::ResourceManager;
use crate::polls::{Stopwatch, SystemStopwatch};

/// How long a processor works while so many agents wait for one limit with a call each, look at how they stand, and go away or are
/// served.
fn work(agents: usize) -> Duration {
    let stopwatch = SystemStopwatch::default();
    let manager = ResourceManager::default();
    let mut cx = Context::from_waker(Waker::noop());
    let budgets = Budgets { tokens_total: Some(agents as u64), ..Budgets::default() };
    manager.limit_tenant(&Tenant::default(), budgets);
    let before = call(0, agents, agents as u64);
    assert!(matches!(manager.admit(before, BEGIN), Admission::Held { .. }));
    let begin = stopwatch.worked();
    let wait = |nth: usize| match manager.admit(call(nth as u128 + 1, nth, 1), BEGIN) {
        Admission::Waits(turn) => turn,
        other => panic!("there is no room: {other:?}"),
    };
    let mut turns: Vec<Box<dyn Turn>> = (0..agents).map(wait).collect();
    for look in 1..4 {
        for turn in &mut turns {
            assert!(turn.poll(UnixMillis(BEGIN.0 + look), &mut cx).is_pending());
            assert_eq!(turn.waits_for().until, None);
        }
    }
    // Every other one goes away.
    let mut nth = 0;
    turns.retain(|_| {
        nth += 1;
        nth % 2 == 0
    });
    manager.settle(CallId(0), Usage::default(), BEGIN);
    for turn in &mut turns {
        assert!(matches!(turn.poll(BEGIN, &mut cx), Poll::Ready(Admission::Held { .. })));
    }
    stopwatch.worked() - begin
}

#[test]
fn eight_times_as_many_who_wait_are_about_eight_times_the_work_and_not_sixty_four_times() {
    let least = |agents| (0..3).map(|_| work(agents)).min().expect("three");
    let (few, many) = (least(500), least(4_000));

    assert!(many < few * 24, "{few:?} for 500, {many:?} for 4,000");
}
