//! Webhooks: whoever wants to know how runs end is told over HTTP, signed as
//! [Standard Webhooks](https://www.standardwebhooks.com) are.
//!
//! The end of a run reaches the bus once, from the outbox of its batch. A webhook is a durable subscription to that: each delivery
//! is an event of its own in a topic that is kept, `system/webhooks/NAME/queue`, so that none waits for another, and a crash
//! loses none. What fails is queued again with its moment, and what failed too often is a dead letter of the subscription
//! `webhook.NAME`, which [`Bus::requeue`](runtime_traits::bus::Bus::requeue) sends once more.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use agent_runtime::webhooks::{Webhook, WebhookSecret, Webhooks};
//! use agent_runtime::{MemoryStore, RuntimeManager};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let billing = Webhook::new("billing", "https://billing.example.com/runs")?
//!     .secret(WebhookSecret::read("env:BILLING_SECRET")?);
//! let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).keep_for_webhooks([&billing])?;
//! let runtime: RuntimeManager = builder.open().await?.into();
//! let webhooks = Webhooks::of(&runtime).webhook(billing).start().await?;
//! // …
//! runtime.shutdown(std::time::Duration::from_secs(10)).await?;
//! webhooks.end(std::time::Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod error;
mod gate;
mod intake;
mod job;
mod ledger;
mod pump;
mod recent;
mod redelivery;
mod run_end;
mod running;
mod secret;
mod sending;
mod topics;
mod webhook;

pub use error::WebhookError;
pub use redelivery::Redelivery;
pub use run_end::RunEnd;
pub use running::{Webhooks, WebhooksBuilder};
pub use runtime_agents::http::Lookup;
pub use runtime_events::catalogue::WebhookState;
pub use secret::{SecretError, WebhookSecret};
pub use topics::{queue_topic, state_topic, subscription, test_topic, topic_rules};
pub use webhook::Webhook;
