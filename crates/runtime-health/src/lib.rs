#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
pub mod checks;
mod hysteresis;
mod monitor;
mod policy;
mod suspects;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Guarded, Permit, Ticket, Transition,
    Tripped,
};

pub use hysteresis::{Hysteresis, Thresholds, Turn};
pub use monitor::{CheckRule, HealthError, HealthMonitor, HealthMonitorBuilder, Only};
pub use policy::{Failure, History, Phase, Quarantine, RecoveryRule, Remedy, Restart};
pub use runtime_traits::health::{
    CheckReport, Health, HealthCheck, HealthOverview, HealthReport, HealthSource, HealthTurn, Looked,
    Recovery, RecoveryReport, Tried, Verdict, VerdictCounts, Watched,
};
pub use runtime_traits::name::Name;
pub use suspects::{Suspect, after_death, next_trial};
