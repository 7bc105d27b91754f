//! Why a command did not do as asked: what happened, with which thing, and what to do about it.

use std::io;
use std::path::PathBuf;

use agent_runtime::events::BusError;
use agent_runtime::fleet::{BusOpenError, Faults};
use agent_runtime::service::{ListenError, PlaceError};
use agent_runtime::store::StateError;
use agent_runtime::stores::{CopyError, EncryptionError, ExportError, RekeyError, RepairError};
use agent_runtime::webhooks::WebhookError;
use agent_runtime::{OpenError, RunId, RuntimeError, StepKey};
use thiserror::Error;

use crate::exit::Exit;

/// Why a command did not do as asked.
#[derive(Debug, Error)]
pub enum CliError {
    /// The runtime refused, here or at the server.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The bus refused, here or at the server.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus cannot be opened.
    #[error(transparent)]
    BusOpen(#[from] BusOpenError),
    /// A webhook of the fleet file cannot be.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// There is no such webhook.
    #[error("the fleet file has no webhook `{given}`: it has {}", listed(.known))]
    NoWebhook {
        /// What was asked for.
        given: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Nobody serves, so that nothing can be heard.
    #[error(
        "nobody serves the store `{store}`, and what is published is heard through its server: start one with \
         `agent-runtime serve`, or show what is kept with `agent-runtime events replay TOPIC`"
    )]
    NothingToHear {
        /// The store.
        store: String,
    },
    /// A durable subscription was to be about several topics.
    #[error(
        "a durable subscription is about one topic that is kept, and `{topics}` is about several: name it in full"
    )]
    OneTopic {
        /// The topics.
        topics: String,
    },
    /// A change of a limit that is none.
    #[error(
        "`{given}` changes no limit: {why}; as in max_tokens_per_minute=10000, max_cost_per_day=2.50 or on_limit=refuse"
    )]
    Limit {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no fleet file and no store was named.
    #[error(
        "there is no fleet file `{}`: write one (docs/fleet-file.md says how), or name yours with --fleet",
        path.display()
    )]
    NoFleet {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The fleet file cannot be read.
    #[error("the fleet file `{}` cannot be read: make it a text file that this user may read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The fleet file has faults.
    #[error("`{}` has {}", path.display(), faults.count())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        faults: Faults,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another process has the store open, and does not serve it.
    #[error(
        "the store `{}` is in use by another command that does not serve it: wait until that has ended, \
         or let `agent-runtime serve` own the store, which works for many",
        path.display()
    )]
    StoreBusy {
        /// The store.
        path: PathBuf,
    },
    /// Another user serves the store.
    #[error(
        "the store `{}` is served by another user (socket `{}`): run this command as that user",
        store.display(), socket.display()
    )]
    NotYours {
        /// The store.
        store: PathBuf,
        /// Where the other user's server listens.
        socket: PathBuf,
    },
    /// The store is on a Redis server, where somebody may work on it.
    #[error(
        "a server may be working on `{store}`, and this command would take the store from it: ask that server, with \
         --fleet and its fleet file where it runs; if there is none, say so with --nobody-serves"
    )]
    MayBeServed {
        /// The store.
        store: String,
    },
    /// The store is in memory, and the command is about one that others have.
    #[error(
        "a store in memory belongs to the process that made it, so there is nothing for this command in it: name a \
         store on disk, with --store redb:PATH or in the fleet file"
    )]
    InMemory,
    /// A store that is to be read is not there.
    #[error("there is no store `{}`: see that the path is right", path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A store was not copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The disk of a store that is to be written is full.
    #[error(
        "`{store}` has no room for what `{from}` holds: make room, delete what was begun of it, and begin again. `{from}` \
         is as it was"
    )]
    NoRoom {
        /// The store that is to be written.
        store: String,
        /// The store that is read.
        from: String,
    },
    /// A store was not repaired.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// A store was not exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Nobody said where that is to go which a repair leaves out.
    #[error(
        "there is no file beside `{store}` for what the repair leaves out: name one with --quarantine FILE"
    )]
    NoQuarantine {
        /// The store that is to be written.
        store: String,
    },
    /// A store was not rewritten under another key.
    #[error(transparent)]
    Rekey(#[from] RekeyError),
    /// A store that is not encrypted, or no file of redb, was to be rewritten under another key.
    #[error(
        "`{store}` is no store that can be rewritten in its place: name it as encrypted:KEYS,redb:PATH, or copy it into \
         a new one with `agent-runtime state copy`"
    )]
    NotRekeyed {
        /// The store.
        store: String,
    },
    /// A store that is no file cannot be rewritten in its place.
    #[error("`{store}` is no file that can be rewritten in its place: name an empty store with --into STORE")]
    RekeyWhere {
        /// The store.
        store: String,
    },
    /// A store without keys was asked about its keys.
    #[error("`{store}` is not encrypted, or was named without its keys: name it as encrypted:KEYS,STORE")]
    NoKeys {
        /// The store.
        store: String,
    },
    /// A store cannot be read through.
    #[error("the store cannot be read: {0}")]
    Verify(#[source] StateError),
    /// A server is there already.
    #[error(
        "the store `{}` is served already: use that server, or stop it first (it listens on `{}`)",
        store.display(), socket.display()
    )]
    Served {
        /// The store.
        store: PathBuf,
        /// Where the server listens.
        socket: PathBuf,
    },
    /// It cannot listen where it should.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket's server cannot be asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The run's stream ended before the run.
    #[error(
        "the runtime went away; `{run}` is kept: watch it with `agent-runtime log --follow {run}` once the runtime is back"
    )]
    WentAway {
        /// The run.
        run: RunId,
    },
    /// The folder of the socket cannot be opened.
    #[error("cannot reach the socket `{}`: see that its folder is there and this user may read it", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The name of the store's file is too long for a socket beside it.
    #[error(
        "the socket `{}` has a name of {length} bytes, and Linux takes {limit}: give the store a shorter file name",
        path.display()
    )]
    SocketName {
        /// The socket.
        path: PathBuf,
        /// How long its file name is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// There are no runs, and `last` was asked for.
    #[error("there are no runs yet: begin one with `agent-runtime run AGENT \"…\"`")]
    NoRuns,
    /// The run asks nobody.
    #[error("`{run}` waits for nobody's answer or consent: see what it does with `agent-runtime log {run}`")]
    NothingAsked {
        /// The run.
        run: RunId,
    },
    /// Several steps of the run ask.
    #[error("several steps of `{run}` wait: name one of {}", named(.steps))]
    WhichStep {
        /// The run.
        run: RunId,
        /// The steps.
        steps: Vec<StepKey>,
    },
    /// Consent was given without saying to what, and nobody can be shown it.
    #[error(
        "which call is consented to? look at it with `agent-runtime log {run}`, then say so with its hash: \
         `agent-runtime approve {run} {step} --digest {mark}`"
    )]
    WhichCall {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The first digits of the hash.
        mark: String,
    },
    /// The decision's value is no JSON.
    #[error("`{given}` is no JSON: put texts into quotation marks, as in '\"done\"'")]
    NoJson {
        /// What was given.
        given: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// A decision was given a value that it does not take.
    #[error("`{verdict}` takes no value: leave `{value}` away, or use `assume`")]
    NeedlessValue {
        /// The verdict.
        verdict: &'static str,
        /// The value.
        value: String,
    },
    /// The standard input cannot be read.
    #[error("the standard input cannot be read: give it text in UTF-8")]
    Input(#[source] io::Error),
    /// A file is there already.
    #[error("`{}` is there already: choose another name, or move it away", path.display())]
    FileThere {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("`{}` cannot be written: see that its folder is there, is yours and has room", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read: see that it is there and this user may read it", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody takes what is printed.
    #[error("the output cannot be written: see that what it goes to is there and has room")]
    Output(#[source] io::Error),
    /// The process cannot hear signals, or not start its threads.
    #[error("the system refuses {what}: see the limits of this user (`ulimit -a`)")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl CliError {
    /// What it comes to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Runtime(error) => Exit::of(error),
            Self::Bus(error) | Self::Webhook(WebhookError::Bus(error)) => Exit::of_bus(error),
            Self::NoFleet { .. }
            | Self::Limit { .. }
            | Self::Unreadable { .. }
            | Self::Faulty { .. }
            | Self::OneTopic { .. }
            | Self::Webhook(_)
            | Self::NoJson { .. }
            | Self::NeedlessValue { .. }
            | Self::WhichStep { .. }
            | Self::WhichCall { .. }
            | Self::Input(_)
            | Self::FileThere { .. }
            | Self::NoQuarantine { .. }
            | Self::Unwritable { .. }
            | Self::UnreadableFile { .. } => Exit::BadInput,
            Self::NoRuns | Self::NoStore { .. } | Self::NoWebhook { .. } => Exit::NotFound,
            Self::StoreBusy { .. }
            | Self::InMemory
            | Self::MayBeServed { .. }
            | Self::NothingToHear { .. }
            | Self::Served { .. }
            | Self::NotRekeyed { .. }
            | Self::RekeyWhere { .. }
            | Self::NoKeys { .. }
            | Self::NothingAsked { .. } => Exit::Refused,
            Self::Open(error) => of_open(error),
            Self::Copy(error)
            | Self::Rekey(RekeyError::Copy(error))
            | Self::Repair(RepairError::Copy(error)) => of_copy(error),
            Self::Rekey(RekeyError::Open(error)) => of_open(error),
            Self::Rekey(RekeyError::Keys { source, .. }) => of_keys(source),
            Self::Rekey(
                RekeyError::Swap { .. } | RekeyError::Unsynced { .. } | RekeyError::NoRoom { .. },
            )
            | Self::NoRoom { .. }
            | Self::Verify(_)
            | Self::Repair(_)
            | Self::Export(_)
            | Self::NotYours { .. }
            | Self::Listen(_)
            | Self::Place(_)
            | Self::BusOpen(_)
            | Self::WentAway { .. }
            | Self::Socket { .. }
            | Self::SocketName { .. }
            | Self::Output(_)
            | Self::System { .. } => Exit::Store,
        }
    }

    /// A short, stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Runtime(error) => error.code(),
            Self::Bus(error) => error.code(),
            Self::BusOpen(_) => "bus-not-opened",
            Self::Webhook(_) => "bad-webhook",
            Self::NoWebhook { .. } => "no-webhook",
            Self::NothingToHear { .. } => "no-server",
            Self::OneTopic { .. } => "one-topic",
            Self::NoFleet { .. } => "no-fleet-file",
            Self::Limit { .. } => "bad-limit",
            Self::Unreadable { .. } => "unreadable-fleet-file",
            Self::Faulty { .. } => "faulty-fleet-file",
            Self::Open(_) => "store-not-opened",
            Self::StoreBusy { .. } => "store-busy",
            Self::NotYours { .. } => "not-your-store",
            Self::InMemory => "store-in-memory",
            Self::MayBeServed { .. } => "may-be-served",
            Self::Served { .. } => "already-served",
            Self::NoStore { .. } => "no-store",
            Self::Copy(_) => "not-copied",
            Self::NoRoom { .. } | Self::Rekey(RekeyError::NoRoom { .. }) => "no-room",
            Self::NoKeys { .. } => "no-keys",
            Self::Rekey(_) | Self::NotRekeyed { .. } | Self::RekeyWhere { .. } => "not-rekeyed",
            Self::Verify(_) => "not-verified",
            Self::Repair(_) | Self::NoQuarantine { .. } => "not-repaired",
            Self::Export(_) => "not-exported",
            Self::Listen(_) => "cannot-listen",
            Self::Place(_) => "no-client",
            Self::WentAway { .. } => "went-away",
            Self::Socket { .. } | Self::SocketName { .. } => "no-socket",
            Self::NoRuns => "no-runs",
            Self::NothingAsked { .. } => "nothing-to-answer",
            Self::WhichStep { .. } => "which-step",
            Self::WhichCall { .. } => "which-call",
            Self::NoJson { .. } | Self::NeedlessValue { .. } => "bad-value",
            Self::FileThere { .. } => "file-is-there",
            Self::Unwritable { .. } => "unwritable-file",
            Self::UnreadableFile { .. } => "unreadable-file",
            Self::Input(_) => "no-input",
            Self::Output(_) => "no-output",
            Self::System { .. } => "system",
        }
    }
}

fn of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::UnknownScheme { .. } | OpenError::Keys(_) => Exit::BadInput,
        OpenError::Encrypted { .. } | OpenError::HalfCopied { .. } => Exit::Refused,
        OpenError::Encryption { source, .. } => of_keys(source),
        _ => Exit::Store,
    }
}

fn of_keys(error: &EncryptionError) -> Exit {
    match error {
        EncryptionError::NotEncrypted
        | EncryptionError::MissingKey { .. }
        | EncryptionError::WrongKey { .. } => Exit::Refused,
        EncryptionError::Newer { .. }
        | EncryptionError::Algorithm { .. }
        | EncryptionError::Damaged
        | EncryptionError::Store(_) => Exit::Store,
    }
}

fn of_copy(error: &CopyError) -> Exit {
    match error {
        CopyError::NotEmpty { .. }
        | CopyError::Raced
        | CopyError::Encrypted
        | CopyError::HalfCopied
        | CopyError::TooLarge { .. } => Exit::Refused,
        CopyError::Differs { .. } | CopyError::From(_) | CopyError::To(_) => Exit::Store,
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn named(steps: &[StepKey]) -> String {
    let names: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use agent_runtime::store::StateError;
    use agent_runtime::{Cause, OpenError, RuntimeError};

    use super::CliError;
    use crate::exit::Exit;

    fn store() -> PathBuf {
        PathBuf::from("agents.redb")
    }

    #[test]
    fn what_the_store_says_ends_with_5() {
        let cause = Cause::says("input/output error");
        let said: [CliError; 6] = [
            OpenError::Newer { path: store(), found: 9, known: 1 }.into(),
            OpenError::NoSpace { path: store() }.into(),
            OpenError::Damaged { path: store(), cause: cause.clone() }.into(),
            RuntimeError::Store(StateError::NoSpace).into(),
            RuntimeError::Store(StateError::Poisoned { cause: cause.clone() }).into(),
            RuntimeError::Unreachable { at: "unix:a.sock".to_owned(), cause }.into(),
        ];

        for error in said {
            assert_eq!(error.exit(), Exit::Store, "{error}");
        }
    }

    #[test]
    fn a_store_that_somebody_else_has_open_ends_with_4() {
        let error = CliError::StoreBusy { path: store() };

        assert_eq!(error.exit(), Exit::Refused);
        assert!(error.to_string().contains("`agents.redb`"), "{error}");
    }

    #[test]
    fn every_exit_code_is_its_own() {
        let exits = [
            Exit::Done,
            Exit::RunFailed,
            Exit::BadInput,
            Exit::NotFound,
            Exit::Refused,
            Exit::Store,
            Exit::Waits,
            Exit::Signal(2),
            Exit::Signal(15),
        ];

        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 130, 143]);
    }
}
