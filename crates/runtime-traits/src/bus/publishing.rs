//! An event on its way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{BusError, Published};

/// What becomes of an event that is being published: known at once, or waited for.
///
/// Most events need no waiting, and then no future is put into a box.
#[must_use = "an event that has to wait is not published until this is awaited"]
pub enum Publishing<'a> {
    /// It is known, until it is told.
    Known(Option<Result<Published, BusError>>),
    /// It is waited for.
    Awaited(Pin<Box<dyn Future<Output = Result<Published, BusError>> + Send + 'a>>),
}

impl<'a> Publishing<'a> {
    /// Tells what became of it.
    pub fn known(result: Result<Published, BusError>) -> Self {
        Self::Known(Some(result))
    }

    /// Waits for what comes of `future`.
    pub fn when(future: impl Future<Output = Result<Published, BusError>> + Send + 'a) -> Self {
        Self::Awaited(Box::pin(future))
    }
}

impl Future for Publishing<'_> {
    type Output = Result<Published, BusError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Known(told) => {
                Poll::Ready(told.take().expect("a future is not polled again when it is done"))
            }
            Self::Awaited(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(told) => f.debug_tuple("Known").field(told).finish(),
            Self::Awaited(_) => f.write_str("Awaited"),
        }
    }
}
