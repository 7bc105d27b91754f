//! The tests of `runtime-agents`: one binary.

#[cfg(feature = "llm")]
#[cfg(test)]
mod aimock;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod calculator;
#[cfg(test)]
mod conformance;
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
mod llm_kind;
#[cfg(test)]
mod others;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod port;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod quoting;
#[cfg(test)]
mod reindexing;
#[cfg(test)]
mod remembering;
#[cfg(test)]
mod retrying;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod session;
#[cfg(test)]
mod splitting;
#[cfg(test)]
mod support;
#[cfg(test)]
mod teams;
#[cfg(test)]
mod thinking;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod transcripts;
#[cfg(any(feature = "llm", feature = "http"))]
#[cfg(test)]
mod wire;
