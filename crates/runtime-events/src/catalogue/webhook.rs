//! Webhooks.

use super::announced;

announced! { "system/webhooks";
    /// How it stands with a webhook. The last one holds.
    WebhookState "state" of webhook {
        /// The webhook's name.
        webhook: String,
        /// The host that is told.
        host: String,
        /// Tells one address from another, without telling it.
        mark: String,
        /// When a delivery was last taken, in milliseconds since 1970.
        taken_at: Option<u64>,
        /// When one last failed.
        failed_at: Option<u64>,
        /// Why.
        cause: Option<String>,
        /// How many failed since one was taken.
        failures: u32,
        /// How many deliveries wait, those under way with them.
        waiting: u64,
        /// Until when the endpoint is left alone, because it failed several times in a row.
        rests_until: Option<u64>,
        /// Since when nothing is sent any more, because the endpoint is gone.
        disabled_at: Option<u64>,
        /// How many runs could not be told of, because what was told of them was not kept long enough or is too large.
        lost: u64,
        /// The last test.
        test: Option<String>,
        /// What became of it: nothing but words if it failed.
        test_failed: Option<String>,
    }
}
