//! The `agent-runtime` command.
fn main() {}
