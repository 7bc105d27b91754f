//! Live delivery: who listens to what, and a bounded ring before each of them.

mod reader;
mod ring;
mod table;

pub(crate) use reader::Reader;
pub(crate) use ring::{Pushed, Ring};
pub(crate) use table::Table;
