//! The driver over a store that a test can make fail.

mod blocking;
mod bounds;
mod calls;
mod counting;
mod decisions;
mod edges;
mod forks;
mod house;
mod letting_go;
mod lifecycle;
mod looking;
mod overdue;
mod previews;
mod recovery;
mod regressions;
mod restoring;
mod said;
mod sizes;
mod swept;
mod versions;
mod waits;
