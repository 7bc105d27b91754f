//! `guards`: each guard is switched off once, and the experiment that is about it has to notice.

use clap::Args;
use thiserror::Error;

#[cfg(not(feature = "unguarded"))]
use super::report::Report;

/// How `guards` is set.
#[derive(Clone, Debug, Args)]
pub(super) struct GuardsArgs {
    /// Fixes what the experiments do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the guard of this name.
    #[arg(long)]
    only: Option<String>,
}

/// Why guards could not be switched off.
#[derive(Debug, Error)]
pub(super) enum GuardsError {
    /// This build has no switch.
    #[cfg(not(feature = "unguarded"))]
    #[error(
        "this build cannot switch guards off: cargo run --release -p runtime-lab --features peers,unguarded --bin chaos -- guards"
    )]
    Guarded,
    /// An experiment cannot be started.
    #[cfg(feature = "unguarded")]
    #[error("an experiment cannot be started")]
    Start(#[source] std::io::Error),
    /// No guard is called so.
    #[cfg(feature = "unguarded")]
    #[error("no guard `{0}`: use one of {known}", known = switched::names())]
    Unknown(String),
}

/// Switches each guard off.
///
/// # Errors
/// [`GuardsError`]: what kept it from being done.
#[cfg(not(feature = "unguarded"))]
#[expect(clippy::unused_async, reason = "with the switch it waits for experiments")]
pub(super) async fn guards(_: GuardsArgs) -> Result<Report, GuardsError> {
    Err(GuardsError::Guarded)
}

#[cfg(feature = "unguarded")]
pub(super) use switched::guards;

#[cfg(feature = "unguarded")]
mod switched {
    use std::fmt::Write;
    use std::process::Stdio;

    use runtime_traits::guard::{Guard, VARIABLE};
    use tokio::process::Command;

    use super::{GuardsArgs, GuardsError};
    use crate::chaos::report::Report;
    use crate::chaos::violation::{Law, Violation};

    /// The experiment that has to notice.
    fn experiment(guard: Guard) -> &'static [&'static str] {
        match guard {
            Guard::Fence | Guard::Conditions | Guard::BatchId => &["kill9", "--n", "4"],
            Guard::Delivered => &["crash", "--n", "60"],
            Guard::Revisions => &["kill9", "--n", "6"],
            Guard::Sync => &["powerloss", "--n", "60", "--batches", "10"],
            Guard::FolderSync => &["powerloss", "--n", "120", "--batches", "10"],
            Guard::RowChecksum => &["damage", "--n", "300"],
            Guard::Panics => &["damage", "--n", "150"],
            Guard::Poison => &["fsyncfail", "--n", "8"],
            Guard::Reopen => &["diskfull", "--n", "1"],
            Guard::DecodeLimit => &["bombs", "--n", "300000"],
            Guard::Trailing => &["bombs", "--n", "20000"],
        }
    }

    pub(super) fn names() -> String {
        Guard::ALL.map(|guard| format!("{guard:?}")).join(", ")
    }

    /// Switches each guard off.
    ///
    /// # Errors
    /// [`GuardsError`]: what kept it from being done.
    pub(in crate::chaos) async fn guards(args: GuardsArgs) -> Result<Report, GuardsError> {
        let named = |guard: &Guard| args.only.as_ref().is_none_or(|only| *only == format!("{guard:?}"));
        let chosen: Vec<Guard> = Guard::ALL.into_iter().filter(named).collect();
        if let Some(only) = args.only.filter(|_| chosen.is_empty()) {
            return Err(GuardsError::Unknown(only));
        }
        let (mut violations, mut details) = (Vec::new(), String::new());
        for guard in &chosen {
            let me = std::env::current_exe().map_err(GuardsError::Start)?;
            let mut command = Command::new(me);
            command.args(experiment(*guard)).args(["--seed", &args.seed.to_string()]);
            // What an experiment keeps because it found something goes with it: here it was meant to.
            let folder = tempfile::tempdir().map_err(GuardsError::Start)?;
            command.env(VARIABLE, format!("{guard:?}")).env("TMPDIR", folder.path());
            command.stdin(Stdio::null()).kill_on_drop(true);
            let output = command.output().await.map_err(GuardsError::Start)?;
            let said = String::from_utf8_lossy(&output.stdout);
            let how = match output.status.code() {
                // It found something, or the process went down with its input.
                Some(1) => {
                    said.lines().find(|line| line.starts_with("violation ")).unwrap_or_default().to_owned()
                }
                None => format!("the experiment ended: {}", output.status),
                Some(code) => {
                    let what =
                        format!("{guard:?} is off, and `{}` ends with {code}", experiment(*guard).join(" "));
                    violations.push(Violation::new(Law::Unnoticed, what));
                    continue;
                }
            };
            let _ = writeln!(details, "noticed guard={guard:?} {how}");
        }
        Ok(Report {
            name: "guards",
            n: chosen.len() as u64,
            seed: args.seed,
            violations,
            figures: Vec::new(),
            details,
            kept: None,
        })
    }
}
