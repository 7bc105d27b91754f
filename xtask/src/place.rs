//! Where everything is: the repository, the built programs, the logs; and how to call cargo there.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The directories that xtask works in.
pub(crate) struct Place {
    root: PathBuf,
    built: PathBuf,
    cargo: OsString,
}

impl Place {
    /// Finds the place from what cargo tells the programs that it runs.
    pub(crate) fn find() -> Result<Self, Failure> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(Failure::NotUnderCargo)?;
        let cargo = env::var_os("CARGO").ok_or(Failure::NotUnderCargo)?;
        let root = Path::new(&manifest).parent().ok_or(Failure::NotUnderCargo)?.to_path_buf();
        // This program lies where cargo puts all programs of the dev profile.
        let me = env::current_exe().map_err(|_| Failure::NotUnderCargo)?;
        let built = me.parent().ok_or(Failure::NotUnderCargo)?.to_path_buf();
        Ok(Self { root, built, cargo })
    }

    /// A cargo command in the repository.
    pub(crate) fn cargo(&self) -> Command {
        self.command(&self.cargo)
    }

    /// A command that runs a program of the dev profile in the repository, say `examples/basic`.
    pub(crate) fn built(&self, program: &str) -> Command {
        self.command(self.built.join(program).as_os_str())
    }

    /// The file that the output of the stage `name` goes to.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf, Failure> {
        let logs = self.built.join("xtask-logs");
        fs::create_dir_all(&logs).map_err(|source| Failure::File { path: logs.clone(), source })?;
        Ok(logs.join(format!("{}.log", name.replace(' ', "-"))))
    }

    /// Where programs that are no crates are kept: for all profiles, and away from what `cargo clean -p` removes.
    pub(crate) fn tools(&self) -> PathBuf {
        self.built.parent().unwrap_or(&self.built).join("tools")
    }

    /// The names of the examples: every `examples/*.rs` but `lib.rs`, in order.
    pub(crate) fn examples(&self) -> Result<Vec<String>, Failure> {
        let path = self.root.join("examples");
        let failed = |source| Failure::File { path: path.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let is_rust = file.extension().is_some_and(|extension| extension == "rs");
            let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            names.extend(name.filter(|name| is_rust && name != "lib"));
        }
        names.sort();
        Ok(names)
    }

    fn command(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // What cargo says to xtask about xtask would reach build scripts and make them run again.
        for (name, _) in env::vars_os() {
            let shown = name.to_string_lossy();
            if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }
}
