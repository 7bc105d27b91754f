#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
mod hysteresis;
mod monitor;
mod policy;

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
pub use policy::{DeclaredRecovery, RecoveryRule, Restart};
pub use runtime_traits::health::{Health, HealthCheck, Recovery, Verdict, Watched};
pub use runtime_traits::name::Name;
pub use runtime_traits::recovery::{Failure, History, Phase, Quarantine, Remedy};
