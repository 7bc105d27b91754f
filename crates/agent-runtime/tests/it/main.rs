//! The facade, from outside.

mod fleet_file;
#[cfg(feature = "service")]
mod remote_runtime;
