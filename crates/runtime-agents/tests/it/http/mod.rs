//! The tests of the web tools.

mod getting;
mod guard;
mod posting;
mod rules;
mod support;
mod table;
