//! What a command's exit code says.

use std::process::ExitCode;

use agent_runtime::RuntimeError;
use agent_runtime::events::BusError;

/// What a command's exit code says. Documented in `docs/cli.md` and under `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the run failed or was cancelled.
    RunFailed,
    /// 2: bad usage, bad input, or a faulty fleet file.
    BadInput,
    /// 3: there is no such agent, run, snapshot or store.
    NotFound,
    /// 4: refused: not started, busy, wrong state, name or key taken, store in use, in memory, encrypted with other
    /// keys, or not empty.
    Refused,
    /// 5: the store is damaged, or it or the connection to a server failed; an address cannot be listened on.
    Store,
    /// 6: the run waits for somebody.
    Waits,
    /// 7: what was asked about works worse than it should.
    Degraded,
    /// 8: what was asked about does not work.
    Unhealthy,
    /// 9: nobody can tell how what was asked about is.
    Unknown,
    /// 128 + n: ended by signal n.
    Signal(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::RunFailed => 1,
            Self::BadInput => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Store => 5,
            Self::Waits => 6,
            Self::Degraded => 7,
            Self::Unhealthy => 8,
            Self::Unknown => 9,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// What a runtime's refusal comes to.
    pub fn of(error: &RuntimeError) -> Self {
        use RuntimeError as E;
        match error {
            E::RunFailed { .. } | E::RunCancelled { .. } | E::RunContinues { .. } => Self::RunFailed,
            E::UnknownKind { .. }
            | E::Spec(_)
            | E::Name(_)
            | E::EmptyInput
            | E::AnswerWithKey
            | E::BadSnapshotFile { .. }
            | E::Meter(_)
            | E::Limits(_)
            | E::Schedule(_)
            | E::TooLarge { .. } => Self::BadInput,
            E::UnknownAgent { .. }
            | E::UnknownRun { .. }
            | E::UnknownSchedule { .. }
            | E::RunSwept { .. }
            | E::UnknownState { .. } => Self::NotFound,
            E::NotStarted { .. }
            | E::WrongState { .. }
            | E::NameTaken { .. }
            | E::Busy { .. }
            | E::AtLimit { .. }
            | E::SessionBusy { .. }
            | E::KeyReused { .. }
            | E::NothingToDecide { .. }
            | E::NothingToAnswer { .. }
            | E::OtherCall { .. }
            | E::CannotFork { .. }
            | E::CannotRequeue { .. }
            | E::RunOver { .. }
            | E::StorageFull { .. }
            | E::NoSnapshots
            | E::ShuttingDown => Self::Refused,
            E::Store(_) | E::Damaged { .. } | E::Newer { .. } | E::Unreachable { .. } => Self::Store,
        }
    }
}

impl Exit {
    /// What a bus's refusal comes to.
    pub fn of_bus(error: &BusError) -> Self {
        use BusError as E;
        match error {
            E::Topic(_) | E::Header(_) | E::Malformed { .. } | E::TooLarge { .. } | E::TooManyHops { .. } => {
                Self::BadInput
            }
            E::BeforeRetention { .. } => Self::NotFound,
            E::Protected { .. }
            | E::Forbidden { .. }
            | E::NotDurable { .. }
            | E::SettingsDiffer { .. }
            | E::Busy { .. }
            | E::Taken { .. } => Self::Refused,
            E::NoAnswer { .. } | E::Unknown { .. } | E::Unavailable { .. } | E::Damaged { .. } => Self::Store,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
