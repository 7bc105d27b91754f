//! The style guide names what holds each of its rules, and all of that exists.

use std::collections::BTreeSet;
use std::fs;

use crate::hold;
use crate::tree::{root, texts};

#[test]
fn every_rule_of_the_style_guide_is_held_by_something_that_exists() {
    let guide = read("docs/STYLE.md");
    let rules: Vec<&str> = guide.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rules.len() > 10, "only {} lines of tables were found", rules.len());
    let (lints, stages, tests) = (lints(), read("xtask/src/stages.rs"), tests());

    let violations: Vec<String> = rules
        .into_iter()
        .filter(|rule| *rule != "| rule | held by |")
        .filter(|rule| {
            let by = rule.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            let names: Vec<&str> = by.split('`').skip(1).step_by(2).collect();
            let exists = |name: &&str| {
                let is_stage = by.contains("stage") && stages.contains(&format!("\"{name}\","));
                lints.contains(*name) || tests.contains(*name) || is_stage
            };
            names.is_empty() || !names.iter().all(exists)
        })
        .map(|rule| format!("nothing holds, or something that is not there: {rule}"))
        .collect();

    hold(&violations);
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the repository has this file")
}

/// The names of all lints that the workspace turns on.
fn lints() -> BTreeSet<String> {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("cargo has parsed it");
    let tools = manifest["workspace"]["lints"].as_table().expect("lints are tables of tools");
    let names =
        |tool: &toml::Value| tool.as_table().into_iter().flat_map(toml::Table::keys).cloned().collect();
    tools.values().flat_map::<Vec<String>, _>(names).collect()
}

/// The names of all tests of the house.
fn tests() -> BTreeSet<String> {
    let name = |line: &str| Some(line.strip_prefix("fn ")?.strip_suffix("() {")?.to_owned());
    let names = |text: &str| {
        let after = text.split("#[test]\n").skip(1);
        after.filter_map(|rest| name(rest.lines().next()?)).collect::<Vec<_>>()
    };
    texts("tests/it").iter().flat_map(|file| names(&file.text)).collect()
}
