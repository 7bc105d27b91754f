//! Models against aimock: a server of models that somebody else wrote. `cargo xtask test` installs it.

mod faults;
mod replies;
mod server;
