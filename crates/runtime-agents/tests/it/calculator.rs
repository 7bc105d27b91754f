//! The calculator: exact, or refused.

use proptest::prelude::{any, proptest};
use runtime_agents::tools::Calculator;
use runtime_traits::{Effect, StepCall, Tool};
use serde_json::json;

fn computed(expression: &str) -> Result<String, String> {
    let arguments = json!({ "expression": expression }).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let said = runtime.block_on(Calculator::new().call(&StepCall::detached("a"), &arguments));
    said.map_err(|error| error.message().to_owned())
}

#[test]
fn expressions_have_their_values() {
    for (expression, value) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("100 / 10 / 5", "2"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "-4"),
        ("(-2) ^ 2", "4"),
        ("2 ^ -2", "0.25"),
        ("2 ^ -1 * 3", "1.5"),
        ("0.1 + 0.2", "0.3"),
        ("1_000 * 1.50", "1500"),
        ("3e2 + 1.5E-1", "300.15"),
        ("1/3", "1/3 (about 0.333333333333)"),
        ("-2/3", "-2/3 (about -0.666666666666)"),
        ("7 % 3", "1"),
        ("-7 % 3", "2"),
        ("7.5 % -2", "-0.5"),
        ("--5", "5"),
        ("+5 - -5", "10"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("1/8", "0.125"),
        (".5 + 5.", "5.5"),
        ("0^0", "1"),
        ("0e999", "0"),
        ("(1/3 + 1/6) * 2", "1"),
        ("2^126", "85070591730234615865843651857942052864"),
    ] {
        assert_eq!(computed(expression).as_deref(), Ok(value), "{expression}");
    }
}

#[test]
fn what_has_no_value_is_refused_with_the_reason() {
    for (expression, reason) in [
        ("", "empty"),
        ("1 +", "missing at the end"),
        ("* 2", "missing before an operator"),
        ("()", "missing before `)`"),
        ("(1", "no partner"),
        ("1)", "no partner"),
        ("2 (3)", "`(` at character 3"),
        ("2 3", "`3` at character 3"),
        ("1.2.3", "`1.2.3` is no number"),
        (".", "is no number"),
        ("two", "`t` at character 1"),
        ("1/0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0 ^ -1", "division by zero"),
        ("2 ^ 0.5", "whole number"),
        ("2 ^ 1000", "too large"),
        ("1e99999999999", "too large"),
        ("170141183460469231731687303715884105727 + 1", "too large"),
        ("170141183460469231731687303715884105728", "too large"),
    ] {
        let said = computed(expression).unwrap_err();
        assert!(said.contains(reason), "{expression}: {said}");
    }
    assert!(computed(&"1+".repeat(2100)).unwrap_err().contains("longer than 4096"));
}

#[test]
fn deep_nesting_and_long_rows_of_signs_are_just_work() {
    let deep = format!("{}1{}", "(".repeat(2000), ")".repeat(2000));
    assert_eq!(computed(&deep).as_deref(), Ok("1"));
    assert_eq!(computed(&format!("{}1", "-".repeat(4000))).as_deref(), Ok("1"));
    assert!(computed(&"(".repeat(4000)).is_err());
    assert_eq!(Calculator::new().effect(), Effect::Pure);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[-0-9.()+*/%^ e_]{0,60}") {
        drop(computed(&text));
    }

    #[test]
    fn whole_numbers_are_computed_as_anywhere(a in any::<i32>(), b in any::<i32>(), c in any::<i32>()) {
        let (wide_a, wide_b, wide_c) = (i128::from(a), i128::from(b), i128::from(c));
        let expected = wide_a * wide_b - wide_c;
        assert_eq!(computed(&format!("{a} * {b} - {c}")), Ok(expected.to_string()));
    }
}
