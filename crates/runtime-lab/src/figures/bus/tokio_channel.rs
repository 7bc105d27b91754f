//! tokio's broadcast channel, whose publisher waits until nobody would lose anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinSet, yield_now};

use super::fan_out::{LOOK, RING, in_a_task};
use super::template::{READY, SIZE};
use crate::figures::error::FiguresError;
use crate::figures::load::all;
use crate::figures::watch::Stopwatch;

/// Ready messages, to be sent one after the other and again.
pub(super) fn ready() -> Vec<Arc<[u8; SIZE]>> {
    (0..READY).map(|_| Arc::new([b'x'; SIZE])).collect()
}

/// Deliveries per second.
pub(crate) async fn broadcast(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    let (sender, _) = broadcast::channel::<Arc<[u8; SIZE]>>(RING);
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let mut receiver = sender.subscribe();
        reading.spawn(async move {
            let mut count = 0_u64;
            loop {
                match receiver.recv().await {
                    Ok(_) => count += 1,
                    Err(RecvError::Closed) => return Ok(count),
                    Err(RecvError::Lagged(lost)) => {
                        return Err(FiguresError::Unexpected(format!("{lost} were lost")));
                    }
                }
            }
        });
    }
    let publishing = in_a_task(async move {
        let ready = ready();
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            while sender.len() >= RING {
                yield_now().await;
            }
            // There are readers until the sender is dropped.
            let _ = sender.send(Arc::clone(&ready[published as usize % READY]));
            published += 1;
        }
        Ok(watch)
    });
    let watch = publishing.await?;
    Ok(watch.per_second(all(reading).await?.into_iter().sum()))
}
