//! What both tools do: read their arguments, ask in time, answer with text.

use std::time::Duration;

use reqwest::StatusCode;
use runtime_traits::Cause;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use crate::http::body::text;
use crate::http::client::{Question, WebClient};
use crate::http::error::WebError;

/// How much of an answer is read, unless somebody says otherwise.
pub(crate) const MOST: usize = 256 * 1024;
/// How long a whole answer may take, unless somebody says otherwise.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);
/// How much longer the engine waits, so that the tool's own words are heard.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn arguments<T: DeserializeOwned>(arguments: &str) -> Result<T, WebError> {
    serde_json::from_str(arguments).map_err(|error| WebError::Arguments { cause: Cause::of(&error) })
}

/// The host and the port that are asked.
pub(crate) fn place(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// What was answered, by a status of success.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

/// Asks, and reads the answer.
pub(crate) async fn ask(
    client: &WebClient,
    url: &str,
    question: &Question,
    most: usize,
    within: Duration,
) -> Result<Answer, WebError> {
    let asked = async {
        let response = client.ask(url, question).await?;
        Ok(Answer { status: response.status(), text: text(response, most).await? })
    };
    timeout(within, asked).await.map_err(|_| WebError::TimedOut { within })?
}
