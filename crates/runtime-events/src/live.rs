//! Live delivery: who listens to what, and a bounded ring before those that want the same.

mod reader;
mod ring;
mod seats;
mod table;

pub(crate) use reader::Reader;
pub(crate) use ring::{Pushed, Ring};
pub(crate) use table::Table;
