//! The `chaos` command: see `chaos --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime_lab::chaos::main()
}
