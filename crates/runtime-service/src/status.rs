//! Which HTTP status says what a `RuntimeError` says.

use std::time::Duration;

use runtime_traits::bus::BusError;
use runtime_traits::log::FailureKind;
use runtime_traits::{RuntimeError, StateError};

/// The HTTP status of an error.
pub(crate) fn status_of(error: &RuntimeError) -> u16 {
    match error {
        RuntimeError::Name(_) => 400,
        RuntimeError::UnknownSchedule { .. }
        | RuntimeError::UnknownAgent { .. }
        | RuntimeError::UnknownRun { .. }
        | RuntimeError::UnknownState { .. } => 404,
        RuntimeError::NotStarted { .. }
        | RuntimeError::WrongState { .. }
        | RuntimeError::NameTaken { .. }
        | RuntimeError::SessionBusy { .. }
        | RuntimeError::KeyReused { .. }
        | RuntimeError::NothingToDecide { .. }
        | RuntimeError::NothingToAnswer { .. }
        | RuntimeError::OtherCall { .. }
        | RuntimeError::CannotFork { .. }
        | RuntimeError::CannotRequeue { .. }
        | RuntimeError::RunOver { .. }
        | RuntimeError::RunCancelled { .. }
        | RuntimeError::RunContinues { .. } => 409,
        RuntimeError::RunSwept { .. } => 410,
        RuntimeError::TooLarge { .. } => 413,
        RuntimeError::StorageFull { .. } => 507,
        RuntimeError::UnknownKind { .. }
        | RuntimeError::Spec(_)
        | RuntimeError::Meter(_)
        | RuntimeError::Limits(_)
        | RuntimeError::Schedule(_)
        | RuntimeError::EmptyInput
        | RuntimeError::BadSnapshotFile { .. }
        | RuntimeError::AnswerWithKey => 422,
        RuntimeError::Busy { .. } | RuntimeError::AtLimit { .. } => 429,
        RuntimeError::RunFailed { failure, .. } if failure.kind == FailureKind::Deadline => 504,
        RuntimeError::RunFailed { failure, .. } if failure.kind == FailureKind::Limit => 429,
        RuntimeError::RunFailed { .. } | RuntimeError::Damaged { .. } | RuntimeError::Newer { .. } => 500,
        RuntimeError::NoSnapshots => 501,
        RuntimeError::Unreachable { .. } => 502,
        RuntimeError::ShuttingDown => 503,
        RuntimeError::Store(error) => status_of_store(error),
    }
}

fn status_of_store(error: &StateError) -> u16 {
    match error {
        StateError::TooLarge { .. } => 413,
        StateError::WrongPartition | StateError::Damaged { .. } | StateError::Poisoned { .. } => 500,
        StateError::Conflict { .. }
        | StateError::Fenced
        | StateError::Unknown { .. }
        | StateError::Unavailable { .. } => 503,
        StateError::NoSpace => 507,
    }
}

/// The HTTP status of an error of a bus.
pub(crate) fn status_of_bus(error: &BusError) -> u16 {
    match error {
        BusError::Topic(_) | BusError::Header(_) | BusError::Malformed { .. } => 400,
        BusError::Protected { .. } | BusError::Forbidden { .. } => 403,
        BusError::NotDurable { .. }
        | BusError::SettingsDiffer { .. }
        | BusError::Busy { .. }
        | BusError::Taken { .. } => 409,
        BusError::BeforeRetention { .. } => 410,
        BusError::TooLarge { .. } => 413,
        BusError::TooManyHops { .. } => 422,
        BusError::Damaged { .. } => 500,
        BusError::Unknown { .. } | BusError::Unavailable { .. } => 503,
        BusError::NoAnswer { .. } => 504,
    }
}

/// When to ask again, for errors that pass.
pub(crate) fn retry_after(error: &RuntimeError) -> Option<Duration> {
    const SOON: Duration = Duration::from_secs(1);
    match error {
        RuntimeError::Busy { retry_after, .. } => Some(*retry_after),
        RuntimeError::AtLimit { refused, .. } => refused.retry_after(),
        RuntimeError::ShuttingDown => Some(SOON),
        RuntimeError::Store(StateError::Unavailable { retry_after, .. }) => Some(retry_after.unwrap_or(SOON)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime_traits::RuntimeError;
    use runtime_traits::bus::BusError;

    use super::{retry_after, status_of, status_of_bus};

    #[test]
    fn every_error_has_the_status_that_says_what_it_says() {
        for (error, status) in runtime_testkit::fakes::errors::every_runtime_error() {
            assert_eq!(status_of(&error), status, "{error:?}");
        }
    }

    #[test]
    fn errors_of_a_bus_say_whose_fault_they_are() {
        let cause = || runtime_traits::Cause::says("gone");
        let topic = || "orders".parse().expect("a topic");
        let first = runtime_traits::bus::Position(3);
        for (error, status) in [
            (BusError::malformed("no source"), 400),
            (BusError::Protected { topic: topic() }, 403),
            (BusError::NotDurable { topic: topic().into() }, 409),
            (BusError::BeforeRetention { topic: topic(), asked: first, first }, 410),
            (BusError::TooLarge { size: 2, limit: 1 }, 413),
            (BusError::Damaged { what: "a page".to_owned() }, 500),
            (BusError::Unavailable { cause: cause() }, 503),
        ] {
            assert_eq!(status_of_bus(&error), status, "{error:?}");
        }
    }

    #[test]
    fn what_passes_says_when_to_ask_again() {
        let busy = RuntimeError::Busy {
            what: "the backlog".to_owned(),
            limit: 1,
            retry_after: Duration::from_secs(7),
        };

        assert_eq!(retry_after(&busy), Some(Duration::from_secs(7)));
        assert!(retry_after(&RuntimeError::ShuttingDown).is_some());
        assert_eq!(retry_after(&RuntimeError::EmptyInput), None);
    }
}
