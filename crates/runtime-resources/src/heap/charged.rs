//! Work in somebody's name.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Heap;
use super::account::{Account, work_for};

/// As long as it lives, its thread works in the name of a heap; then in whose it did before.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    before: u32,
    // It ends in the thread in which it began, before the heap does.
    here: PhantomData<(&'a Account, *const ())>,
}

pin_project! {
    /// A future that is polled in the name of a heap, and dropped in it: what it asks for then is charged, too.
    pub struct Charged<F> {
        heap: Heap,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Charged<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = Entered::new(&this.heap.account);
            this.future.set(None);
        }
    }
}

impl<'a> Entered<'a> {
    pub(super) fn new(account: &'a Account) -> Self {
        Self { before: work_for(account.number()), here: PhantomData }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        work_for(self.before);
    }
}

impl<F> Charged<F> {
    pub(super) fn new(heap: Heap, future: F) -> Self {
        Self { heap, future: Some(future) }
    }

    /// The heap that is charged.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }
}

impl<F: Future> Future for Charged<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::new(&this.heap.account);
        let future = this.future.as_pin_mut().expect("it is there until this is dropped");
        future.poll(cx)
    }
}

impl<F> fmt::Debug for Charged<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged").field("heap", &self.heap).finish_non_exhaustive()
    }
}
