//! The suite of checks: a right check passes it, and each wrong one fails the case of its clause, and no other.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use runtime_testkit::suites::health::CASES;
use runtime_testkit::suites::health::wrong::{Flaw, WrongCheck};

mod right {
    use super::*;

    runtime_testkit::health_conformance!(WrongCheck(Flaw::None));
}

#[test]
fn each_wrong_check_fails_the_case_of_its_clause_and_no_other() {
    for (flaw, clause) in Flaw::ALL {
        for case in CASES {
            let fixture = WrongCheck(flaw);
            let ended = runtime_testkit::block_on(AssertUnwindSafe((case.run)(&fixture)).catch_unwind());
            assert_eq!(ended.is_err(), case.clause == clause, "{flaw:?} in {}", case.clause);
        }
    }
}
