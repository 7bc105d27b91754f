//! `cargo figures core`: see [`runtime_lab::figures`].

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime_lab::figures::main()
}
