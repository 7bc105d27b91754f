//! Each clause of the replay rule by itself.

mod ask;
mod cancel;
mod commits;
mod divergence;
mod order;
mod time;
mod unknown;
mod waits;
