//! The laboratory's programs, as they are used.

mod bombs;
mod crash;
mod guards;
mod poison;
mod program;
mod quota;
mod stores;
