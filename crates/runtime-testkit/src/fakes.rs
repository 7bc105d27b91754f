//! Implementations of contracts that a test controls.

mod chance;
pub mod errors;
mod faulty_store;
mod manual_clock;
mod map_snapshots;
mod map_store;
pub(crate) mod model;
pub mod runtime;
mod seeded_entropy;
mod turnstile;

pub use chance::Chance;
pub use faulty_store::{Fault, FaultyStore, ReadFault};
pub use manual_clock::ManualClock;
pub use map_snapshots::MapSnapshots;
pub use map_store::MapStore;
pub use seeded_entropy::SeededEntropy;
pub use turnstile::{Lets, Turnstile};
