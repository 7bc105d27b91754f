//! Why an experiment on stores could not be made.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an experiment on stores could not be made.
#[derive(Debug, Error)]
pub(in crate::chaos) enum StoresError {
    /// The system refuses something.
    #[error("the system refuses {what}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The process that writes did not begin, or ended by itself.
    #[error("the process that writes ended by itself ({status}): {last}")]
    Ended {
        /// How.
        status: String,
        /// Its last words.
        last: String,
    },
    /// The process that writes says nothing any more.
    #[error("the process that writes said nothing for {0} seconds")]
    Silent(u64),
    /// A store of this kind cannot be put into the experiment.
    #[error("`{experiment}` is about files, and `{store}` keeps none here: use one of {known}")]
    NoFiles {
        /// The experiment.
        experiment: &'static str,
        /// The store.
        store: String,
        /// Which do.
        known: &'static str,
    },
    /// The store maps its files into memory, where `strace` sees no writes.
    #[error("the store maps `{}` into memory: what it writes there nobody can record", .0.display())]
    Mapped(PathBuf),
    /// `strace` is not there.
    #[error("`strace` cannot be started: install it (apt-get install strace, or `cargo xtask tools`)")]
    NoStrace(#[source] io::Error),
    /// `strace` may not trace.
    #[error(
        "`strace` traces nothing here: allow it (kernel.yama.ptrace_scope, the container's seccomp profile)"
    )]
    NoTrace,
    /// What `strace` wrote is not understood.
    #[error("line {line} of what `strace` wrote is not understood: `{text}`")]
    Trace {
        /// Its number.
        line: usize,
        /// How it begins.
        text: String,
    },
    /// A file system in memory cannot be mounted.
    #[error("no file system can be mounted at `{}` ({said}): run this as root, outside of a container without mounts", path.display())]
    NoMount {
        /// Where.
        path: PathBuf,
        /// What `mount` said.
        said: String,
    },
}

pub(super) fn refused(what: &'static str) -> impl FnOnce(io::Error) -> StoresError {
    move |source| StoresError::System { what, source }
}
