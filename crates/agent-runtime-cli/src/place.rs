//! Which fleet file and which store a command is about.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_runtime::fleet::{BusPlace, Fleet, StoreUri};
use agent_runtime::{AgentKind, OpenError};

use crate::args::Global;
use crate::error::CliError;
use crate::socket::SocketPath;

/// The fleet file that is taken when none is named.
const DEFAULT: &str = "fleet.toml";

/// A fleet file and its text.
#[derive(Debug)]
pub(crate) struct FleetFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    text: String,
}

/// Which fleet file and which store a command is about.
#[derive(Debug)]
pub(crate) struct Place {
    /// The fleet file, if there is one.
    pub(crate) file: Option<FleetFile>,
    /// What it declares.
    pub(crate) fleet: Option<Fleet>,
    /// The store; its path is that of this process.
    pub(crate) store: StoreUri,
    /// Whether somebody said that no server works on it.
    pub(crate) nobody_serves: bool,
}

impl FleetFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`CliError::NoFleet`] or [`CliError::Unreadable`].
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let path = path.to_owned();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CliError::NoFleet { path }),
            Err(source) => Err(CliError::Unreadable { path, source }),
        }
    }

    /// The file that somebody named, or the one that is taken when none is.
    ///
    /// # Errors
    /// As [`FleetFile::read`].
    pub(crate) fn named(path: Option<&Path>) -> Result<Self, CliError> {
        Self::read(path.unwrap_or(Path::new(DEFAULT)))
    }

    /// What it declares.
    ///
    /// # Errors
    /// [`CliError::Faulty`].
    pub(crate) fn parse(&self) -> Result<Fleet, CliError> {
        let path = self.path.clone();
        Fleet::parse(&self.text).map_err(|faults| CliError::Faulty { path, faults })
    }

    /// What it declares, if the kinds of this build take it.
    ///
    /// # Errors
    /// [`CliError::Faulty`].
    pub(crate) fn check(&self) -> Result<Fleet, CliError> {
        self.check_with(&self.kinds())
    }

    /// What it declares, if these kinds take it.
    ///
    /// # Errors
    /// [`CliError::Faulty`].
    pub(crate) fn check_with(&self, kinds: &[Arc<dyn AgentKind>]) -> Result<Fleet, CliError> {
        let path = self.path.clone();
        let fleet = Fleet::check(&self.text, kinds).map_err(|faults| CliError::Faulty { path, faults })?;
        Ok(fleet.placed(self.folder()))
    }

    /// The kinds of this build, which take paths from the file's folder.
    pub(crate) fn kinds(&self) -> Vec<Arc<dyn AgentKind>> {
        agent_runtime::kinds(self.folder())
    }

    /// The folder that relative paths in the file are taken from.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

impl Place {
    /// Finds the fleet file and the store: what was named, else `fleet.toml`. Where a store was named and no file,
    /// `fleet.toml` is taken only by a command that `makes` agents there: looking at a store must not put the agents of
    /// some folder into it.
    ///
    /// # Errors
    /// [`CliError::NoFleet`] when there is neither file nor store, and what is wrong with the file.
    pub(crate) fn find(global: &Global, makes: bool) -> Result<Self, CliError> {
        let store_alone = global.fleet.is_none() && global.store.is_some();
        let file = match FleetFile::named(global.fleet.as_deref()) {
            _ if store_alone && !makes => None,
            Ok(file) => Some(file),
            // A store was named, and no file: then it goes without.
            Err(CliError::NoFleet { .. }) if store_alone => None,
            Err(error) => return Err(error),
        };
        // Whether the kinds take it matters to who opens the store; but where something is wrong, all of it is told.
        let parse = |file: &FleetFile| file.parse().or_else(|_| file.check());
        let fleet = file.as_ref().map(parse).transpose()?;
        let store = match (&global.store, &fleet, &file) {
            (Some(store), ..) => store.clone(),
            (None, Some(fleet), Some(file)) => fleet.store.below(file.folder()),
            _ => Fleet::default().store,
        };
        Ok(Self { file, fleet, store, nobody_serves: global.nobody_serves })
    }

    /// A store alone.
    pub(crate) fn of(store: StoreUri) -> Self {
        Self { file: None, fleet: None, store, nobody_serves: false }
    }

    /// Where a server of the store listens for the other commands: beside it, and beside the fleet file for a store that is
    /// no file. `None` for a store in memory, and for a server's without a fleet file.
    ///
    /// # Errors
    /// [`CliError::Socket`] or [`CliError::SocketName`].
    pub(crate) fn socket(&self) -> Result<Option<SocketPath>, CliError> {
        if self.store.is_in_memory() {
            return Ok(None);
        }
        let of_fleet = || self.file.as_ref().map(|file| file.folder().join("redis-store"));
        let place = self.store.path().map(Path::to_owned).or_else(of_fleet);
        place.as_deref().map(SocketPath::beside).transpose()
    }

    /// Whether the bus is not in the store.
    pub(crate) fn has_bus_elsewhere(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.bus.place != BusPlace::Store)
    }

    /// Why the store was not opened. A file that this user may not use, with a socket that it may not use either, is to
    /// be left as it is: its server's user can ask.
    pub(crate) fn refusal(&self, error: CliError) -> CliError {
        let CliError::Open(OpenError::Denied { .. }) = error else { return error };
        match (self.store.path(), self.socket()) {
            (Some(store), Ok(Some(socket))) if socket.is_anothers() => {
                CliError::NotYours { store: store.to_owned(), socket: socket.shown().to_owned() }
            }
            _ => error,
        }
    }

    /// The kinds of this build.
    pub(crate) fn kinds(&self) -> Vec<Arc<dyn AgentKind>> {
        self.file.as_ref().map_or_else(|| agent_runtime::kinds(""), FleetFile::kinds)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use agent_runtime::fleet::StoreUri;
    use agent_runtime::open_store;
    use runtime_testkit::block_on;

    use super::{FleetFile, Place};
    use crate::error::CliError;
    use crate::exit::Exit;

    #[test]
    fn a_key_that_a_quota_names_is_the_file_that_an_agent_of_the_same_folder_has() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "sk-nobody").unwrap();
        let path = folder.path().join("fleet.toml");
        let text = "[quotas]\nq = { credential = \"file:key\", requests_per_minute = 1 }\n\
                    [agents.a]\nkind = \"llm\"\nmodel = \"openai/gpt-4o\"\nkey = \"file:key\"\n";
        fs::write(&path, text).unwrap();

        let file = FleetFile::read(&path).unwrap();
        let (fleet, kinds) = (file.check().unwrap(), file.kinds());

        let kind = kinds.iter().find(|kind| kind.name() == fleet.agents[0].spec.kind).unwrap();
        let (called, _) = kind.build(&fleet.agents[0].spec).unwrap().least_call().unwrap();
        assert_eq!(called.credential.as_ref(), fleet.quotas[0].credentials.first());
    }

    /// Permissions do not bind root, so the thread becomes somebody else; the rest of the process stays who it is.
    #[test]
    fn a_store_that_another_user_serves_is_to_be_asked_as_that_user() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("agents.redb");
        let place = Place::of(StoreUri::Redb(path.clone()));
        drop(block_on(open_store(&place.store.to_string())).unwrap());
        let socket = folder.path().join("agents.redb.sock");
        let root = rustix::process::geteuid().is_root();
        let _listener = UnixListener::bind(&socket).unwrap();
        let mode = || Permissions::from_mode(if root { 0o600 } else { 0 });
        fs::set_permissions(&path, mode()).unwrap();
        fs::set_permissions(&socket, mode()).unwrap();

        let refused = std::thread::spawn(move || {
            if root {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            }
            // Opened by this thread: the workers of a runtime would still be who they were.
            let opening = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let refused = opening.block_on(open_store(&place.store.to_string())).unwrap_err();
            place.refusal(refused.into())
        });
        let error = refused.join().unwrap();

        assert!(matches!(error, CliError::NotYours { .. }), "{error}");
        assert!(error.to_string().contains("as that user"), "{error}");
        assert_eq!(error.exit(), Exit::Store);
    }
}
