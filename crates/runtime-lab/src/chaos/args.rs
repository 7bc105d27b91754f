//! The arguments.

use clap::{Args, Parser, Subcommand};

use super::flaw::Flaw;
use super::host::HostArgs;
use super::show::ShowArgs;

/// Kills the runtime and holds it to what it promises.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Kills the serving process, from outside and at its commits, while runs are in flight.
    ///
    /// Prints one line for each violation, and then
    ///
    /// `result name=crash n=KILLS violations=COUNT p50=MILLISECONDSms p99=… seed=SEED`
    ///
    /// where p50 and p99 are of the time from the start of a new process until it serves: the store is open, every
    /// open run has been taken over and goes on, and requests are answered. Processes that were killed before that
    /// are not in them.
    ///
    /// Ends with 0 when nothing was violated, with 1 when something was, with 3 when it could not do its work.
    #[command(verbatim_doc_comment)]
    Crash(CrashArgs),
    /// Shows the logs in the store that a campaign has kept.
    Show(ShowArgs),
    /// The process that is killed.
    #[command(hide = true)]
    Host(HostArgs),
}

/// How a campaign is set.
#[derive(Clone, Debug, Args)]
pub(super) struct CrashArgs {
    /// How often the process is killed.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) n: u32,
    /// Fixes the scripts, the verdicts and the moments; not the order in which threads run.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How many runs are in flight.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) runs: u32,
    /// Says also what was looked at, and at which commits processes died.
    #[arg(long)]
    pub(super) details: bool,
    /// Keeps the folder with the store and what the processes wrote, and says where it is.
    #[arg(long)]
    pub(super) keep: bool,
    /// Lets the store break its contract.
    #[arg(long, hide = true)]
    pub(super) flaw: Option<Flaw>,
}
