//! The `chaos` command: see `chaos --help`.

use std::process::ExitCode;

/// `bombs` measures how much memory an input takes.
#[global_allocator]
static ALLOCATOR: runtime_lab::chaos::Counting = runtime_lab::chaos::Counting;

fn main() -> ExitCode {
    runtime_lab::chaos::main()
}
