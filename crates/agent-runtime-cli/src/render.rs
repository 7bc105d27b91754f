//! What people see: pure functions from what the runtime says to text.

pub(crate) mod answer;
pub(crate) mod ask;
mod before;
pub(crate) mod breaker;
pub(crate) mod call;
pub(crate) mod chart;
mod entry;
pub(crate) mod event;
mod exact;
mod fault;
pub(crate) mod process;
pub(crate) mod said;
pub(crate) mod size;
mod style;
mod table;
pub(crate) mod time;
mod words;

pub(crate) use before::Before;
pub(crate) use entry::{Lines, steps_under_way};
pub(crate) use fault::faults;
pub(crate) use style::Paint;
pub(crate) use table::{Row, Tone, pairs, table};
pub(crate) use words::{awaited, counted, cut, needs_somebody, outcome, phase, readiness, waits_for, want};
