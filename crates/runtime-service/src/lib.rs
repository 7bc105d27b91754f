//! AgentService, the HTTP face of a runtime, and RemoteRuntime, its client.
#![doc = include_str!("../README.md")]

mod body;
mod bus;
mod extract;
mod face;
mod fault;
mod guard;
mod listeners;
mod problem;
mod remote;
mod rim;
mod routes;
mod server;
mod service;
mod sse;
mod status;
mod wire;

pub use bus::Tailed;
pub use listeners::{ListenError, Listeners};
pub use remote::{EventTail, PlaceError, RemoteEvents, RemoteRuntime, TailOf};
pub use routes::{Operation, ROUTES, Reach, Route, table};
pub use service::{AgentService, Serving};
