//! How long files may be.

use crate::hold;
use crate::tree::{texts, texts_with};

#[test]
fn no_rust_file_is_longer_than_600_lines() {
    let lengths = texts_with("rs").into_iter().map(|file| (file.text.lines().count(), file.path));

    let violations: Vec<String> = lengths
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, path)| format!("`{path}` has {lines} lines, 600 are allowed"))
        .collect();

    hold(&violations);
}

#[test]
fn the_median_source_file_of_the_crates_has_fewer_than_150_lines() {
    let is_source = |path: &str| path.ends_with(".rs") && path.split('/').nth(2) == Some("src");
    let mut lengths: Vec<usize> = texts("crates")
        .into_iter()
        .filter(|file| is_source(&file.path))
        .map(|file| file.text.lines().count())
        .collect();
    lengths.sort_unstable();

    let median = lengths[lengths.len() / 2];

    assert!(median < 150, "the median of {} files is {median} lines", lengths.len());
}

#[test]
fn every_team_has_an_example_of_at_most_60_lines() {
    let teams: Vec<String> = texts("crates/runtime-agents/src/teams")
        .into_iter()
        .filter_map(|file| Some(file.path.rsplit_once('/')?.1.strip_suffix(".rs")?.to_owned()))
        .filter(|team| team != "kind")
        .collect();
    assert!(teams.len() >= 4, "only {teams:?} were found");
    let examples = texts("examples");

    let violations: Vec<String> = teams
        .iter()
        .filter_map(|team| {
            let path = format!("examples/team_{team}.rs");
            match examples.iter().find(|file| file.path == path).map(|file| file.text.lines().count()) {
                None => Some(format!("`{path}` is not there")),
                Some(lines) if lines > 60 => Some(format!("`{path}` has {lines} lines, 60 are allowed")),
                Some(_) => None,
            }
        })
        .collect();

    hold(&violations);
}
