//! The time that passes.

/// The time that passes, for leases: these run out whatever a clock shows.
#[expect(
    clippy::disallowed_methods,
    reason = "a lease is about the time that passes, also where a test stops the clock"
)]
pub(crate) fn steady_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
