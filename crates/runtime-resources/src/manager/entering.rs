//! A run that asks to be worked.

use std::pin::Pin;
use std::task::{Context, Poll};

use runtime_traits::id::RunId;
use runtime_traits::resource::{Inside, Limit, Refused, Whose};

use super::ResourceManager;
use crate::permits::Acquire;

/// Asks that a run be worked, and shows its place while it waits.
pub(super) struct Entering {
    pub(super) manager: ResourceManager,
    pub(super) run: RunId,
    pub(super) acquire: Acquire,
}

impl Future for Entering {
    type Output = Result<Inside, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.acquire).poll(cx);
        let mut books = this.manager.books();
        match polled {
            Poll::Ready(permit) => {
                books.entered(&this.run);
                drop(books);
                Poll::Ready(match permit {
                    Ok(permit) => Ok(Box::new(permit)),
                    Err(_) => {
                        Err(Refused::Crowded { limit: Limit::MaxConcurrentRequests, whose: Whose::Agent })
                    }
                })
            }
            Poll::Pending => {
                books.is_entering(this.run, this.acquire.place());
                Poll::Pending
            }
        }
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.manager.books().entered(&self.run);
    }
}
