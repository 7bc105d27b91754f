//! One question and its answer: the library's stream, the relay below it, and the deadlines.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::{BoxFuture, FutureExt as _};
use genai::chat::{ChatOptions, ChatRequest, ChatStream, ChatStreamEvent};
use genai::{Client, Error, ServiceTarget};
use reqwest::redirect::Policy;
use runtime_traits::model::Phase;
use runtime_traits::{Cause, ModelError};
use tokio::time::{Sleep, sleep};

use crate::llm::builder::Waits;
use crate::llm::failure::Teller;
use crate::llm::frames::Frames;
use crate::llm::quiet::{quiet, quietly};
use crate::llm::relay::{Relay, Route};
use crate::tls;

/// One question and its answer. Dropped, it is given up.
pub(crate) struct Exchange {
    stream: ChatStream,
    /// Until it has nothing more to do.
    relay: Option<BoxFuture<'static, ()>>,
    frames: Arc<Frames>,
    waits: Waits,
    whole: Pin<Box<Sleep>>,
}

/// How a wait for the next event ended.
pub(crate) enum Next {
    Event(Box<ChatStreamEvent>),
    Failed(Error),
    Over,
    TimedOut(Phase, Duration),
    /// The whole took too long.
    TooLate(Duration),
}

impl Exchange {
    /// Asks. What fails here has not reached the provider.
    pub(crate) async fn open(
        target: ServiceTarget,
        chat: ChatRequest,
        options: ChatOptions,
        route: Route,
        waits: Waits,
        teller: &Teller<'_>,
    ) -> Result<Self, ModelError> {
        let relay = Relay::open().map_err(|error| teller.unsent(&error))?;
        let client = library(relay.name()).map_err(|cause| teller.unsent(&cause))?;
        let frames = Arc::new(Frames::default());
        let options = options.with_raw_frame_sink_arc(frames.clone());
        let opened = quietly(client.exec_chat_stream(target, chat, Some(&options))).await;
        let stream = opened.map_err(|error| teller.failure(error, false))?.stream;
        // How it ended is seen by the library, or told by the route.
        let relay = async move { drop(relay.serve(route).await) };
        let whole = Box::pin(sleep(waits.whole_reply));
        Ok(Self { stream, relay: Some(relay.boxed()), frames, waits, whole })
    }

    /// What came so far.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The next event, if it comes in time. What is an event of the wire is progress, also if it is
    /// none of the library yet; a comment is not.
    pub(crate) async fn next(&mut self) -> Next {
        let (mut said, mut limit) = (self.frames.said(), self.limit());
        let mut timer = Box::pin(sleep(limit.1));
        poll_fn(move |context| {
            if let Poll::Ready(item) = quiet(|| self.poll(context)) {
                return Poll::Ready(match item {
                    Some(Ok(event)) => Next::Event(Box::new(event)),
                    Some(Err(error)) => Next::Failed(error),
                    None => Next::Over,
                });
            }
            if self.frames.said() > said {
                (said, limit) = (self.frames.said(), self.limit());
                timer.set(sleep(limit.1));
            }
            if self.whole.as_mut().poll(context).is_ready() {
                return Poll::Ready(Next::TooLate(self.waits.whole_reply));
            }
            timer.as_mut().poll(context).map(|()| Next::TimedOut(limit.0, limit.1))
        })
        .await
    }

    fn limit(&self) -> (Phase, Duration) {
        match self.frames.said() {
            0 => (Phase::FirstByte, self.waits.first_byte),
            _ => (Phase::BetweenTokens, self.waits.between_tokens),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<genai::Result<ChatStreamEvent>>> {
        if let Some(relay) = &mut self.relay
            && relay.as_mut().poll(context).is_ready()
        {
            self.relay = None;
        }
        Pin::new(&mut self.stream).poll_next(context)
    }
}

/// The library, with a client that connects to this socket and nowhere else.
fn library(socket: &str) -> Result<Client, Cause> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::none()?)
        .unix_socket(socket)
        .redirect(Policy::none())
        .build()
        .map_err(|error| Cause::of(&error))?;
    quiet(|| Client::builder().with_reqwest(client).build()).map_err(|error| Cause::of(&error))
}
