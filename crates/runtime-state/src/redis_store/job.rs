//! Requests on their way to the server, in the order in which their futures were first polled.

use std::time::Duration;

use redis::{Cmd, Value};
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use runtime_traits::store::{BatchId, Durability, StateError};
use tokio::sync::oneshot;

pub(super) type Answer = Result<Value, StateError>;

/// A command, and whom to tell what came of it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) cmd: Cmd,
    pub(super) asker: Asker,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) what: What,
    reply: oneshot::Sender<Answer>,
}

/// What is known of a command when its answer is lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// With the level that its script answers: what the server gave when it was asked for.
    Commit(BatchId, Partition, Durability),
    Page,
}

impl Job {
    pub(super) fn new(cmd: Cmd, what: What) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, caller) = oneshot::channel();
        (Self { cmd, asker: Asker { what, reply } }, caller)
    }

    /// It was never sent.
    pub(super) fn refuse(self, retry_after: Duration, cause: &Cause) {
        let cause = cause.clone();
        self.asker.tell(Err(StateError::Unavailable { retry_after: Some(retry_after), cause }));
    }
}

impl Asker {
    pub(super) fn tell(self, answer: Answer) {
        // Whoever has gone away does not want to know.
        let _ = self.reply.send(answer);
    }

    /// It was sent, and no answer came.
    pub(super) fn lose(self, cause: &Cause) {
        let error = match self.what {
            What::Commit(BatchId(batch), ..) => StateError::Unknown { batch },
            What::Page => StateError::Unavailable { retry_after: None, cause: cause.clone() },
        };
        self.tell(Err(error));
    }
}
