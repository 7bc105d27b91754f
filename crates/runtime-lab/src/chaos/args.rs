//! The arguments.

use clap::{Args, Parser, Subcommand};

use super::bombs::BombsArgs;
use super::flaw::Flaw;
use super::guards::GuardsArgs;
use super::host::HostArgs;
use super::outage::OutageArgs;
use super::poison::{PoisonArgs, ServePoisonArgs};
use super::quota::QuotaArgs;
use super::show::ShowArgs;
use super::stores::{
    DamageArgs, DiskfullArgs, ExamineArgs, FsyncfailArgs, Kill9Args, PowerlossArgs, RedisKillArgs, WriteArgs,
};

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
    /// Kills a process that writes to a store, at any moment, again and again over the same store.
    ///
    /// Each time the store is opened, and compared with what was acknowledged. p50 and p99 are of the time that
    /// opening takes then.
    Kill9(Kill9Args),
    /// Records what a store writes and syncs, and opens the disk as a loss of power at any moment may leave it.
    ///
    /// Of what was written to a file since its last sync each 512 bytes are there or not; lengths, new files and new names
    /// are lost until file and folder are synced. Needs `strace`.
    Powerloss(PowerlossArgs),
    /// Kills a Redis server under a process that writes, at any moment, or takes the machine's power with it.
    ///
    /// The process has to go on when the server is back; p50 and p99 are of the time that this takes. Then everything is
    /// compared with what was acknowledged. With `--fsync always` nothing may be lost, with `everysec` it is counted.
    /// Needs a Redis server, which `AGENT_RUNTIME_REDIS_SERVER` names: see `cargo xtask tools`.
    RedisKill(RedisKillArgs),
    /// Damages copies of a store's files: cut off, bits flipped, ranges zeroed, pages swapped.
    ///
    /// Each is opened, everything that was acknowledged is read, and the store's own check is made. The result counts
    /// what said so first: `refused` when it was opened, `told` by a read, `checked` by the check; `whole` when
    /// everything is there. `silent`, `wrong` and `panicked` are violations.
    Damage(DamageArgs),
    /// Lets a disk refuse every sync from some moment on. Nothing may be acknowledged after that. Needs `strace`.
    Fsyncfail(FsyncfailArgs),
    /// Fills the disk under a store, and makes room again.
    ///
    /// Meanwhile commits are refused with `NoSpace` and reads go on; afterwards the store goes on by itself. Mounts a small
    /// file system in memory, so that it has to be run as root.
    Diskfull(DiskfullArgs),
    /// Throws hostile bytes at everything that reads what others may have written.
    ///
    /// Records of the store, JSON of contents and requests, fleet files, URIs: good bytes that were changed, and random ones.
    /// None may panic, end the process, take more memory than the limit of a record, or be taken with a byte too many.
    Bombs(BombsArgs),
    /// Starts a process again each time that a run aborts it or overflows its stack, until all such runs are in quarantine.
    ///
    /// All others have to finish, and none of them may be set aside; the process dies at most 4 + log2(runs in flight) times for
    /// each of the poison runs.
    Poison(PoisonArgs),
    /// Lets agents press against a provider that enforces a quota, over HTTP and in real time.
    ///
    /// The whole runtime is used: a fleet file with `[quotas]`, agents with models, a store on disk. The provider counts any 60
    /// seconds and refuses the rest with 429 and Retry-After. At most 0.5 % may be refused, at least 95 % of the quota be used,
    /// and nobody get less than half of its fair share.
    Quota(QuotaArgs),
    /// Lets a provider be away for a while, over HTTP and in real time, while runs begin at a steady rate.
    ///
    /// The whole runtime is used: a fleet file, an agent with a model, a store on disk. While it is away the provider answers with 503.
    /// It may be asked by the calls that find out and by probes, afterwards at twice the normal rate at most in any second, and
    /// every run has to complete.
    Outage(OutageArgs),
    /// Switches each guard off once, and sees that the experiment about it notices.
    ///
    /// Needs a build with the feature `unguarded`.
    Guards(GuardsArgs),
    /// Shows the logs in the store that a campaign has kept.
    Show(ShowArgs),
    /// The process that serves and is killed.
    #[command(hide = true)]
    Host(HostArgs),
    /// The process that runs with poison kill.
    #[command(hide = true)]
    ServePoison(ServePoisonArgs),
    /// The process that writes to a store.
    #[command(hide = true)]
    Write(WriteArgs),
    /// The process that opens stores and reads them.
    #[command(hide = true)]
    Examine(ExamineArgs),
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
    #[command(flatten)]
    pub(super) how: How,
}

/// What every experiment with a store is told.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct How {
    /// Says also what was looked at.
    #[arg(long)]
    pub(super) details: bool,
    /// Keeps the folder with the store and what the processes wrote, and says where it is.
    #[arg(long)]
    pub(super) keep: bool,
    /// Lets the store break its contract.
    #[arg(long, hide = true)]
    pub(super) flaw: Option<Flaw>,
}
