//! A webhook, as it is declared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runtime_agents::http::{Lookup, WebError, WebPoster, WebRules};
use runtime_traits::{Digest, Name};
use url::Url;

use super::{Redelivery, RunEnd, WebhookError, WebhookSecret};

/// How long a name is at most: it has a prefix where it names a durable subscription.
const NAME: usize = 56;
/// How long a delivery may take.
const WITHIN: Duration = Duration::from_secs(15);
/// How many deliveries are under way at once.
const AT_ONCE: usize = 4;
/// What may be reached though it is private: never link-local addresses, nor others where clouds keep credentials, which a network
/// that is wider does not allow.
const PRIVATE: [&str; 6] =
    ["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7"];
const ALLOW: &str = "name a public host, or allow private addresses for one of your own";
const WRITE: &str = "write it as https://HOST/PATH";

/// Whom to tell how runs end, and how.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub(super) name: Name,
    pub(super) url: String,
    pub(super) secrets: Vec<WebhookSecret>,
    pub(super) ends: BTreeSet<RunEnd>,
    /// Nobody: all agents.
    agents: BTreeSet<String>,
    private: bool,
    pub(super) redelivery: Redelivery,
    pub(super) within: Duration,
    pub(super) at_once: usize,
    lookup: Option<Arc<dyn Lookup>>,
}

impl Webhook {
    /// The webhook `name`, which tells `url` when a run completed, failed or was cancelled.
    ///
    /// # Errors
    /// [`WebhookError::Name`]. What is wrong with the address is told when it is started.
    pub fn new(name: &str, url: impl Into<String>) -> Result<Self, WebhookError> {
        let refused = |source| WebhookError::Name { given: name.chars().take(64).collect(), source };
        // One that is too long is refused by the words of one that is none.
        let short = if name.len() > NAME { "" } else { name };
        Ok(Self {
            name: Name::new(short).map_err(refused)?,
            url: url.into(),
            secrets: Vec::new(),
            ends: BTreeSet::from([RunEnd::Completed, RunEnd::Failed, RunEnd::Cancelled]),
            agents: BTreeSet::new(),
            private: false,
            redelivery: Redelivery::default(),
            within: WITHIN,
            at_once: AT_ONCE,
            lookup: None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Signs with this secret too. While receivers change from one to another, there are two.
    #[must_use]
    pub fn secret(mut self, secret: WebhookSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Tells of these ends only.
    #[must_use]
    pub fn on(mut self, ends: impl IntoIterator<Item = RunEnd>) -> Self {
        self.ends = ends.into_iter().collect();
        self
    }

    /// Tells of the runs of this agent; of all, if none is named.
    #[must_use]
    pub fn agent(mut self, agent: &Name) -> Self {
        self.agents.insert(agent.folded());
        self
    }

    /// Lets it be sent to private addresses, this machine among them, and without encryption. Link-local addresses, and others
    /// where clouds keep credentials, are refused all the same.
    #[must_use]
    pub fn allow_private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Sets how often and when a delivery is tried.
    #[must_use]
    pub fn redelivery(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = redelivery;
        self
    }

    /// Sets how long a delivery may take, with its answer: 15 s unless told otherwise.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sets how many deliveries are under way at once: 4 unless told otherwise, and at least one.
    #[must_use]
    pub fn at_once(mut self, count: usize) -> Self {
        self.at_once = count.max(1);
        self
    }

    /// Looks its host up by something else than the machine.
    #[must_use]
    pub fn lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.lookup = Some(lookup);
        self
    }

    /// Decides whether its address may be asked, by all of it but where its host is: that is checked at each connection.
    ///
    /// # Errors
    /// [`WebhookError::Address`] and [`WebhookError::Unencrypted`].
    pub fn check_address(&self) -> Result<(), WebhookError> {
        self.rules().map(drop)
    }

    /// Who posts for it.
    pub(super) fn poster(&self) -> Result<WebPoster, WebhookError> {
        WebPoster::new(self.rules()?).map_err(|error| WebhookError::Web(Box::new(error)))
    }

    /// Whether it tells of the runs of an agent.
    pub(super) fn is_about(&self, agent: &str) -> bool {
        self.agents.is_empty() || self.agents.contains(&agent.to_lowercase())
    }

    /// The host that it tells.
    pub(super) fn host(&self) -> String {
        let url = Url::parse(&self.url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Tells its address from another one, and does not tell it.
    pub(super) fn mark(&self) -> String {
        Digest::of(self.url.as_bytes()).0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn rules(&self) -> Result<WebRules, WebhookError> {
        let refused = |source: WebError| {
            let remedy = if matches!(source, WebError::Address { .. }) { ALLOW } else { WRITE };
            WebhookError::Address { webhook: self.name.to_string(), source: Box::new(source), remedy }
        };
        let mut rules = WebRules::default();
        if self.private {
            for network in PRIVATE {
                rules = rules.allow(network).map_err(refused)?;
            }
        }
        if let Some(lookup) = &self.lookup {
            rules = rules.lookup(Arc::clone(lookup));
        }
        let url = Url::parse(&self.url).ok();
        // Whoever declared the address chose its port.
        if let Some(port) = url.as_ref().and_then(Url::port) {
            rules = rules.port(port);
        }
        rules.permits(&self.url).map_err(refused)?;
        if !self.private && url.is_some_and(|url| url.scheme() != "https") {
            return Err(WebhookError::Unencrypted { webhook: self.name.to_string() });
        }
        Ok(rules)
    }
}
