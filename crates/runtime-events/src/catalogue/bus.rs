//! The bus itself.

use super::announced;

announced! { "system";
    /// A handler failed.
    HandlerFailed "handler.failed" {
        /// Who subscribed.
        owner: String,
        /// The pattern, or the name of the durable subscription.
        subscription: String,
        /// The topic of the event.
        topic: String,
        /// The event.
        event: String,
        /// Its place.
        position: u64,
        /// Counts its deliveries.
        attempt: u32,
        /// What the handler said.
        cause: String,
        /// Whether it panicked.
        panicked: bool,
        /// Whether the event is a dead letter now.
        dead: bool,
    }
    /// A handler was too slow, and lost events.
    HandlerLost "handler.lost" {
        /// Who subscribed.
        owner: String,
        /// The pattern, or the name of the durable subscription.
        subscription: String,
        /// The first place that was lost.
        from: u64,
        /// The last place that was lost.
        to: u64,
    }
}
