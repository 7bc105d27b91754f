//! Callers that ask, each the next thing when it has the answer to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::FiguresError;
use super::watch::Stopwatch;

/// Somebody who asks for one thing after the other.
pub(crate) trait Caller: Send + 'static {
    /// Asks once and waits for the answer.
    fn call(&mut self) -> impl Future<Output = Result<(), FiguresError>> + Send;
}

/// How many calls per second `callers` get done, each a task, in `turn`. What is under way then is waited for and counts.
pub(crate) async fn per_second<C: Caller>(
    callers: impl IntoIterator<Item = C>,
    turn: Duration,
) -> Result<f64, FiguresError> {
    let over = Arc::new(AtomicBool::new(false));
    let watch = Stopwatch::start();
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let over = Arc::clone(&over);
        tasks.spawn(async move {
            let mut calls = 0_u64;
            while !over.load(Ordering::Relaxed) {
                caller.call().await?;
                calls += 1;
            }
            Ok::<_, FiguresError>(calls)
        });
    }
    tokio::time::sleep(turn).await;
    over.store(true, Ordering::Relaxed);
    let calls = all(tasks).await?.into_iter().sum();
    Ok(watch.per_second(calls))
}

/// Lets each of `callers` ask `times` times.
pub(crate) async fn each<C: Caller>(
    callers: impl IntoIterator<Item = C>,
    times: u64,
) -> Result<(), FiguresError> {
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        tasks.spawn(async move {
            for _ in 0..times {
                caller.call().await?;
            }
            Ok(())
        });
    }
    all(tasks).await.map(drop)
}

/// What all tasks came to, once the last of them has ended.
pub(crate) async fn all<T: 'static>(
    mut tasks: JoinSet<Result<T, FiguresError>>,
) -> Result<Vec<T>, FiguresError> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        results.push(ended.map_err(|error| FiguresError::Unexpected(error.to_string()))??);
    }
    Ok(results)
}
