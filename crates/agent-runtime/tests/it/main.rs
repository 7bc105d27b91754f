//! The facade, from outside.

mod depth;
mod fleet_file;
#[cfg(feature = "service")]
mod remote_runtime;
