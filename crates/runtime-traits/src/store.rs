//! The store contract: cells and logs in partitions, written by conditional batches.
//!
//! One trait, [`StateStore`], and the values that go in and out of it. A backend writes seven methods and passes the
//! suite `runtime_testkit::suites::state_store`, which has one case per clause.

mod batch;
mod doorbell;
mod error;
mod key;
mod profile;
mod state_store;

pub use batch::{
    Batch, BatchId, Cell, Committed, Durability, Fence, LARGEST_SUM, Revision, Seq, Tail, Then, Token, When,
};
pub use doorbell::Doorbell;
pub use error::StateError;
pub use key::{Key, Log, Path, PathError};
pub use profile::{Limits, Sharing, StoreProfile};
pub use state_store::{LogExtent, StateStore};
