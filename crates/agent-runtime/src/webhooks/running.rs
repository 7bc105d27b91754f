//! Webhooks at work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use runtime_agents::http::WebPoster;
use runtime_events::catalogue::WebhookState;
use runtime_traits::bus::{Bus, BusError, Interest, Topic};
use runtime_traits::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use runtime_traits::{Cause, Runtime, Tenant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::Answer;
use super::ledger::Ledger;
use super::{Webhook, WebhookError, intake, pump, queue_topic, state_topic, subscription};
use crate::RuntimeManager;

/// How long what became of the last deliveries may take to be written down.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Webhooks at work. Dropped, they stop at once: what is not delivered is delivered when they are started again.
#[derive(Debug)]
#[must_use = "webhooks stop when this is dropped"]
pub struct Webhooks {
    all: Vec<Arc<Shared>>,
    /// What ends when it has nothing under way.
    pumps: JoinSet<()>,
    /// What may be broken off at any time.
    intakes: JoinSet<()>,
    ending: watch::Sender<bool>,
}

/// Webhooks that are about to be started.
#[derive(Debug)]
pub struct WebhooksBuilder {
    bus: Arc<dyn Bus>,
    runtime: Arc<dyn Runtime>,
    tenant: Tenant,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    webhooks: Vec<Webhook>,
}

/// What the tasks of a webhook share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) webhook: Webhook,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) tenant: Tenant,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) ledger: Arc<Ledger>,
    poster: WebPoster,
}

impl Webhooks {
    /// Webhooks of a runtime, for the tenant that this handle acts for.
    pub fn of(runtime: &RuntimeManager) -> WebhooksBuilder {
        let tenant = runtime.tenant().clone();
        WebhooksBuilder { tenant, ..Self::over(runtime.contract_bus(), runtime.shared()) }
    }

    /// Webhooks over a bus, which tells how the runs of a runtime end, for the tenant `default`.
    pub fn over(bus: Arc<dyn Bus>, runtime: Arc<dyn Runtime>) -> WebhooksBuilder {
        WebhooksBuilder {
            bus,
            runtime,
            tenant: Tenant::default(),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy::default()),
            webhooks: Vec::new(),
        }
    }

    /// How it stands with each of them.
    pub fn states(&self) -> Vec<WebhookState> {
        self.all.iter().map(|shared| shared.ledger.known()).collect()
    }

    /// Sends nothing more, gives what is under way this long to end, and stops. What is not delivered then is delivered when they
    /// are started again.
    pub async fn end(mut self, within: Duration) {
        self.intakes.shutdown().await;
        self.ending.send_replace(true);
        let ended = async { while self.pumps.join_next().await.is_some() {} };
        let _ = timeout(within.saturating_add(WRITTEN_WITHIN), ended).await;
        self.pumps.shutdown().await;
    }
}

impl WebhooksBuilder {
    /// Adds one.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhooks.push(webhook);
        self
    }

    /// Adds several.
    #[must_use]
    pub fn all(mut self, webhooks: impl IntoIterator<Item = Webhook>) -> Self {
        self.webhooks.extend(webhooks);
        self
    }

    /// Reads this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws from this entropy.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Starts them: with what was not delivered before, and with what ends from now on.
    ///
    /// # Errors
    /// [`WebhookError`]: none of them is started.
    pub async fn start(self) -> Result<Webhooks, WebhookError> {
        let mut names = BTreeSet::new();
        let mut all = Vec::with_capacity(self.webhooks.len());
        for webhook in &self.webhooks {
            if !names.insert(webhook.name.folded()) {
                return Err(WebhookError::Twin { name: webhook.name.to_string() });
            }
            all.push(Arc::new(self.shared(webhook).await?));
        }
        let (ending, ended) = watch::channel(false);
        let (mut pumps, mut intakes) = (JoinSet::new(), JoinSet::new());
        for shared in &all {
            for end in shared.webhook.ends.clone() {
                // Its place is marked before this returns: what ends from then on is told.
                let reader = match intake::open(shared, end).await {
                    Err(error) if error.is_transient() => None,
                    opened => Some(opened?),
                };
                intakes.spawn(intake::take_in(Arc::clone(shared), end, reader));
            }
            let tests = pump::tests(shared).await?;
            pumps.spawn(pump::deliver(Arc::clone(shared), tests, ended.clone()));
        }
        Ok(Webhooks { all, pumps, intakes, ending })
    }

    async fn shared(&self, webhook: &Webhook) -> Result<Shared, WebhookError> {
        let poster = webhook.poster()?;
        if webhook.secrets.is_empty() {
            return Err(WebhookError::Unsigned { webhook: webhook.name.to_string() });
        }
        let ends = webhook.ends.iter().map(|end| format!("agents/any/{end}"));
        let ends = ends.map(|topic| topic.parse::<Topic>().expect("it is a topic"));
        let letters = Topic::dead_letters(subscription(&webhook.name).as_str()).expect("a name is a segment");
        let own = [queue_topic(&webhook.name), state_topic(&webhook.name), letters];
        for topic in own.into_iter().chain(ends) {
            if self.bus.interest(&self.tenant, &topic) != Interest::Kept {
                return Err(WebhookError::NotKept { webhook: webhook.name.to_string(), topic });
            }
        }
        let ledger = Ledger::open(&*self.bus, &self.tenant, webhook).await?;
        Ok(Shared {
            webhook: webhook.clone(),
            bus: Arc::clone(&self.bus),
            runtime: Arc::clone(&self.runtime),
            tenant: self.tenant.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            ledger: Arc::new(ledger),
            poster,
        })
    }
}

impl Shared {
    /// Sends a delivery: signed with every secret, at this moment.
    pub(super) async fn post(&self, id: &str, body: String) -> Answer {
        let seconds = self.clock.now().0 / 1_000;
        let signatures: Vec<String> =
            self.webhook.secrets.iter().map(|secret| secret.sign(id, seconds, &body)).collect();
        let (timestamp, signatures) = (seconds.to_string(), signatures.join(" "));
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signatures),
        ];
        let posted = self.poster.post(&self.webhook.url, &headers, body, self.webhook.within).await;
        Answer::of(posted, self.clock.now())
    }

    /// A number of which every value is as likely.
    pub(super) fn chance(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// So many ends are told to nobody.
    pub(super) fn lost(&self, count: u64) {
        self.ledger.note(|state| state.lost = state.lost.saturating_add(count));
    }

    /// What is said of a task that panicked.
    pub(super) fn broke_off(&self) -> BusError {
        BusError::Unavailable { cause: Cause::says(format!("`{}` broke off", self.webhook.name)) }
    }
}
