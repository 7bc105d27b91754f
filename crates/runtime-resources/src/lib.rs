#![doc = include_str!("../README.md")]

mod gate;
mod limits;

pub use gate::{Entry, Gate, Left, Refusal};
pub use limits::{Limit, LimitsError, ResourceLimits};
