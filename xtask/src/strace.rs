//! strace, under which the laboratory's tests run a process: it records what is written and synced, and lets syncs fail.

use std::process::Command;

use crate::Failure;
use crate::tools::{apt_install, said};

/// Finds strace, or installs the one of the system, and says so before it does.
pub(crate) fn strace() -> Result<(), Failure> {
    let version = || said(Command::new("strace").arg("--version"));
    if let Some(version) = version() {
        println!("xtask: strace is here: {}", version.trim_start_matches("strace -- "));
        return Ok(());
    }
    println!("xtask: strace is missing; installing it: apt-get install strace");
    if apt_install(&["strace"]) && version().is_some() {
        return Ok(());
    }
    let why = "install strace with your system's packages".to_owned();
    Err(Failure::Tool { name: "strace", why })
}
