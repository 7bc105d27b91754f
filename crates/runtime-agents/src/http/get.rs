//! Fetching.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::HeaderMap;
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, StepCall, Tool};
use serde::Deserialize;

use crate::http::ask::{GRACE, MOST, WITHIN, arguments, ask, place};
use crate::http::client::{Question, WebClient};
use crate::http::error::WebError;
use crate::http::rules::WebRules;
use crate::http::spec::spec;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"url": {"type": "string", "description": "The address, with `https://` or `http://`."}},
  "required": ["url"],
  "additionalProperties": false
}"#;

/// Fetches a text of the web.
#[derive(Clone, Debug)]
pub struct HttpGet {
    spec: ToolSpec,
    client: WebClient,
    most: usize,
    within: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    url: String,
}

impl HttpGet {
    /// The tool `http_get`, within the rules.
    ///
    /// # Errors
    /// [`WebError::Tls`].
    pub fn new(rules: WebRules) -> Result<Self, WebError> {
        let description = "Fetches a page or file of the web by its address and returns its text.";
        let client = WebClient::new(rules)?;
        Ok(Self { spec: spec("http_get", description, SCHEMA), client, most: MOST, within: WITHIN })
    }

    /// Reads at most this many bytes of an answer; 256 KiB if nothing is said.
    #[must_use]
    pub fn most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Waits at most this long for a whole answer; 30 s if nothing is said.
    #[must_use]
    pub fn timeout(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sends a header whenever the origin of `url` is asked, and to no other, wherever a model or a redirect leads.
    ///
    /// # Errors
    /// [`WebError`] of the address, or [`WebError::Malformed`] of the header.
    pub fn header(mut self, url: &str, name: &str, value: &str) -> Result<Self, WebError> {
        self.client.header(url, name, value)?;
        Ok(self)
    }
}

#[async_trait]
impl Tool for HttpGet {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn within(&self) -> Duration {
        self.within + GRACE
    }

    fn place(&self, given: &str) -> Option<String> {
        place(&arguments::<Arguments>(given).ok()?.url)
    }

    async fn call(&self, _call: &StepCall, given: &str) -> Result<String, AgentError> {
        let Arguments { url } = arguments(given)?;
        Ok(ask(&self.client, &url, &Question::get(), self.most, self.within)
            .await
            .map_err(WebError::told)?
            .text)
    }
}

impl Question {
    pub(crate) fn get() -> Self {
        Self { method: Method::GET, headers: HeaderMap::new(), body: None }
    }
}
