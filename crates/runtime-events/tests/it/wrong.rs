//! A bus that breaks one clause fails the case of that name, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use runtime_testkit::suites::bus::{CASES, Case, Flaw, WrongBuses};

use crate::fixtures::OverMaps;

/// The clauses whose case a bus with this flaw fails.
fn broken(flaw: Flaw) -> Vec<&'static str> {
    let fails = |case: &&Case| {
        let buses = WrongBuses::new(OverMaps::default(), flaw);
        let run = AssertUnwindSafe(|| runtime_testkit::block_on((case.run)(&buses)));
        catch_unwind(run).is_err()
    };
    CASES.iter().filter(fails).map(|case| case.clause).collect()
}

#[test]
fn each_flaw_fails_exactly_the_case_of_its_clause() {
    // Some of them wait as long as a case does; they wait together.
    let surprises: Vec<String> = thread::scope(|scope| {
        let tries: Vec<_> = Flaw::ALL
            .into_iter()
            .map(|(flaw, clause)| (flaw, clause, scope.spawn(move || broken(flaw))))
            .collect();
        let surprises = tries.into_iter().filter_map(|(flaw, clause, tried)| {
            let broken = tried.join().unwrap();
            (broken != [clause]).then(|| format!("{flaw:?} should fail `{clause}`, and fails {broken:?}"))
        });
        surprises.collect()
    });
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[test]
fn every_case_is_failed_by_some_flaw() {
    let clauses: Vec<_> = Flaw::ALL.iter().map(|(_, clause)| *clause).collect();
    assert_eq!(clauses, CASES.iter().map(|case| case.clause).collect::<Vec<_>>());
}
