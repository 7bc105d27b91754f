//! One conformance suite per contract: each clause is one case of the same name.

pub mod bus;
pub mod governor;
pub mod health;
pub mod model;
pub mod runtime;
pub mod snapshots;
pub mod state_store;
pub mod transcript;
