//! The README's first command, on the repository's own fleet file and documents.

use std::fs;
use std::path::{Path, PathBuf};

use crate::home::Home;

const QUESTION: &str = "What survives a crash?";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A line without the number of a place: documents grow.
fn without_number(line: &str) -> String {
    match line.split_once(".md:") {
        Some((file, rest)) => format!("{file}.md{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => line.to_owned(),
    }
}

#[test]
fn the_first_command_answers_as_the_readme_shows() {
    let mut command = Home::new().command(&["--store", "memory:", "run", "librarian", QUESTION]);
    let output = command.current_dir(root()).output().expect("the program was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer = String::from_utf8(output.stdout).expect("it writes text");
    let answered: Vec<String> = answer.lines().map(without_number).collect();

    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    assert!(readme.contains(&format!("cargo run --release -- run librarian \"{QUESTION}\"")));
    let (_, shown) = readme.split_once("```text\n").expect("it shows an answer");
    let (shown, _) = shown.split_once("\nnext: ").expect("it shows what to type next");

    for line in shown.lines().filter(|line| *line != "…").map(without_number) {
        assert!(answered.contains(&line), "the README shows `{line}`; the program says:\n{answer}");
    }
}
