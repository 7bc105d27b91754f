//! Where the service listens: on loopback, and on unix sockets that only their owner can reach.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The longest path that a socket can have.
const SOCKET_PATH_LIMIT: usize = 107;

/// Where a service listens.
///
/// Every user of the machine can connect to a TCP listener, also on loopback. So only those of the
/// [`ROUTES`](crate::ROUTES) answer there whose reach is [`Reach::Anywhere`](crate::Reach::Anywhere); on unix sockets
/// all do.
///
/// ```
/// # use runtime_service::{ListenError, Listeners};
/// # async fn example() -> Result<(), ListenError> {
/// let listeners = Listeners::none()
///     .tcp("127.0.0.1:8000".parse().expect("an address")).await?
///     .unix("/run/agents/control.sock").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Listeners {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) unix: Vec<Socket>,
    pub(crate) all_routes_on_tcp: bool,
}

/// Why a service cannot listen where it should.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error("`{address}` is in use by another process; stop that one, or choose another port")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The address can be reached from other machines.
    #[error(
        "`{address}` can be reached from other machines, which needs authentication, and this version has none; listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`; choose another address or port")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A process answers on the socket.
    #[error("a runtime serves on the socket `{}` already; use that one, or stop it", .path.display())]
    Served {
        /// Where.
        path: PathBuf,
    },
    /// The path belongs to something else.
    #[error("`{}` is there and is no socket; remove it, or choose another path", .path.display())]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The path is longer than the system takes.
    #[error("the path of the socket `{}` is longer than {SOCKET_PATH_LIMIT} bytes; choose a shorter one", .path.display())]
    LongPath {
        /// Where.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot make the socket `{}`; see that its folder exists and can be written to", .path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A unix listener, and the file that goes with it if this process made it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    _file: Option<SocketFile>,
}

/// Removes the file of a socket in the end, unless another process has put its own there meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Listeners {
    /// Nowhere yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Listens on `address` too; its port 0 means one that is free.
    ///
    /// # Errors
    /// [`ListenError::NotLoopback`], [`ListenError::InUse`], or what the system said.
    pub async fn tcp(self, address: SocketAddr) -> Result<Self, ListenError> {
        check_loopback(address)?;
        let bound = TcpListener::bind(address).await;
        self.with_tcp(bound.map_err(|source| cannot_bind(address, source))?)
    }

    /// Listens on the unix socket at `path` too. Only the user who runs this process can connect to it. The socket of
    /// a process that is gone is replaced.
    ///
    /// # Errors
    /// [`ListenError::Served`], [`ListenError::NoSocket`], [`ListenError::LongPath`], or what the system said.
    pub async fn unix(mut self, path: impl AsRef<Path>) -> Result<Self, ListenError> {
        let path = path.as_ref();
        check_free(path).await?;
        let socket =
            Socket::bind(path).map_err(|source| ListenError::Unix { path: path.to_owned(), source })?;
        self.unix.push(socket);
        Ok(self)
    }

    /// Takes over a listener.
    ///
    /// # Errors
    /// [`ListenError::NotLoopback`].
    pub fn with_tcp(mut self, listener: TcpListener) -> Result<Self, ListenError> {
        if let Ok(address) = listener.local_addr() {
            check_loopback(address)?;
        }
        self.tcp.push(listener);
        Ok(self)
    }

    /// Takes over a unix listener. Who may connect is up to the permissions of its file.
    #[must_use]
    pub fn with_unix(mut self, listener: UnixListener) -> Self {
        let _file = None;
        self.unix.push(Socket { listener, _file });
        self
    }

    /// Lets all routes answer on TCP too, also those that control the runtime: register agents over any folder, delete
    /// them, shut the runtime down. Every user of this machine can connect to a TCP listener, and nobody is asked who
    /// they are: for machines with one user, and for tests.
    #[must_use]
    pub fn all_routes_on_tcp(mut self) -> Self {
        self.all_routes_on_tcp = true;
        self
    }

    /// The TCP addresses, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

impl Socket {
    /// Makes the socket under a name that nobody knows, closes it to others, and only then gives it its name.
    fn bind(path: &Path) -> io::Result<Self> {
        let hidden = path.with_extension(format!("{}~", std::process::id() % 100_000));
        remove_if_there(&hidden)?;
        let listener = UnixListener::bind(&hidden)?;
        let named = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::metadata(&hidden))
            .and_then(|metadata| fs::rename(&hidden, path).map(|()| metadata.ino()));
        let inode = named.inspect_err(|_| drop(fs::remove_file(&hidden)))?;
        let path = path.to_owned();
        let _file = Some(SocketFile { path, inode });
        Ok(Self { listener, _file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn check_loopback(address: SocketAddr) -> Result<(), ListenError> {
    if address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(ListenError::NotLoopback { address }) }
}

fn cannot_bind(address: SocketAddr, source: io::Error) -> ListenError {
    if source.kind() == io::ErrorKind::AddrInUse {
        ListenError::InUse { address }
    } else {
        ListenError::Tcp { address, source }
    }
}

/// Nothing is there, or the socket of a process that is gone.
async fn check_free(path: &Path) -> Result<(), ListenError> {
    let path_buf = || path.to_owned();
    // The name under which the socket is made is a little longer.
    if path.as_os_str().len() + 7 > SOCKET_PATH_LIMIT {
        return Err(ListenError::LongPath { path: path_buf() });
    }
    let Ok(file) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(ListenError::NoSocket { path: path_buf() });
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(ListenError::Served { path: path_buf() }),
        Err(_) => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
