//! The tests of `runtime-agents`: one binary.

#[cfg(feature = "llm")]
#[cfg(test)]
mod aimock;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod folders;
#[cfg(feature = "http")]
#[cfg(test)]
mod http;
#[cfg(test)]
mod librarian;
#[cfg(feature = "llm")]
#[cfg(test)]
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
#[cfg(any(feature = "llm", feature = "http"))]
#[cfg(test)]
mod wire;
