//! Small campaigns: one that finds nothing, and some over stores that break their contract.

use crate::program::{chaos, text};

#[test]
fn three_kills_violate_nothing() {
    let output = chaos(&["crash", "--n", "3", "--seed", "7", "--details"]);

    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let result = told.lines().find(|line| line.starts_with("result ")).expect(&told);
    let words: Vec<&str> = result.split(' ').collect();
    assert_eq!(words[..4], ["result", "name=crash", "n=3", "violations=0"], "{told}");
    assert!(words[4].starts_with("p50=") && words[5].starts_with("p99=") && words[6] == "seed=7", "{told}");
    // It looked at something.
    let looked = told.lines().find(|line| line.starts_with("looked ")).expect(&told);
    let scripted = ["accepted", "executions", "repeats", "verdicts", "handed_over"];
    let thinking = ["model_calls", "tool_calls", "consents", "answers", "children", "said", "mails"];
    for what in scripted.into_iter().chain(thinking) {
        assert!(!looked.contains(&format!(" {what}=0 ")), "{looked}");
    }
}

#[test]
fn a_store_that_answers_without_writing_is_found_out() {
    let output = chaos(&["crash", "--n", "3", "--seed", "7", "--flaw", "lies"]);

    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    // Which others are broken is a matter of chance: what finds each of them is tested beside it.
    assert!(told.contains("violation law=stuck "), "{told}");
    assert!(!told.contains(" violations=0 "), "{told}");
}

#[test]
fn a_store_that_loses_what_leaves_a_partition_is_found_out() {
    let output = chaos(&["crash", "--n", "2", "--seed", "7", "--flaw", "loses-mail"]);

    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let waits = |line: &str| line.starts_with("violation law=stuck ") && line.contains("Child");
    assert!(told.lines().any(waits), "{told}");
}

#[test]
fn arguments_that_make_no_campaign_are_refused() {
    for args in [&["crash", "--n", "0"][..], &["crash", "--runs", "many"], &["fire"]] {
        assert_eq!(chaos(args).status.code(), Some(2));
    }
}
