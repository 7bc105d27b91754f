//! Keeps the library from logging: it logs what providers say, unread, and that may hold what nobody should see.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tracing::Dispatch;
use tracing::dispatcher::with_default;

/// Does `work` with nobody listening to what it logs.
pub(crate) fn quiet<T>(work: impl FnOnce() -> T) -> T {
    with_default(&Dispatch::none(), work)
}

/// Awaits with nobody listening to what is logged.
pub(crate) async fn quietly<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| quiet(|| future.as_mut().poll(context))).await
}
