//! The driver over a store that a test can make fail.

mod blocking;
mod bounds;
mod calls;
mod counting;
mod decisions;
mod edges;
mod forks;
mod house;
mod kept;
mod letting_go;
mod lifecycle;
mod limits;
mod looking;
mod metered;
mod overdue;
mod previews;
mod recovery;
mod regressions;
mod restoring;
mod said;
mod sizes;
mod swept;
mod unnamed;
mod versions;
mod waits;
mod warnings;
