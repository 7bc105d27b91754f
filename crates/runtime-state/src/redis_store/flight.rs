//! Requests that are on their way together.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use tokio::time::timeout;

use super::answers;
use super::job::{Asker, Job};
use super::keys;
use super::server::Server;
use crate::OpenError;

/// A group of requests in one write, whose answers come in their order.
pub(super) struct Flight {
    pipeline: Pipeline,
    /// New partitions, whose registrations go first.
    registered: Vec<Partition>,
    askers: Vec<Asker>,
}

/// What came of it.
pub(super) enum Landed {
    /// So many are answered.
    Well(usize),
    /// Answered; but these partitions are not in their set.
    Unregistered(Vec<Partition>),
    /// What the server says about itself now.
    Looked(Box<Server>),
    /// The connection is of no use any more.
    Lost(Cause),
}

impl Flight {
    pub(super) fn new(registered: Vec<Partition>, jobs: impl ExactSizeIterator<Item = Job>) -> Self {
        let mut pipeline = Pipeline::with_capacity(jobs.len() + registered.len() + 1);
        if !registered.is_empty() {
            pipeline.cmd("SET").arg(keys::FORMAT_KEY).arg(keys::FORMAT).arg("NX");
            for partition in &registered {
                pipeline.cmd("SADD").arg(keys::PARTITIONS).arg(partition.to_string());
            }
        }
        let mut askers = Vec::with_capacity(jobs.len());
        for Job { cmd, asker } in jobs {
            pipeline.add_command(cmd);
            askers.push(asker);
        }
        Self { pipeline, registered, askers }
    }

    /// Sends all at its first poll, and tells everybody at its last.
    pub(super) async fn fly(self, mut connection: MultiplexedConnection, deadline: Duration) -> Landed {
        let Self { pipeline, registered, askers } = self;
        let first = pipeline.len() - askers.len();
        let sending = connection.send_packed_commands(&pipeline, 0, pipeline.len());
        let lost = match timeout(deadline, sending).await {
            Ok(Ok(mut answers)) => {
                let replies = answers.split_off(first);
                return tell(askers, replies, registered, &answers);
            }
            Ok(Err(error)) => Cause::of(&error),
            Err(_) => Cause::says(format!("no reply within {} ms", deadline.as_millis())),
        };
        askers.into_iter().for_each(|asker| asker.lose(&lost));
        Landed::Lost(lost)
    }
}

/// Hands out the answers to the askers, and looks whether the partitions were registered.
fn tell(
    askers: Vec<Asker>,
    replies: Vec<Value>,
    registered: Vec<Partition>,
    registrations: &[Value],
) -> Landed {
    let (mut goodbye, count) = (false, askers.len());
    for (asker, reply) in askers.into_iter().zip(replies) {
        goodbye |= answers::says_goodbye(&reply);
        asker.tell(Ok(reply));
    }
    if goodbye {
        return Landed::Lost(Cause::says("the server is not what it was when it was last looked at"));
    }
    if registrations.iter().any(|answer| matches!(answer, Value::ServerError(_))) {
        return Landed::Unregistered(registered);
    }
    Landed::Well(count)
}

/// Looks at the server once more.
pub(super) async fn looked(
    looking: impl Future<Output = Result<Server, OpenError>>,
    deadline: Duration,
) -> Landed {
    match timeout(deadline, looking).await {
        Ok(Ok(server)) => Landed::Looked(Box::new(server)),
        Ok(Err(error)) => Landed::Lost(Cause::of(&error)),
        Err(_) => Landed::Lost(Cause::says(format!("no reply within {} ms", deadline.as_millis()))),
    }
}
