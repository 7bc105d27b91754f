//! The driver: does what the engine decided. It owns the partitions of a store, works the runs, keeps the time.

mod accept;
mod agents;
mod answer;
mod attempt;
mod blobs;
mod cancel;
mod child;
mod commit;
mod config;
mod control;
mod displace;
mod finish;
mod fork;
mod history;
mod id_map;
mod inner;
mod list;
mod load;
mod manager;
mod own;
mod port;
mod post;
mod previews;
mod recover;
mod register;
mod run_slot;
mod runtime;
mod snapshot;
mod stream;
mod succeed;
mod sweep;
mod system;
mod wake;

pub use config::{Builder, Config};
pub use manager::RuntimeManager;
pub use system::{SystemClock, SystemEntropy};
