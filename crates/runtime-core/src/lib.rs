//! `RuntimeManager`: the engine that turns runs into logs and logs back into runs.
#![doc = include_str!("../README.md")]

mod driver;
pub mod engine;

pub use driver::{Builder, Config, RuntimeManager, SystemClock, SystemEntropy};
pub use engine::scrub::ScrubRate;
