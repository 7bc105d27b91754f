//! `cargo xtask test`: installs what the tests need, says so before it does, and runs everything.
//!
//! The README's second command and `.ci/run` are both this program, so that people and machines
//! run the same tests. It has no dependencies: on a fresh machine it is built in a second.

mod place;
mod prepare;
mod redis;
mod report;
mod run;
mod stages;
mod tools;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use place::Place;

const USAGE: &str = "\
usage: cargo xtask <command>

  test   installs what the tests need (and says what), then runs everything in stages:
         format, clippy, build, tests with doctests, documentation, examples.
         Stops at the first stage that fails, shows its output and exits with 1.
  tools  installs what the tests start beside cargo, and prints the variables that lead them there.
  deny   checks licences, sources and advisories with cargo-deny, which you install by hand.
";

/// Why a command of xtask ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// xtask was not started by cargo.
    NotUnderCargo,
    /// A file or directory could not be used.
    File { path: PathBuf, source: io::Error },
    /// A program could not be started at all.
    Start { program: String, source: io::Error, remedy: &'static str },
    /// A component of the toolchain is missing and could not be added.
    Component { name: &'static str },
    /// A program that the tests start could not be installed.
    Tool { name: &'static str, why: String },
    /// A stage ran and failed; its output has been shown.
    Stage { name: String, log: PathBuf },
    /// `cargo deny` is not installed.
    NoDeny,
    /// `cargo deny` did not end well; its output has been shown.
    Deny,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderCargo => write!(f, "xtask runs under cargo: type `cargo xtask test`"),
            Self::File { path, source } => write!(f, "cannot use `{}`: {source}", path.display()),
            Self::Start { program, source, remedy } => {
                write!(f, "cannot start `{program}`: {source}; {remedy}")
            }
            Self::Component { name } => write!(
                f,
                "`{name}` is missing and `rustup component add {name}` did not add it; \
                 install it with your Rust and try again"
            ),
            Self::Tool { name, why } => write!(f, "`{name}` is missing and was not installed: {why}"),
            Self::Stage { name, log } => {
                write!(f, "stage `{name}` failed; its output is above and in `{}`", log.display())
            }
            Self::NoDeny => write!(
                f,
                "cargo-deny is not installed; install it with \
                 `cargo install --locked cargo-deny` (about 5 minutes) and try again"
            ),
            Self::Deny => write!(f, "cargo-deny found something, or could not look: see above"),
        }
    }
}

fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match command.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test(),
        ["tools"] => tools(),
        ["deny"] => deny(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("xtask: unknown command `{}`\n\n{USAGE}", command.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), Failure> {
    let place = Place::find()?;
    prepare::components(&place)?;
    let tools = tools::tools(&place)?;
    let examples = place.examples()?;
    run::all(&place, &stages::stages(&examples, &tools))
}

fn tools() -> Result<(), Failure> {
    for (name, value) in tools::tools(&Place::find()?)? {
        println!("export {name}='{value}'");
    }
    Ok(())
}

fn deny() -> Result<(), Failure> {
    let place = Place::find()?;
    if !run::succeeds(place.cargo().args(["deny", "--version"])) {
        return Err(Failure::NoDeny);
    }
    let status = run::shown(place.cargo().args(["deny", "check"]))?;
    if status.success() { Ok(()) } else { Err(Failure::Deny) }
}
