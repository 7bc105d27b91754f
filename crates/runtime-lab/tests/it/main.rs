//! The laboratory's programs, as they are used.

mod bombs;
mod crash;
mod program;
mod stores;
