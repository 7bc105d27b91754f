//! One try: sends a delivery, and says what becomes of it.

use std::collections::HashSet;
use std::sync::Arc;

use runtime_traits::bus::{BusError, Deliveries, EventId, Failure, Who};

use super::answer::Answer;
use super::job::Job;
use super::running::Shared;

/// How a try ended.
#[derive(Debug)]
pub(super) struct Tried {
    /// What the endpoint said; `None`: it was not asked.
    pub(super) answer: Option<Answer>,
    /// Whether that could be written down. If not the delivery comes again.
    pub(super) settled: Result<(), BusError>,
}

/// Tries a delivery, and writes down what came of it.
pub(super) async fn tried(
    shared: Arc<Shared>,
    reader: Arc<dyn Deliveries>,
    known: Arc<HashSet<EventId>>,
    job: Job,
) -> Tried {
    let answer = match job.body() {
        Ok(body) => shared.post(&job.id, body).await,
        Err(cause) => Answer::Failed { cause: cause.to_string(), wait: None, of_endpoint: false },
    };
    let settled = settle(&shared, &*reader, &known, &job, &answer).await;
    Tried { answer: Some(answer), settled }
}

/// Makes a dead letter of a delivery without a try.
pub(super) async fn buried(reader: &dyn Deliveries, job: &Job, why: &str) -> Tried {
    Tried { answer: None, settled: dead(reader, job, why).await }
}

async fn settle(
    shared: &Shared,
    reader: &dyn Deliveries,
    known: &HashSet<EventId>,
    job: &Job,
    answer: &Answer,
) -> Result<(), BusError> {
    let (cause, wait) = match answer {
        Answer::Taken => return reader.done(job.position).await,
        Answer::Gone => return dead(reader, job, "it answers with status 410: the endpoint is gone").await,
        Answer::Failed { cause, wait, .. } => (cause, *wait),
    };
    let now = shared.clock.now();
    let redelivery = &shared.webhook.redelivery;
    match redelivery.again(job.tried + 1, job.since, now, wait, shared.chance()) {
        None => dead(reader, job, &format!("{cause} (tried {} times)", job.tried + 1)).await,
        Some(due) => {
            // Written down before this one is done: a crash in between tries it twice, and loses nothing.
            let again = job.again(due, now)?;
            if !known.contains(&again.id) {
                shared.bus.publish(&Who::System, Arc::new(again)).await?;
            }
            reader.done(job.position).await
        }
    }
}

/// Makes a dead letter of it.
async fn dead(reader: &dyn Deliveries, job: &Job, why: &str) -> Result<(), BusError> {
    reader.failed(job.position, &Failure::says(why)).await.map(drop)
}
