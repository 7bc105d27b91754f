//! The engine: pure. Inputs and times go in, entries and batches come out; no IO, no clock, no executor.
//!
//! - [`machine`] works one attempt of one run, by the replay rule;
//! - [`claim`] says what a new owner appends to a log that it finds;
//! - [`decide`] says what a verdict appends to the log of a run that waits for it;
//! - [`batches`] puts entries together with the cells that ride in their batch;
//! - [`session`] keeps the order of a conversation;
//! - [`keys`] is the keyspace.

pub mod batches;
pub mod claim;
pub mod decide;
pub mod keys;
pub mod machine;
pub mod session;
