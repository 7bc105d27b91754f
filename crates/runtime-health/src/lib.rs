#![doc = include_str!("../README.md")]

mod health;
mod hysteresis;

pub use health::{Health, Verdict};
pub use hysteresis::{Hysteresis, Thresholds, Turn};
