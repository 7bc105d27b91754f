#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
mod health;
mod hysteresis;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Guarded, Permit, Ticket, Transition,
    Tripped,
};
pub use health::{Health, Verdict};
pub use hysteresis::{Hysteresis, Thresholds, Turn};
