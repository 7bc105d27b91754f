//! The `agent-runtime` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_runtime_cli::main()
}
