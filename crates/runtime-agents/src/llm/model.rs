//! The model: asks, and holds the deadlines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use genai::chat::ChatStreamEvent;
use genai::{Error, ServiceTarget};
use reqwest::{Client, Url};
use runtime_traits::{Deltas, Model, ModelError, ModelReply, ModelRequest};

use crate::llm::bounds::{Bounds, pieces};
use crate::llm::builder::{GenaiModelBuilder, Waits};
use crate::llm::exchange::{Exchange, Next};
use crate::llm::failure::Teller;
use crate::llm::key::Secret;
use crate::llm::provider::Provider;
use crate::llm::relay::{Broken, Route};
use crate::llm::reply::Coming;
use crate::llm::request;

/// So much longer than its own deadlines may it be quiet before somebody else gives it up.
const WIDER: Duration = Duration::from_secs(30);

/// A language model that is asked over HTTP.
///
/// It always streams, asks once, and never repeats a call by itself. What it takes of a reply has a bound, which follows
/// from the most tokens of the request.
pub struct GenaiModel {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) key: Option<Secret>,
    /// Where the key is.
    pub(crate) credential: Option<String>,
    pub(crate) client: Client,
    /// Where the provider is.
    pub(crate) url: Url,
    /// What the library asks, and where.
    pub(crate) target: ServiceTarget,
    pub(crate) waits: Waits,
}

impl GenaiModel {
    /// A model by provider and name, as in `openai/gpt-4o`; [`Provider`] lists the providers.
    pub fn named(name: impl Into<String>) -> GenaiModelBuilder {
        GenaiModelBuilder::new(name.into())
    }

    /// Who serves it.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    fn route(&self, bounds: Bounds) -> Route {
        Route {
            client: self.client.clone(),
            url: self.url.clone(),
            bounds,
            numbered: self.provider.speaks_openai(),
            broken: Arc::new(Broken::default()),
        }
    }
}

#[async_trait]
impl Model for GenaiModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    /// Nothing of it is quiet for longer: its own deadlines end it first.
    fn silence(&self) -> Option<Duration> {
        Some(self.waits.first_byte.max(self.waits.between_tokens) + WIDER)
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let teller = Teller { model: &self.name, key: self.key.as_ref() };
        let bounds = Bounds::of(request.max_tokens);
        let chat = request::chat(self.provider, request);
        let options = request::options(self.provider, request);
        let route = self.route(bounds);
        let broken = Arc::clone(&route.broken);
        let opened = Exchange::open(self.target.clone(), chat, options, route, self.waits, &teller);
        let mut exchange = opened.await?;
        let mut coming = Coming::default();
        loop {
            let event = match exchange.next().await {
                Next::Event(event) => *event,
                Next::Failed(_) if exchange.frames().are_blocked() => return Ok(coming.held_back()),
                Next::Failed(error) => {
                    let why = broken.why().filter(|_| matches!(error, Error::WebStream { .. }));
                    return Err(match why {
                        Some(why) => teller.broken(why),
                        None => teller.failure(error, coming.has_begun()),
                    });
                }
                Next::Over => return Err(over(&exchange, &broken, &teller)),
                Next::TimedOut(phase, after) => {
                    return Err(ModelError::TimedOut { model: self.name.clone(), phase, after });
                }
                Next::TooLate(after) => {
                    return Err(teller.cut(&format!("it was not whole after {} s", after.as_secs_f64())));
                }
            };
            match event {
                ChatStreamEvent::Chunk(chunk) => {
                    coming.text(&chunk.content);
                    pieces(&chunk.content).for_each(|piece| deltas.text(piece));
                }
                ChatStreamEvent::ToolCallChunk(chunk) => {
                    coming.call(chunk.tool_call);
                    deltas.progress();
                }
                ChatStreamEvent::ReasoningChunk(chunk) | ChatStreamEvent::ThoughtSignatureChunk(chunk) => {
                    coming.thought(&chunk.content);
                    deltas.progress();
                }
                ChatStreamEvent::End(end) => {
                    let reply = coming.end(self.provider, &end);
                    return reply.ok_or_else(|| over(&exchange, &broken, &teller));
                }
                ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            }
            if let Some(too_much) = coming.too_much(bounds) {
                return Err(teller.cut(&too_much.to_string()));
            }
        }
    }
}

/// A stream that is over without its finishing event.
fn over(exchange: &Exchange, broken: &Broken, teller: &Teller<'_>) -> ModelError {
    if let Some(why) = broken.why() {
        teller.broken(why)
    } else if exchange.frames().are_no_reply() {
        teller.no_reply("no event of a stream")
    } else {
        teller.cut("it ended before the event that finishes it")
    }
}

impl fmt::Debug for GenaiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenaiModel({})", self.name)
    }
}
