//! Every error of the control contract once, for tests of what translates them.

use std::time::Duration;

use runtime_traits::log::{FailureKind, StepKey};
use runtime_traits::meter::MeterError;
use runtime_traits::resource::{Limit, LimitsError, Refused, Whose};
use runtime_traits::runtime::{SweptLog, Want};
use runtime_traits::schedule::ScheduleError;
use runtime_traits::{
    AgentId, Cause, Name, NameError, Partition, Pool, RunFailure, RunId, RuntimeError, SessionName,
    SpecError, StateError, StateId, UnixMillis,
};

/// Every [`RuntimeError`], each with the HTTP status that it has on the wire.
///
/// # Examples
/// ```
/// let errors = runtime_testkit::fakes::errors::every_runtime_error();
/// assert!(errors.iter().any(|(error, status)| error.code() == "unknown-agent" && *status == 404));
/// ```
pub fn every_runtime_error() -> Vec<(RuntimeError, u16)> {
    let named = |name: &str| name.to_owned();
    let run = run();
    let mut errors = vec![
        (unknown_agent(), 404),
        (RuntimeError::UnknownRun { run }, 404),
        (RuntimeError::UnknownState { state: state() }, 404),
        (not_started(Want::Stopped), 409),
        (not_started(Want::Paused), 409),
        (
            RuntimeError::WrongState {
                agent: named("scribe"),
                action: named("deleted"),
                reason: named("it is started; stop it first"),
            },
            409,
        ),
        (RuntimeError::UnknownKind { kind: named("poet"), known: named("echo, shout") }, 422),
        (RuntimeError::Name(NameError::new("agent", "../x", "letters")), 400),
        (RuntimeError::NameTaken { name: named("scribe"), kind: named("echo") }, 409),
        (RuntimeError::UnknownSchedule { agent: named("scribe"), schedule: named("daily") }, 404),
        (ScheduleError::UnknownZone { zone: named("Mars/Olympus") }.into(), 422),
        (ScheduleError::TooMany { agent: named("scribe"), limit: 1_000 }.into(), 422),
        (RuntimeError::EmptyInput, 422),
        (RuntimeError::AnswerWithKey, 422),
        (RuntimeError::TooLarge { what: named("the input"), size: 2, limit: 1 }, 413),
        (
            RuntimeError::StorageFull {
                what: named("agent `scribe`"),
                bytes: u64::MAX,
                limit: 7,
                remedy: named("choose another session"),
            },
            507,
        ),
        (
            RuntimeError::RunSwept(Box::new(SweptLog {
                run,
                agent: AgentId::from_parts(partition(), uuid::Uuid::from_u128(9)),
                session: SessionName::default(),
                outcome: named("completed"),
                ended: UnixMillis(1_709_251_199_999),
                swept: UnixMillis(1_711_929_600_000),
            })),
            410,
        ),
        (
            RuntimeError::Busy {
                what: named("the backlog of `scribe`"),
                limit: 1000,
                retry_after: Duration::from_millis(1500),
            },
            429,
        ),
        (
            RuntimeError::AtLimit {
                agent: named("scribe"),
                refused: Refused::Reached {
                    limit: Limit::MaxTokensPerMinute,
                    whose: Whose::Tenant,
                    retry_after: Some(Duration::from_secs(12)),
                },
            },
            429,
        ),
        (run_failed(FailureKind::Limit), 429),
        (session_busy(None), 409),
        (session_busy(Some(named("a decision on `fetch#2`"))), 409),
        (RuntimeError::KeyReused { key: named("k-1"), run }, 409),
        (RuntimeError::NothingToDecide { run, step: step("fetch") }, 409),
        (RuntimeError::NothingToAnswer { run, step: step("ask") }, 409),
        (RuntimeError::OtherCall { run, step: step("ask") }, 409),
        (RuntimeError::CannotFork { run, reason: named("a step is open") }, 409),
        (RuntimeError::RunOver { run }, 409),
        (run_failed(FailureKind::Agent), 500),
        (run_failed(FailureKind::Deadline), 504),
        (RuntimeError::RunCancelled { run }, 409),
        (RuntimeError::RunContinues { run, next: run }, 409),
        (RuntimeError::ShuttingDown, 503),
        (RuntimeError::BadSnapshotFile { reason: named("it is cut off after 3 bytes") }, 422),
        (RuntimeError::NoSnapshots, 501),
        (RuntimeError::Meter(MeterError::MemoryNotMetered), 422),
        (RuntimeError::Limits(LimitsError::NotTogether { limit: Limit::MaxRunSeconds }), 422),
        (RuntimeError::Damaged { what: named("the log") }, 500),
        (RuntimeError::Newer { what: named("the log") }, 500),
        (RuntimeError::Unreachable { at: named("unix:/run/x"), cause: Cause::says("no such file") }, 502),
    ];
    errors.extend(spec_errors());
    errors.extend(store_errors());
    errors
}

fn step(name: &str) -> StepKey {
    StepKey::first(Name::new(name).expect("a name"))
}

fn spec_errors() -> Vec<(RuntimeError, u16)> {
    let agent = "scribe".to_owned();
    let cause = Cause::says("`folder` is missing");
    let config = SpecError::Config { agent: agent.clone(), cause: cause.clone() };
    let needs = SpecError::Needs { agent, what: "a folder".to_owned(), cause };
    vec![(RuntimeError::Spec(config), 422), (RuntimeError::Spec(needs), 422)]
}

fn store_errors() -> Vec<(RuntimeError, u16)> {
    let cause = Cause::says("input/output error");
    let what = "an entry".to_owned();
    let unavailable = |retry_after| StateError::Unavailable { retry_after, cause: cause.clone() };
    let errors = [
        (StateError::Conflict { condition: 3 }, 503),
        (StateError::Fenced, 503),
        (StateError::TooLarge { what: what.clone(), limit: 7 }, 413),
        (StateError::WrongPartition, 500),
        // More than 64 bits: what JSON libraries like to round.
        (StateError::Unknown { batch: u128::MAX - 1 }, 503),
        (unavailable(None), 503),
        (unavailable(Some(Duration::from_secs(3))), 503),
        (StateError::NoSpace, 507),
        (StateError::Damaged { what }, 500),
        (StateError::Poisoned { cause: cause.clone() }, 500),
    ];
    errors.into_iter().map(|(error, status)| (RuntimeError::Store(error), status)).collect()
}

fn unknown_agent() -> RuntimeError {
    // What a hostile caller would name it.
    let agent = "\"<b>\n\u{0}ü".to_owned();
    RuntimeError::UnknownAgent { agent }
}

fn not_started(want: Want) -> RuntimeError {
    let agent = "scribe".to_owned();
    RuntimeError::NotStarted { agent, want }
}

fn session_busy(waits_for: Option<String>) -> RuntimeError {
    RuntimeError::SessionBusy { session: "default".to_owned(), run: run(), waits_for }
}

fn run_failed(kind: FailureKind) -> RuntimeError {
    let message = "the model is gone".to_owned();
    RuntimeError::RunFailed { run: run(), failure: RunFailure { kind, message } }
}

fn run() -> RunId {
    RunId::from_parts(partition(), uuid::Uuid::from_u128(7))
}

fn state() -> StateId {
    StateId::from_parts(partition(), uuid::Uuid::from_u128(8))
}

fn partition() -> Partition {
    Partition { pool: Pool::MAIN, index: 17 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::every_runtime_error;

    #[test]
    fn no_error_is_missing() {
        let codes: BTreeSet<&str> = every_runtime_error().iter().map(|(error, _)| error.code()).collect();

        // As many as `RuntimeError::code` has arms.
        assert_eq!(codes.len(), 37);
    }
}
