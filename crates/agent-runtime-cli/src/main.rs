//! The `agent-runtime` command.

use std::process::ExitCode;

use agent_runtime::MeteredAlloc;

/// Knows whose memory is whose, so that `max_memory_mb` holds.
#[global_allocator]
static ALLOC: MeteredAlloc = MeteredAlloc::system();

fn main() -> ExitCode {
    agent_runtime_cli::main()
}
