//! The service and its client, over real connections on loopback and unix sockets.

mod ask;
mod bus;
mod errors;
mod events;
mod limits;
mod listen;
mod malformed;
mod open_port;
mod remote;
mod restart;
mod routes;
mod stopping;
mod support;
