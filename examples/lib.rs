//! See the files beside this one: each is an example, run by `cargo run -p examples --example NAME`.
