//! The tests of the models over HTTP.

mod asking;
mod failing;
mod replying;
mod setting_up;
pub(crate) mod support;
