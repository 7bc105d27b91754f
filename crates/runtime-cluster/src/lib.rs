#![doc = include_str!("../README.md")]

mod nodes;
mod partitions;

pub use nodes::node_of;
pub use partitions::{partition_of_name, partition_of_session};
