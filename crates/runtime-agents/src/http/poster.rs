//! Posting for a program, within the same rules as the tools.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response};
use runtime_traits::Cause;
use tokio::time::timeout;

use crate::http::client::{Question, WebClient};
use crate::http::error::WebError;
use crate::http::rules::WebRules;

/// How much of a refusal is told.
const SAID: usize = 200;

/// Posts to addresses that the rules allow. It follows no redirect.
#[derive(Clone, Debug)]
pub struct WebPoster(WebClient);

/// The answer to a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// `Retry-After`, as it was said: seconds, or a date.
    pub retry_after: Option<String>,
    /// The begin of what was said, if the status is none of success.
    pub said: String,
}

impl WebPoster {
    /// One that keeps to the rules.
    ///
    /// # Errors
    /// [`WebError::Tls`].
    pub fn new(rules: WebRules) -> Result<Self, WebError> {
        WebClient::new(rules).map(Self)
    }

    /// Posts `body` once. The whole of it, the answer included, takes at most `within`.
    ///
    /// # Errors
    /// [`WebError`]: the rules do not allow it, nobody answers, or not in time. A status is no error.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
        within: Duration,
    ) -> Result<Posted, WebError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let malformed = |cause| WebError::Malformed { url: format!("header {name}"), cause };
            let header = HeaderName::try_from(*name).map_err(|error| malformed(Cause::of(&error)))?;
            let value = HeaderValue::try_from(*value).map_err(|error| malformed(Cause::of(&error)))?;
            map.insert(header, value);
        }
        let question = Question { method: Method::POST, headers: map, body: Some(body) };
        let asked = async { Ok(answer(self.0.ask_once(url, &question).await?).await) };
        timeout(within, asked).await.map_err(|_| WebError::TimedOut { within })?
    }
}

async fn answer(mut response: Response) -> Posted {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let mut bytes = Vec::new();
    // Of what is taken nobody reads what was said. A refusal is one also if the rest of it does not come.
    while !status.is_success()
        && bytes.len() < SAID
        && let Ok(Some(piece)) = response.chunk().await
    {
        bytes.extend_from_slice(&piece[..piece.len().min(SAID - bytes.len())]);
    }
    let said = String::from_utf8_lossy(&bytes);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Posted { status: status.as_u16(), retry_after, said }
}
