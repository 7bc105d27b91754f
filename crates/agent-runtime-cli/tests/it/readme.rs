//! What the documents say of the command line is so: the README's first command, and every command and option.

use std::collections::BTreeSet;
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

/// All that begins with `--`.
fn options(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c: char| !is_part(c)).filter(|word| word.len() > 2 && word.starts_with("--"));
    words.map(|word| word.trim_end_matches('-').to_owned()).filter(|word| word.len() > 2).collect()
}

#[test]
fn every_command_and_every_option_is_documented_and_no_other_is() {
    let home = Home::new();
    let help = |args: &[&str]| home.good(&[args, &["--help"]].concat());
    // A command stands at the begin of its line.
    let commands = |help: &str| -> Vec<String> {
        let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        let lines = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
        let names = lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
        names.filter(|name| name != "help").collect()
    };
    let document = fs::read_to_string(root().join("docs/cli.md")).expect("there is one");
    let (table, _) = document.split_once("An agent is given by").expect("the table of commands ends there");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ']).next());
    let documented: BTreeSet<&str> = rows.collect();

    let there = commands(&help(&[]));
    let mut taken = BTreeSet::new();
    for command in &there {
        let said = help(&[command]);
        taken.extend(options(&said));
        for below in commands(&said) {
            taken.extend(options(&help(&[command, &below])));
            assert!(
                table.contains(&format!("`{below}`")) || table.contains(&format!("{command} {below}")),
                "{below}"
            );
        }
    }

    assert_eq!(documented, there.iter().map(String::as_str).collect());
    let mut said = options(&document);
    // Said of every command, and of other programs.
    said.extend(["--help".to_owned(), "--version".to_owned()]);
    taken.extend(["--help".to_owned(), "--version".to_owned()]);
    for other in ["--release", "--bin", "--unix-socket"] {
        said.remove(other);
    }
    assert_eq!(said, taken);
}
