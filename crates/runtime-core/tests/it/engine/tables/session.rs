//! The order of a session's runs.

use runtime_core::engine::session::Session;
use runtime_traits::{Partition, Pool, RunId};
use uuid::Uuid;

fn run(number: u128) -> RunId {
    RunId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, Uuid::from_u128(number))
}

/// A session that works on run 1; runs 2 and 3 are accepted and wait.
fn busy() -> Session {
    let mut session = Session::default();
    assert!(session.admit(run(1), true));
    for number in 2..4 {
        assert!(!session.admit(run(number), true));
        session.accepted(&run(number));
    }
    session
}

#[test]
fn runs_begin_one_after_the_other_in_the_order_of_their_admission() {
    let mut session = busy();
    assert_eq!(session.begin_next(), None, "one is at work");
    for number in 1..3 {
        session.leave(&run(number));
        assert_eq!(session.begin_next(), Some(run(number + 1)));
        assert_eq!((session.busy_with(), session.working()), (Some(run(number + 1)), 1));
    }
    session.leave(&run(3));
    assert_eq!((session.begin_next(), session.is_idle()), (None, true));
}

#[test]
fn a_run_that_may_not_begin_waits_in_a_free_session() {
    let mut session = Session::default();
    assert!(!session.admit(run(1), false));
    assert!(!session.admit(run(2), true), "nobody overtakes it");
    assert_eq!((session.queued(), session.working()), (2, 0));
}

#[test]
fn a_run_whose_acceptance_is_not_committed_has_no_turn_and_lets_nobody_pass() {
    let mut session = Session::default();
    assert!(session.admit(run(1), true));
    assert!(!session.admit(run(2), true));
    assert!(!session.admit(run(3), true));
    session.accepted(&run(3));
    assert_eq!(session.promise_next(), None);
    session.leave(&run(1));
    assert_eq!(session.begin_next(), None);

    session.accepted(&run(2));
    assert_eq!(session.begin_next(), Some(run(2)));
}

#[test]
fn a_promised_turn_is_kept() {
    let mut session = busy();
    assert_eq!(session.promise_next(), Some(run(2)));
    assert_eq!(session.promise_next(), Some(run(2)), "it is promised once");
    assert!(!session.leave_queue(&run(2)), "it counts as begun");
    assert!(session.leave_queue(&run(3)));

    session.leave(&run(1));
    assert!(!session.admit(run(4), true), "between two runs nobody comes in");
    assert_eq!(session.begin_next(), Some(run(2)));
}

#[test]
fn only_an_accepted_run_leaves_the_queue_on_demand() {
    let mut session = busy();
    session.admit(run(5), true);
    assert!(!session.leave_queue(&run(5)));
    assert!(session.leave_queue(&run(2)));
    assert!(!session.leave_queue(&run(2)));
    session.leave(&run(1));
    assert_eq!(session.begin_next(), Some(run(3)));
}

#[test]
fn a_run_found_at_work_is_at_work() {
    let mut session = Session::default();
    session.resume(run(7));
    assert!(!session.admit(run(8), true));
    assert_eq!(session.busy_with(), Some(run(7)));
}

#[test]
fn a_run_that_is_let_out_has_its_turn_once_that_is_committed_and_lets_nobody_pass() {
    let mut session = busy();
    assert!(!session.take_back(run(9)));
    session.leave(&run(1));
    assert_eq!((session.promise_next(), session.begin_next()), (None, None), "it may not be let out yet");
    session.accepted(&run(9));
    assert_eq!(session.begin_next(), Some(run(9)));

    let mut session = busy();
    assert!(!session.take_back(run(9)));
    session.leave(&run(1));
    session.leave(&run(9));
    assert_eq!(session.begin_next(), Some(run(2)), "it stays where it was");
}
