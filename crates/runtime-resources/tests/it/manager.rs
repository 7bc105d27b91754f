//! [`ResourceManager`] keeps the contract of governors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use runtime_resources::{PriceTable, QuotaRule, ResourceManager};
use runtime_testkit::suites::governor::wrong::{Flaw, WrongGovernor};
use runtime_testkit::suites::governor::{self, CASES, Case, LIMITED};

fn manager() -> Arc<ResourceManager> {
    let prices = r#"{ "test/priced": { "input": "1", "output": "1" } }"#;
    Arc::new(ResourceManager::new(serde_json::from_str::<PriceTable>(prices).expect("a table")))
}

/// One that has a quota, as the suite wants it.
fn limited() -> Arc<ResourceManager> {
    let manager = manager();
    manager.declare_quota(QuotaRule { requests_per_minute: Some(60), ..QuotaRule::of_models([LIMITED]) });
    manager
}

runtime_testkit::governor_conformance!(manager());

#[test]
fn a_governor_with_a_quota_holds_up_nobody_for_what_another_one_was_refused() {
    governor::refused_to_one(limited());
}

#[test]
fn each_flaw_fails_exactly_the_case_of_its_clause() {
    for (flaw, clause) in Flaw::ALL {
        let fails = |case: &&Case| {
            let right = if case.clause == "refused-to-one" { limited() } else { manager() };
            let wrong = Arc::new(WrongGovernor::new(right, flaw));
            catch_unwind(AssertUnwindSafe(|| (case.run)(wrong))).is_err()
        };
        let failed: Vec<_> = CASES.iter().filter(fails).map(|case| case.clause).collect();
        assert_eq!(failed, [clause], "{flaw:?}");
    }
}

#[test]
fn every_case_is_failed_by_some_flaw() {
    for Case { clause, .. } in CASES {
        assert!(Flaw::ALL.iter().any(|(_, breaks)| breaks == clause), "nothing fails `{clause}`");
    }
}
