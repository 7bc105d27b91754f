#![doc = include_str!("../README.md")]

mod backoff;
mod breaker;
pub mod checks;
mod hysteresis;
mod monitor;
mod policy;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Guarded, Pace, PaceRule, Permit, Ticket,
    Transition, Tripped,
};

pub use hysteresis::{Hysteresis, Thresholds, Turn};
pub use monitor::{CheckRule, HealthError, HealthMonitor, HealthMonitorBuilder, Only};
pub use policy::{DeclaredRecovery, RecoveryRule, Restart};
pub use runtime_traits::health::{
    CheckReport, Health, HealthCheck, HealthOverview, HealthReport, HealthSource, HealthTurn, Looked,
    Recovery, RecoveryReport, Tried, Verdict, VerdictCounts, Watched,
};
pub use runtime_traits::name::Name;
pub use runtime_traits::recovery::{Failure, History, Phase, Quarantine, Remedy};
