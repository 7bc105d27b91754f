#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
mod hysteresis;
mod monitor;
mod policy;
mod suspects;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Guarded, Pace, PaceRule, Permit, Ticket,
    Transition, Tripped,
};

pub use hysteresis::{Hysteresis, Thresholds, Turn};
pub use monitor::{
    CheckReport, CheckRule, HealthError, HealthMonitor, HealthMonitorBuilder, HealthReport, HealthTurn,
    Looked, RecoveryReport,
};
pub use policy::{Failure, History, Phase, Quarantine, RecoveryRule, Remedy, Restart};
pub use runtime_traits::health::{Health, HealthCheck, Recovery, Verdict, Watched};
pub use runtime_traits::name::Name;
pub use suspects::{Suspect, after_death, next_trial};
