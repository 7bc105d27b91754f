//! A process whose system calls are recorded or spoilt by `strace`.

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::error::{StoresError, refused};
use super::trace::{self, CALLS, Call};

/// The most bytes of one write: more than any store writes at once.
const LONGEST: &str = "67108864";

/// `strace` that records into `file` what the process does to files.
///
/// # Errors
/// [`StoresError::NoStrace`] when it is not installed.
pub(super) async fn recording(file: &Path) -> Result<Command, StoresError> {
    let mut strace = strace().await?;
    strace.args(["-f", "-y", "-xx", "-qq", "-s", LONGEST, "-e", "signal=none", "-e"]);
    strace.arg(format!("trace={CALLS}")).arg("-o").arg(file);
    Ok(strace)
}

/// `strace` that lets every sync of a thread from its `nth` on fail, as a broken disk does, and records what is said.
///
/// # Errors
/// [`StoresError::NoStrace`] when it is not installed.
pub(super) async fn failing_syncs(file: &Path, nth: u64) -> Result<Command, StoresError> {
    let mut strace = strace().await?;
    let syncs = "fsync,fdatasync,sync_file_range,msync";
    strace
        .args(["-f", "-xx", "-qq", "-s", LONGEST, "-e", "signal=none", "-e"])
        .arg(format!("trace=write,{syncs}"));
    strace.arg("-e").arg(format!("inject={syncs}:error=EIO:when={nth}+")).arg("-o").arg(file);
    Ok(strace)
}

async fn strace() -> Result<Command, StoresError> {
    let mut ask = Command::new("strace");
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match ask.status().await {
        Ok(_) => Ok(Command::new("strace")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoresError::NoStrace(error)),
        Err(error) => Err(refused("to start `strace`")(error)),
    }
}

/// The calls that were recorded.
///
/// # Errors
/// [`StoresError::NoTrace`] when there are none.
pub(super) fn recorded(file: &Path) -> Result<Vec<Call>, StoresError> {
    let text = std::fs::read_to_string(file).map_err(refused("to read what `strace` wrote"))?;
    let calls = trace::read(&text)?;
    if calls.is_empty() { Err(StoresError::NoTrace) } else { Ok(calls) }
}
