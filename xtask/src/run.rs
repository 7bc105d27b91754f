//! Runs stages one after the other, keeps their output, and stops at the first that fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::Failure;
use crate::place::Place;
use crate::report::{Row, passed_tests, table};
use crate::stages::{Program, Stage};

/// Runs the stages in order and prints a table of what ran, also when one fails.
pub(crate) fn all(place: &Place, stages: &[Stage]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for stage in stages {
        println!("\n{}: {}", stage.name, stage.line());
        let start = now();
        let done = one(place, stage);
        let seconds = start.elapsed().as_secs_f64();
        println!("{}: {seconds:.1} s", stage.name);
        let tests = done.as_ref().map_or(0, |output| passed_tests(output));
        rows.push(Row { name: stage.name.clone(), seconds, passed: done.is_ok(), tests });
        if let Err(failure) = done {
            println!("\n{}", table(&rows));
            return Err(failure);
        }
    }
    println!("\n{}", table(&rows));
    Ok(())
}

/// Runs one stage; its output goes to its log, and to the screen if it fails.
fn one(place: &Place, stage: &Stage) -> Result<String, Failure> {
    let path = place.log(&stage.name)?;
    let failed = |source| Failure::File { path: path.clone(), source };
    let log = File::create(&path).map_err(failed)?;
    let both = log.try_clone().map_err(failed)?;
    let (mut command, remedy) = match &stage.program {
        Program::Cargo => (place.cargo(), "is cargo installed?"),
        Program::Built(program) => (
            place.built(program),
            "is it named in its Cargo.toml, so that `cargo build --all-targets` makes it?",
        ),
    };
    command.args(&stage.args).envs(stage.env.iter().map(|(name, value)| (name, value)));
    let status = command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(both)
        .status()
        .map_err(|source| Failure::Start { program: stage.line(), source, remedy })?;
    let output = String::from_utf8_lossy(&fs::read(&path).map_err(failed)?).into_owned();
    if status.success() {
        return Ok(output);
    }
    // A closed screen changes nothing about the failure.
    let _ = io::stdout().write_all(output.as_bytes());
    Err(Failure::Stage { name: stage.name.clone(), log: path })
}

/// Whether a command can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Runs a command with its output on the screen.
pub(crate) fn shown(command: &mut Command) -> Result<ExitStatus, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).status().map_err(|source| Failure::Start {
        program,
        source,
        remedy: "is it installed?",
    })
}

#[expect(clippy::disallowed_methods, reason = "seconds on the screen; nothing decides by them")]
fn now() -> Instant {
    Instant::now()
}
