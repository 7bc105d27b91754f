//! Health of Agent Runtime.
