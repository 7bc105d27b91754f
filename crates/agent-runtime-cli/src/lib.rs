//! The agent-runtime command.
