//! The contracts' own types: names, ids, contents, logs folded, errors told.

mod bus;
mod contents;
mod context;
mod errors;
mod ids;
mod names;
mod run_view;
mod step_keys;
mod topics;
