//! Limits of Agent Runtime.
