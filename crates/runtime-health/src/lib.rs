#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
mod health;
mod hysteresis;
mod policy;
mod suspects;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Guarded, Permit, Ticket, Transition,
    Tripped,
};
pub use health::{Health, Verdict};
pub use hysteresis::{Hysteresis, Thresholds, Turn};
pub use policy::{Failure, History, Phase, Quarantine, RecoveryRule, Remedy, Restart};
pub use suspects::{Suspect, after_death, next_trial};
