//! A handler at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime_traits::bus::{BusError, Delivery, Event, Failure, Gap, PatternDeliveries, Position, Topic};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use super::handling::{Handled, call};
use super::report::Reporter;
use super::stream::EventStream;

/// How many done events of a durable subscription may wait until that is saved.
const UNSAVED: usize = 256;
/// The pauses between tries when a durable subscription does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A handler at work. Dropping it unsubscribes, and ends a call that is under way.
#[must_use = "dropping it unsubscribes"]
#[derive(Debug)]
pub struct Subscription {
    task: JoinSet<()>,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    lost: AtomicU64,
    failed: AtomicU64,
    ending: AtomicBool,
    end: Notify,
}

impl Subscription {
    pub(crate) fn live<H, F>(mut stream: EventStream, mut handler: H, reporter: Reporter) -> Self
    where
        H: FnMut(Arc<Event>) -> F + Send + 'static,
        F: Future<Output: Handled> + Send + 'static,
    {
        Self::spawn(|told| async move {
            while let Some(Some(delivery)) = told.unless_ending(stream.next()).await {
                match delivery {
                    Delivery::Gap(gap) => told.lost(&gap, None, &reporter).await,
                    Delivery::Event { position, attempt, event } => {
                        if let Err(failure) = call(&mut handler, Arc::clone(&event)).await {
                            told.failed.fetch_add(1, Ordering::Relaxed);
                            reporter.failed(&event, position, attempt, &failure, false).await;
                        }
                    }
                }
            }
        })
    }

    pub(crate) fn durable<H, F>(
        deliveries: Box<dyn PatternDeliveries>,
        mut handler: H,
        reporter: Reporter,
    ) -> Self
    where
        H: FnMut(Arc<Event>) -> F + Send + 'static,
        F: Future<Output: Handled> + Send + 'static,
    {
        Self::spawn(|told| async move {
            // The next event is worked on while it is saved that the last one is done.
            let mut saving = FuturesUnordered::new();
            let save = async |topic: Topic, position| deliveries.done(&topic, position).await;
            let mut pause = PAUSES.0;
            loop {
                let next = tokio::select! {
                    biased;
                    Some(saved) = saving.next(), if !saving.is_empty() => {
                        log_unsaved(saved);
                        continue;
                    }
                    next = told.unless_ending(deliveries.next()), if saving.len() < UNSAVED => next,
                };
                match next {
                    None => break,
                    Some(Ok((topic, Delivery::Gap(gap)))) => told.lost(&gap, Some(&topic), &reporter).await,
                    Some(Ok((topic, Delivery::Event { position, attempt, event }))) => {
                        pause = PAUSES.0;
                        match call(&mut handler, Arc::clone(&event)).await {
                            Ok(()) => saving.push(save(topic, position)),
                            Err(failure) => {
                                told.failed.fetch_add(1, Ordering::Relaxed);
                                let dead = put_away(&*deliveries, &topic, position, &failure).await;
                                reporter.failed(&event, position, attempt, &failure, dead).await;
                            }
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "a durable subscription does not go on");
                        if matches!(error, BusError::Taken { .. }) || !error.is_transient() {
                            break;
                        }
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
            }
            while let Some(saved) = saving.next().await {
                log_unsaved(saved);
            }
        })
    }

    fn spawn<F>(work: impl FnOnce(Arc<Told>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let told = Arc::new(Told::default());
        let mut task = JoinSet::new();
        task.spawn(work(Arc::clone(&told)));
        Self { task, told }
    }

    /// How many events were lost because the handler was too slow.
    pub fn lost(&self) -> u64 {
        self.told.lost.load(Ordering::Relaxed)
    }

    /// How often the handler failed.
    pub fn failures(&self) -> u64 {
        self.told.failed.load(Ordering::Relaxed)
    }

    /// Unsubscribes once the call that is under way has ended, and, if it is durable, once that is saved.
    pub async fn end(mut self) {
        self.told.ending.store(true, Ordering::Release);
        self.told.end.notify_waiters();
        // A panic of the handler was caught where it happened.
        let _ = self.task.join_next().await;
    }
}

impl Told {
    /// `None` when the subscription is to end.
    async fn unless_ending<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        let mut end = std::pin::pin!(self.end.notified());
        end.as_mut().enable();
        if self.ending.load(Ordering::Acquire) {
            return None;
        }
        tokio::select! {
            biased;
            () = end => None,
            next = next => Some(next),
        }
    }

    async fn lost(&self, gap: &Gap, topic: Option<&Topic>, reporter: &Reporter) {
        self.lost.fetch_add(gap.lost(), Ordering::Relaxed);
        reporter.lost(gap, topic).await;
    }
}

/// Whether it became a dead letter. While that cannot be written it is tried again.
async fn put_away(
    deliveries: &dyn PatternDeliveries,
    topic: &Topic,
    position: Position,
    failure: &Failure,
) -> bool {
    let mut pause = PAUSES.0;
    loop {
        match deliveries.failed(topic, position, failure).await {
            Ok(dead) => return dead,
            Err(error) if matches!(error, BusError::Taken { .. }) || !error.is_transient() => return false,
            Err(error) => {
                tracing::warn!(%error, "a failed event cannot be put away");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn log_unsaved(saved: Result<(), BusError>) {
    if let Err(error) = saved {
        tracing::warn!(%error, "that an event is done could not be saved: it may be delivered again");
    }
}
