//! Posting, once.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Cause, Effect, Reconciled, StepCall, Tool};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::ask::{Answer, GRACE, MOST, WITHIN, arguments, ask, place};
use crate::http::client::{Question, WebClient};
use crate::http::error::WebError;
use crate::http::rules::WebRules;
use crate::http::spec::spec;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "url": {"type": "string", "description": "The address, with `https://` or `http://`."},
    "body": {"description": "What is posted, as JSON."}
  },
  "required": ["url", "body"],
  "additionalProperties": false
}"#;

/// How long the other side is taken to remember a key, unless somebody says otherwise.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// What stands for the key in the address of a status.
const KEY: &str = "{key}";

/// Posts JSON to an address of the web, with an `Idempotency-Key` by which the other side can drop repetitions.
#[derive(Clone, Debug)]
pub struct HttpPost {
    spec: ToolSpec,
    client: WebClient,
    most: usize,
    within: Duration,
    window: Duration,
    status_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    url: String,
    body: Box<RawValue>,
}

impl HttpPost {
    /// The tool `http_post`, within the rules.
    ///
    /// # Errors
    /// [`WebError::Tls`].
    pub fn new(rules: WebRules) -> Result<Self, WebError> {
        Ok(Self {
            spec: spec(
                "http_post",
                "Posts JSON to an address of the web and returns the text of the answer.",
                SCHEMA,
            ),
            client: WebClient::new(rules)?,
            most: MOST,
            within: WITHIN,
            window: WINDOW,
            status_url: None,
        })
    }

    /// Says how long the other side remembers a key; 24 hours if nothing is said.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Says where the other side tells what became of a post: an address with `{key}` in it.
    ///
    /// There, 200 has to mean that it was done, and 404 or 410 that it was not and will not be. Anything else says
    /// nothing.
    ///
    /// # Errors
    /// [`WebError`] of the address.
    pub fn status_url(mut self, template: &str) -> Result<Self, WebError> {
        let cause = Cause::says(format!("there is no `{KEY}` in it"));
        if !template.contains(KEY) {
            return Err(WebError::Malformed { url: template.to_owned(), cause });
        }
        self.client.check(&template.replace(KEY, "0"))?;
        self.status_url = Some(template.to_owned());
        Ok(self)
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

    /// Sends a header whenever the origin of `url` is asked, and to no other, wherever a model leads.
    ///
    /// # Errors
    /// [`WebError`] of the address, or [`WebError::Malformed`] of the header.
    pub fn header(mut self, url: &str, name: &str, value: &str) -> Result<Self, WebError> {
        self.client.header(url, name, value)?;
        Ok(self)
    }
}

#[async_trait]
impl Tool for HttpPost {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent { window: self.window }
    }

    fn within(&self) -> Duration {
        self.within + GRACE
    }

    fn place(&self, given: &str) -> Option<String> {
        place(&arguments::<Arguments>(given).ok()?.url)
    }

    async fn call(&self, call: &StepCall, given: &str) -> Result<String, AgentError> {
        let Arguments { url, body } = arguments(given)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::try_from(call.idempotency_key())?);
        let question = Question { method: Method::POST, headers, body: Some(body.get().to_owned()) };
        Ok(ask(&self.client, &url, &question, self.most, self.within).await.map_err(WebError::told)?.text)
    }

    async fn reconcile(&self, call: &StepCall, _given: &str) -> Result<Reconciled<String>, AgentError> {
        let Some(template) = &self.status_url else { return Ok(Reconciled::Unknown) };
        let url = template.replace(KEY, &call.idempotency_key());
        match ask(&self.client, &url, &Question::get(), self.most, self.within).await {
            Ok(Answer { status: StatusCode::OK, text }) => Ok(Reconciled::Done(text)),
            // Perhaps it is under way.
            Ok(_) => Ok(Reconciled::Unknown),
            Err(WebError::Status { status: 404 | 410, .. }) => Ok(Reconciled::NotDone),
            Err(WebError::Status { .. }) => Ok(Reconciled::Unknown),
            Err(error) => Err(error.into()),
        }
    }
}
