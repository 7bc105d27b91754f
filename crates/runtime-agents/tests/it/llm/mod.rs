//! The tests of the models over HTTP.

mod asking;
mod bounds;
mod contract;
mod failing;
mod replying;
mod secrets;
mod setting_up;
pub(crate) mod support;
