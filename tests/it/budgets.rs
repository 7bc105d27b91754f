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
