//! The kit's own tests: its fakes keep the contracts, and its suites fail where they should.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod clauses;
mod clock;
mod faulty_store;
mod fixture;
mod health;
mod map_store;
mod models;
mod proxy;
mod snapshots;
mod transcripts;
mod wrong_stores;
