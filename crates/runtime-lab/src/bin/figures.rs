//! `cargo figures core`: see [`runtime_lab::figures`].

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// That of the `agent-runtime` command; the peers have it too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    runtime_lab::figures::main()
}
