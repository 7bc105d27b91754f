//! What a test wants a runtime to answer.

use bytes::Bytes;
use runtime_traits::health::HealthOverview;
use runtime_traits::runtime::{
    AgentStatus, CancelReceipt, Joined, NodeStatus, Page, Said, StreamItem, Submitted,
};
use runtime_traits::{RunView, RuntimeError};

/// An answer to one call. One that does not fit the method fails the test.
#[derive(Debug)]
pub enum Answer {
    /// It fails.
    Fail(RuntimeError),
    /// It panics with these words.
    Panic(&'static str),
    /// It never answers.
    Never,
    /// Of `submit`.
    Submitted(Submitted),
    /// Of `join`.
    Joined(Box<Joined>),
    /// Of `stream`.
    Stream(Play),
    /// Of `cancel`.
    Receipt(CancelReceipt),
    /// Of `agents`.
    Agents(Page<AgentStatus>),
    /// Of `messages`.
    Messages(Page<Said>),
    /// Of `runs`.
    Runs(Page<RunView>),
    /// Of `run_status`.
    Run(Box<RunView>),
    /// Of `export_snapshot`: the pieces of the file.
    File(Vec<Result<Bytes, RuntimeError>>),
    /// Of `health`.
    Health(Box<HealthOverview>),
    /// Of `status`.
    Node(Box<NodeStatus>),
}

/// A stream that is played.
#[derive(Debug)]
pub struct Play {
    /// What it gives.
    pub items: Vec<Result<StreamItem, RuntimeError>>,
    /// Whether it stays open after that.
    pub stays_open: bool,
}
