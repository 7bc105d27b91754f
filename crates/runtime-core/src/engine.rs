//! The engine: pure. Inputs and times go in, entries and batches come out; no IO, no clock, no executor.
//!
//! - [`machine`] works one attempt of one run, by the replay rule;
//! - [`claim`] says what a new owner appends to a log that it finds;
//! - [`announced`] says what a batch is announced as;
//! - [`answer`] says what somebody's word appends to the log of a run that waits for it;
//! - [`mail`] says what leaves a run for other partitions;
//! - [`counters`] says what is written where nothing can be added to a counter;
//! - [`decide`] says what a verdict appends to the log of a run that waits for it;
//! - [`fork`] says what of a log goes into a copy of its run;
//! - [`batches`] puts entries together with the cells that ride in their batch;
//! - [`recovering`] says what the log of a run tells of its failures;
//! - [`schedule`] says when a schedule fires;
//! - [`scrub`] says when the store is looked over for damage, and how fast;
//! - [`session`] keeps the order of a conversation;
//! - [`spent`] says what a run used, and which cells keep it;
//! - [`suspects`] says which of the runs in flight killed their process;
//! - [`usage_history`] says what an agent used by minutes and by hours;
//! - [`keys`] is the keyspace.

pub mod announced;
pub mod answer;
pub mod batches;
pub mod claim;
pub mod counters;
pub mod decide;
pub mod fork;
pub mod machine;
pub mod mail;
pub mod recovering;
pub mod schedule;
pub mod scrub;
pub mod session;
pub mod spent;
pub mod suspects;
pub mod usage_history;

pub use runtime_codec::keys;
