//! What a fleet file says of webhooks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::bus::Bus;
use runtime_traits::{Name, Runtime};

use super::Fleet;
use crate::kinds::placed_key;
use crate::webhooks::{Redelivery, RunEnd, Webhook, WebhookError, WebhookSecret, Webhooks};

/// A webhook of a fleet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetWebhook {
    /// Its name.
    pub name: Name,
    /// Where it is sent.
    pub url: String,
    /// Where its secrets are: `env:NAME` or `file:PATH`.
    pub secrets: Vec<String>,
    /// Of which ends it tells; `None`: of those that are told unless somebody says otherwise.
    pub ends: Option<BTreeSet<RunEnd>>,
    /// Of whose runs; nobody: of all.
    pub agents: Vec<Name>,
    /// Whether it may be sent to private addresses, and unencrypted.
    pub allow_private: bool,
    /// How often a delivery is tried.
    pub attempts: Option<u32>,
    /// The longest pause after the first failure.
    pub first_pause: Option<Duration>,
    /// After how long a delivery is given up.
    pub give_up_after: Option<Duration>,
    /// How long a delivery may take.
    pub timeout: Option<Duration>,
    /// How many deliveries are under way at once.
    pub at_once: Option<usize>,
}

impl FleetWebhook {
    /// Takes the secrets in files from `folder`.
    pub(super) fn place(&mut self, folder: &Path) {
        for secret in &mut self.secrets {
            *secret = placed_key(folder, secret);
        }
    }

    /// It, without its secrets: all but them is checked.
    ///
    /// # Errors
    /// [`WebhookError`], which says what is wrong with its name or its address.
    pub(super) fn unsigned(&self) -> Result<Webhook, WebhookError> {
        let default = Redelivery::default();
        let redelivery = Redelivery {
            attempts: self.attempts.unwrap_or(default.attempts),
            first: self.first_pause.unwrap_or(default.first),
            give_up_after: self.give_up_after.unwrap_or(default.give_up_after),
            ..default
        };
        let mut webhook = Webhook::new(self.name.as_str(), self.url.clone())?.redelivery(redelivery);
        if self.allow_private {
            webhook = webhook.allow_private();
        }
        if let Some(ends) = &self.ends {
            webhook = webhook.on(ends.iter().copied());
        }
        if let Some(timeout) = self.timeout {
            webhook = webhook.within(timeout);
        }
        if let Some(count) = self.at_once {
            webhook = webhook.at_once(count);
        }
        webhook = self.agents.iter().fold(webhook, Webhook::agent);
        webhook.check_address().map(|()| webhook)
    }

    /// It, with its secrets, which are read now.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn webhook(&self) -> Result<Webhook, WebhookError> {
        let mut webhook = self.unsigned()?;
        for reference in &self.secrets {
            let secret = WebhookSecret::read(reference);
            let secret =
                secret.map_err(|source| WebhookError::Secret { webhook: self.name.to_string(), source })?;
            webhook = webhook.secret(secret);
        }
        Ok(webhook)
    }
}

impl Fleet {
    /// Reads the secrets of the webhooks, and starts them.
    ///
    /// # Errors
    /// [`WebhookError`]: none of them is started.
    pub async fn start_webhooks(
        &self,
        bus: Arc<dyn Bus>,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Webhooks, WebhookError> {
        let webhooks: Result<Vec<_>, _> = self.webhooks.iter().map(FleetWebhook::webhook).collect();
        Webhooks::over(bus, runtime).all(webhooks?).start().await
    }
}
