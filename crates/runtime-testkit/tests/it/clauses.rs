//! The suite and the contract name the same clauses.

use runtime_testkit::suites::state_store::CASES;
use runtime_testkit::suites::{bus, governor, health, model, snapshots};

const CONTRACT: &str = include_str!("../../../runtime-traits/src/store/state_store.rs");
const BUSES: &str = include_str!("../../../runtime-traits/src/bus/contract.rs");
const CHECKS: &str = include_str!("../../../runtime-traits/src/health/check.rs");
const MODELS: &str = include_str!("../../../runtime-traits/src/model.rs");

const GOVERNORS: &str = include_str!("../../../runtime-traits/src/resource/governor.rs");

const SNAPSHOTS: &str = include_str!("../../../runtime-traits/src/snapshot/contract.rs");

/// The names in the bullets under `# Contract`.
fn clauses(doc: &str) -> Vec<&str> {
    let (_, contract) = doc.split_once("/// # Contract\n").expect("the trait has a contract");
    let (contract, _) = contract.split_once("\npub trait ").expect("the trait follows");
    contract.lines().filter_map(|line| line.strip_prefix("/// - `")?.split('`').next()).collect()
}

#[test]
fn every_clause_of_the_store_contract_is_a_case_of_the_same_name() {
    let mut cases: Vec<_> = CASES.iter().map(|case| case.clause).collect();
    let mut clauses = clauses(CONTRACT);
    assert!(clauses.len() >= 16, "only {clauses:?}");
    cases.sort_unstable();
    clauses.sort_unstable();
    assert_eq!(cases, clauses);
}

#[test]
fn every_clause_of_the_contract_of_models_is_a_case_of_the_same_name() {
    let cases: Vec<_> = model::CASES.iter().map(|case| case.clause).collect();
    assert_eq!(cases, clauses(MODELS));
}

#[test]
fn every_clause_of_the_contract_of_snapshots_is_a_case_of_the_same_name() {
    let cases: Vec<_> = snapshots::CASES.iter().map(|case| case.clause).collect();
    let flaws: Vec<_> = snapshots::Flaw::ALL.iter().map(|(_, clause)| *clause).collect();
    assert_eq!((&cases, &flaws), (&clauses(SNAPSHOTS), &clauses(SNAPSHOTS)));
}

#[test]
fn every_clause_of_the_contract_of_buses_is_a_case_of_the_same_name() {
    let cases: Vec<_> = bus::CASES.iter().map(|case| case.clause).collect();
    assert_eq!(cases, clauses(BUSES));
}

#[test]
fn every_clause_of_the_contract_of_governors_is_a_case_of_the_same_name() {
    let cases: Vec<_> = governor::CASES.iter().map(|case| case.clause).collect();
    assert_eq!(cases, clauses(GOVERNORS));
}

#[test]
fn every_clause_of_the_contract_of_checks_is_a_case_of_the_same_name() {
    let cases: Vec<_> = health::CASES.iter().map(|case| case.clause).collect();
    let flaws: Vec<_> = health::wrong::Flaw::ALL.iter().map(|(_, clause)| *clause).collect();
    assert_eq!((&cases, &flaws), (&clauses(CHECKS), &clauses(CHECKS)));
}
