//! The program, as it is used.

use std::process::{Command, Output};

/// Runs `chaos`; what it keeps goes where the test ends with it.
pub(crate) fn chaos(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(args).env("TMPDIR", folder.path()).output().expect("the program was built with this test")
}

/// What it said.
pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}\n{err}")
}

/// Runs an experiment that has to find nothing, and answers the numbers of its line `looked`.
pub(crate) fn finds_nothing(args: &[&str]) -> Vec<(String, u64)> {
    let output = chaos(&[args, &["--details"]].concat());
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(&format!("result name={} ", args[0])), "{told}");
    let looked = told.lines().find_map(|line| line.strip_prefix("looked ")).expect(&told);
    let number = |word: &str| {
        let (name, number) = word.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    looked.split(' ').map(|word| number(word).expect(looked)).collect()
}

/// Runs an experiment that has to find a violation of one of `laws`.
pub(crate) fn finds(args: &[&str], laws: &[&str]) {
    let output = chaos(args);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
    let found = laws.iter().any(|law| told.contains(&format!("violation law={law} ")));
    assert!(found, "{args:?}: none of {laws:?} in {told}");
}
