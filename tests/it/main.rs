//! What holds for the whole house: who may depend on whom, licences, budgets, links, words.
//!
//! Each test collects every violation before it fails, so that one run tells them all.

mod budgets;
mod dependencies;
mod features;
mod graph;
mod licences;
mod links;
mod members;
mod style;
mod tree;
mod words;

/// Fails with all violations, one to a line.
#[track_caller]
fn hold(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
