//! Calling a handler so that nothing of it gets away.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use runtime_traits::bus::{Event, Failure};
use runtime_traits::error::Cause;

/// What a handler comes to: nothing, or a result whose error is told.
pub trait Handled {
    /// Why it failed, if it did.
    ///
    /// # Errors
    /// With what the handler's error and its sources say.
    fn handled(self) -> Result<(), Cause>;
}

impl Handled for () {
    fn handled(self) -> Result<(), Cause> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Handled for Result<(), E> {
    fn handled(self) -> Result<(), Cause> {
        self.map_err(|error| Cause::of(&*error.into()))
    }
}

/// Calls `handler`, and says why it failed if it did, a panic included.
pub(crate) async fn call<F>(
    handler: &mut (impl FnMut(Arc<Event>) -> F + Send),
    event: Arc<Event>,
) -> Result<(), Failure>
where
    F: Future<Output: Handled> + Send,
{
    // A handler that panicked is called again with the next event; what it shares is its own affair.
    let called = catch_unwind(AssertUnwindSafe(|| handler(event)));
    let ended = match called {
        Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
        Err(panic) => Err(panic),
    };
    match ended {
        Ok(handled) => handled.handled().map_err(|cause| Failure { cause, panicked: false }),
        Err(panic) => Err(Failure { cause: Cause::says(said(&*panic)), panicked: true }),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("it did not say why"))
}
