//! Experiments on stores alone: through the store contract only, so that every store can be named.
//!
//! A process writes what the seed says and tells what was acknowledged. Whatever happens to it, to its disk or to its
//! file, another process opens the store afterwards and compares everything in it with what was written.

mod aof;
mod args;
mod bench;
mod compare;
mod damage;
mod disk;
mod diskfull;
mod error;
mod examiner;
mod examining;
mod expected;
mod files;
mod fsyncfail;
mod harm;
mod image;
mod integrity;
mod kill9;
mod powerloss;
mod process;
mod recorder;
mod redis_kill;
mod seen;
mod told;
mod trace;
mod word;
mod work;
mod writing;

pub(super) use args::{DamageArgs, DiskfullArgs, FsyncfailArgs, Kill9Args, PowerlossArgs, RedisKillArgs};
pub(super) use damage::damage;
pub(super) use diskfull::diskfull;
pub(super) use examining::{ExamineArgs, examine};
pub(super) use fsyncfail::fsyncfail;
pub(super) use kill9::kill9;
pub(super) use powerloss::powerloss;
pub(super) use redis_kill::redis_kill;
pub(super) use writing::{WriteArgs, write};
