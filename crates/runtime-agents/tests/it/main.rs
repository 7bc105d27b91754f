//! The tests of `runtime-agents`: one binary.

#[cfg(all(test, feature = "llm"))]
mod aimock;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod folders;
#[cfg(all(test, feature = "http"))]
mod http;
#[cfg(test)]
mod librarian;
#[cfg(all(test, feature = "llm"))]
mod llm;
#[cfg(test)]
mod port;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod quoting;
#[cfg(test)]
mod reindexing;
#[cfg(test)]
mod splitting;
#[cfg(test)]
mod support;
#[cfg(all(test, any(feature = "llm", feature = "http")))]
mod wire;
