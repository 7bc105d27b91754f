//! Why webhooks cannot be.

use runtime_agents::http::WebError;
use runtime_traits::NameError;
use runtime_traits::bus::{BusError, Topic};
use thiserror::Error;

use super::SecretError;

/// Why a webhook, or all of them, cannot be.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// Its name is none.
    #[error(
        "`{given}` names no webhook: use 1 to 56 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
    )]
    Name {
        /// What was given, cut.
        given: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// Two have one name.
    #[error("two webhooks are called `{name}`: choose another name for one of them")]
    Twin {
        /// The name.
        name: String,
    },
    /// Its address may not be asked.
    #[error("the webhook `{webhook}` cannot be sent there: {source}; {remedy}")]
    Address {
        /// The webhook.
        webhook: String,
        /// Why not.
        #[source]
        source: Box<WebError>,
        /// What to do about it.
        remedy: &'static str,
    },
    /// What it tells would go through the public net for everybody to read.
    #[error(
        "the webhook `{webhook}` would be sent unencrypted: write `https`, or allow private addresses for a host of your own"
    )]
    Unencrypted {
        /// The webhook.
        webhook: String,
    },
    /// It has no secret.
    #[error("the webhook `{webhook}` has no secret to sign with: give it one")]
    Unsigned {
        /// The webhook.
        webhook: String,
    },
    /// A secret of it is none.
    #[error("the webhook `{webhook}`: {source}")]
    Secret {
        /// The webhook.
        webhook: String,
        /// What is wrong with it.
        #[source]
        source: SecretError,
    },
    /// What it needs of the bus is not kept.
    #[error(
        "the bus does not keep `{topic}`, which the webhook `{webhook}` needs: keep it there, by `topic_rules` or by a rule before those that do not"
    )]
    NotKept {
        /// The webhook.
        webhook: String,
        /// The topic.
        topic: Topic,
    },
    /// HTTPS cannot be spoken.
    #[error(transparent)]
    Web(Box<WebError>),
    /// The bus refuses.
    #[error(transparent)]
    Bus(#[from] BusError),
}
