//! The tests of `runtime-agents`: one binary.

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
#[cfg(test)]
mod librarian;
#[cfg(test)]
mod llm_kind;
#[cfg(test)]
mod others;
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
