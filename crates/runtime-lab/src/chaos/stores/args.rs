//! The arguments of the experiments on stores.

use clap::Args;

use super::error::StoresError;
use super::redis_kill::Fsync;
use crate::chaos::args::How;

/// What all experiments on stores are told.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct Common {
    /// Fixes what is written and what is done to it; not the order in which threads run.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// The kind of store, which is made in a new folder; or the whole URI of one that is empty.
    #[arg(long, default_value = "redb")]
    pub(super) store: String,
    /// How many writers commit at once.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) writers: u32,
    #[command(flatten)]
    pub(super) how: How,
}

impl Common {
    /// The kind of a store that keeps files in a folder of the experiment.
    ///
    /// # Errors
    /// [`StoresError::NoFiles`] for others.
    pub(super) fn kind(&self, experiment: &'static str) -> Result<&str, StoresError> {
        let known = ["redb", "sled"];
        if known.contains(&self.store.as_str()) {
            return Ok(&self.store);
        }
        Err(StoresError::NoFiles { experiment, store: self.store.clone(), known: "redb, sled" })
    }
}

/// How `kill9` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct Kill9Args {
    /// How often the process is killed.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) n: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How `redis-kill` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct RedisKillArgs {
    /// How often the server is killed.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) n: u64,
    /// When the server syncs its append-only file.
    #[arg(long, default_value = "always")]
    pub(super) fsync: Fsync,
    /// The machine loses its power with the server: what was not synced is there up to some byte. Needs `strace`.
    #[arg(long)]
    pub(super) power: bool,
    /// Fixes what is written and when the server is killed; not the order in which threads run.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// How many writers commit at once.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) writers: u32,
    #[command(flatten)]
    pub(super) how: How,
}

/// How `damage` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct DamageArgs {
    /// How many copies are damaged.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) n: u64,
    /// How many batches each writer has written.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) batches: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How `powerloss` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct PowerlossArgs {
    /// How many images are made.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) n: u64,
    /// How many batches each writer writes while it is recorded.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) batches: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How `fsyncfail` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct FsyncfailArgs {
    /// How many disks break, each under a store of its own.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) n: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

/// How `diskfull` is set.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct DiskfullArgs {
    /// How many disks fill up, each twice, under a store of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) n: u64,
    #[command(flatten)]
    pub(super) common: Common,
}
