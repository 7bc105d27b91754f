//! Runs the tests.
fn main() {}
