//! A store that breaks one clause fails the case of that name, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use runtime_testkit::suites::state_store::{CASES, StoreFixture};
use runtime_testkit::wrong::Flaw;

use crate::fixture::Maps;

/// The clauses whose case a store of this fixture fails.
fn broken(fixture: &dyn StoreFixture) -> Vec<&'static str> {
    let fails = |case: &&runtime_testkit::suites::state_store::Case| {
        let run = AssertUnwindSafe(|| runtime_testkit::block_on((case.run)(fixture)));
        catch_unwind(run).is_err()
    };
    CASES.iter().filter(fails).map(|case| case.clause).collect()
}

#[test]
fn each_wrong_store_fails_exactly_the_case_of_the_clause_it_breaks() {
    let mut surprises = Vec::new();
    for flaw in Flaw::ALL {
        let broken = broken(&Maps::wrong(*flaw));
        if broken != [flaw.clause()] {
            surprises.push(format!("{flaw:?} should fail `{}`, and fails {broken:?}", flaw.clause()));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[test]
fn every_case_is_failed_by_some_wrong_store() {
    for case in CASES {
        assert!(Flaw::ALL.iter().any(|flaw| flaw.clause() == case.clause), "nothing fails `{}`", case.clause);
    }
}
