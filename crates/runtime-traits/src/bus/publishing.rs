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
    /// It is known.
    Known(Result<Published, BusError>),
    /// It is waited for.
    Awaited(Pin<Box<dyn Future<Output = Result<Published, BusError>> + Send + 'a>>),
    /// It was told.
    Told,
}

impl<'a> Publishing<'a> {
    /// Waits for what comes of `future`.
    pub fn when(future: impl Future<Output = Result<Published, BusError>> + Send + 'a) -> Self {
        Self::Awaited(Box::pin(future))
    }
}

impl Future for Publishing<'_> {
    type Output = Result<Published, BusError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = match &mut *self {
            Self::Awaited(future) => std::task::ready!(future.as_mut().poll(cx)),
            known => match std::mem::replace(known, Self::Told) {
                Self::Known(told) => return Poll::Ready(told),
                _ => panic!("what became of an event is told once"),
            },
        };
        *self = Self::Told;
        Poll::Ready(told)
    }
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(told) => f.debug_tuple("Known").field(told).finish(),
            Self::Awaited(_) => f.write_str("Awaited"),
            Self::Told => f.write_str("Told"),
        }
    }
}
