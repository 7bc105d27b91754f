//! The part of `cargo figures` whose allocator meters: see [`runtime_lab::figures`].

use std::process::ExitCode;

use agent_runtime::MeteredAlloc;

#[global_allocator]
static ALLOC: MeteredAlloc = MeteredAlloc::system();

fn main() -> ExitCode {
    runtime_lab::figures::metered_main()
}
