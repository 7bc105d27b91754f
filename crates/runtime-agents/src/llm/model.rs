//! The model: asks, and holds the deadlines.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use genai::chat::{ChatStreamEvent, StreamEnd};
use genai::{Client, Error, ServiceTarget};
use runtime_traits::model::Phase;
use runtime_traits::{Deltas, Model, ModelError, ModelReply, ModelRequest};
use tokio::time::sleep;

use crate::llm::builder::GenaiModelBuilder;
use crate::llm::failure::Teller;
use crate::llm::frames::Frames;
use crate::llm::key::Secret;
use crate::llm::provider::Provider;
use crate::llm::quiet::{quiet, quietly};
use crate::llm::reply::Coming;
use crate::llm::request;

/// A language model that is asked over HTTP.
///
/// It always streams, asks once, and never repeats a call by itself.
pub struct GenaiModel {
    name: String,
    provider: Provider,
    key: Option<Secret>,
    client: Client,
    target: ServiceTarget,
    first_byte: Duration,
    between_tokens: Duration,
}

/// How a wait for the next event ended.
enum Next {
    Event(Box<ChatStreamEvent>),
    Failed(Error),
    Over,
    TimedOut(Phase, Duration),
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

    pub(crate) fn new(
        name: String,
        provider: Provider,
        key: Option<Secret>,
        client: Client,
        target: ServiceTarget,
        [first_byte, between_tokens]: [Duration; 2],
    ) -> Self {
        Self { name, provider, key, client, target, first_byte, between_tokens }
    }

    /// The next event, if it comes in time. Whatever comes over the wire is progress, also if it is no event yet.
    async fn next<S>(&self, stream: &mut S, frames: &Frames) -> Next
    where
        S: Stream<Item = genai::Result<ChatStreamEvent>> + Unpin + ?Sized,
    {
        let deadline = |frames: &Frames| match frames.came() {
            0 => (Phase::FirstByte, self.first_byte),
            _ => (Phase::BetweenTokens, self.between_tokens),
        };
        let (mut came, mut limit) = (frames.came(), deadline(frames));
        let mut timer = Box::pin(sleep(limit.1));
        poll_fn(move |context| {
            let polled = quiet(|| Pin::new(&mut *stream).poll_next(context));
            if let Poll::Ready(item) = polled {
                return Poll::Ready(match item {
                    Some(Ok(event)) => Next::Event(Box::new(event)),
                    Some(Err(error)) => Next::Failed(error),
                    None => Next::Over,
                });
            }
            if frames.came() > came {
                (came, limit) = (frames.came(), deadline(frames));
                timer.set(sleep(limit.1));
            }
            timer.as_mut().poll(context).map(|()| Next::TimedOut(limit.0, limit.1))
        })
        .await
    }

    fn ended(
        &self,
        coming: Coming,
        end: &StreamEnd,
        frames: &Frames,
        teller: &Teller<'_>,
    ) -> Result<ModelReply, ModelError> {
        coming.end(self.provider, end).ok_or_else(|| over(frames, teller))
    }
}

#[async_trait]
impl Model for GenaiModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let teller = Teller { model: &self.name, key: self.key.as_ref() };
        let frames = Arc::new(Frames::default());
        let chat = request::chat(self.provider, request);
        let options = request::options(self.provider, request).with_raw_frame_sink_arc(frames.clone());
        let opened = quietly(self.client.exec_chat_stream(self.target.clone(), chat, Some(&options))).await;
        let mut stream = opened.map_err(|error| teller.failure(error, false))?.stream;
        let mut coming = Coming::default();
        loop {
            let event = match self.next(&mut stream, &frames).await {
                Next::Event(event) => *event,
                Next::Failed(_) if frames.are_blocked() => return Ok(coming.held_back()),
                Next::Failed(error) => return Err(teller.failure(error, coming.has_begun())),
                Next::Over => return Err(over(&frames, &teller)),
                Next::TimedOut(phase, after) => {
                    return Err(ModelError::TimedOut { model: self.name.clone(), phase, after });
                }
            };
            match event {
                ChatStreamEvent::Chunk(chunk) => {
                    coming.text(&chunk.content);
                    deltas.text(&chunk.content);
                }
                ChatStreamEvent::ToolCallChunk(chunk) => coming.call(chunk.tool_call),
                ChatStreamEvent::End(end) => return self.ended(coming, &end, &frames, &teller),
                ChatStreamEvent::Start
                | ChatStreamEvent::ReasoningChunk(_)
                | ChatStreamEvent::ThoughtSignatureChunk(_)
                | ChatStreamEvent::Heartbeat => {}
            }
        }
    }
}

/// A stream that is over without its finishing event.
fn over(frames: &Frames, teller: &Teller<'_>) -> ModelError {
    if frames.are_no_reply() {
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
