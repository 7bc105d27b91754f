//! The driver over a store that a test can make fail.

mod blocking;
mod bounds;
mod calls;
mod decisions;
mod edges;
mod forks;
mod house;
mod lifecycle;
mod previews;
mod recovery;
mod regressions;
mod said;
mod versions;
mod waits;
