//! From the library's errors to ours.

use std::error::Error as _;
use std::time::Duration;

use genai::Error;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use runtime_traits::{Cause, ModelError};
use serde_json::Value;

use crate::llm::key::Secret;
use crate::llm::relay::Why;
use crate::llm::said::{Said, sentence};

/// Sorts of failure, in the words of the providers.
const NO_MODEL: &[&str] = &["model_not_found", "not_found_error", "NOT_FOUND"];
const NO_KEY: &[&str] = &[
    "API_KEY_INVALID",
    "authentication_error",
    "invalid_api_key",
    "permission_error",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
];
/// Waiting does not help.
const NO_MONEY: &[&str] = &["insufficient_quota", "billing_error"];
const TOO_MANY: &[&str] = &["rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED"];
const OVERLOADED: &[&str] = &["overloaded_error", "UNAVAILABLE"];
const BROKEN: &[&str] = &["api_error", "server_error", "INTERNAL"];

/// Overloaded, as Anthropic says it.
const STATUS_OVERLOADED: u16 = 529;
/// What a failure in the middle of a stream would have had for a status.
const STATUS_BROKEN: u16 = 500;
const STATUS_REFUSED: u16 = 400;

/// Tells failures of one call.
#[derive(Debug)]
pub(crate) struct Teller<'a> {
    /// The model.
    pub(crate) model: &'a str,
    /// Its key, which no text may hold.
    pub(crate) key: Option<&'a Secret>,
}

impl Teller<'_> {
    /// What an error of the library is. `begun`: the model has said something already.
    pub(crate) fn failure(&self, error: Error, begun: bool) -> ModelError {
        match error {
            Error::WebStream { error, .. } => match error.downcast::<Error>() {
                Ok(inner) => self.failure(*inner, begun),
                Err(error) => match error.downcast::<reqwest::Error>() {
                    Ok(error) => self.transport(&error),
                    Err(error) => self.nonsense(&error.to_string(), begun),
                },
            },
            Error::HttpError { status, body, headers, .. } => {
                self.refusal(status.as_u16(), &Said::of(&body, self.key), after(&headers))
            }
            Error::ChatResponse { body, .. } => self.event(&body, begun),
            Error::StreamParse { serde_error, .. } => self.nonsense(&serde_error.to_string(), begun),
            other => self.nonsense(&other.to_string(), begun),
        }
    }

    /// What kept the request from being sent.
    pub(crate) fn unsent(&self, error: &dyn std::error::Error) -> ModelError {
        ModelError::Unreachable { model: self.model(), cause: Cause::of(error) }
    }

    /// What broke off on its way here.
    pub(crate) fn broken(&self, why: &Why) -> ModelError {
        match why {
            Why::Connection(error) => self.transport(error),
            Why::TooMuch(too_much) => self.cut(&too_much.to_string()),
        }
    }

    /// A reply that broke off.
    pub(crate) fn cut(&self, why: &str) -> ModelError {
        ModelError::Cut { model: self.model(), cause: Cause::says(sentence(why, self.key)) }
    }

    /// What is no reply.
    pub(crate) fn no_reply(&self, what: &str) -> ModelError {
        ModelError::NoReply { model: self.model(), said: sentence(what, self.key) }
    }

    fn model(&self) -> String {
        self.model.to_owned()
    }

    /// The client's own trouble. Its text names the address, which is left out; its sources say what happened.
    fn transport(&self, error: &reqwest::Error) -> ModelError {
        let said = error.source().map_or_else(|| error.to_string(), |source| Cause::of(source).to_string());
        let cause = Cause::says(sentence(&said, self.key));
        if error.is_connect() {
            return ModelError::Unreachable { model: self.model(), cause };
        }
        // Sent, and perhaps worked on.
        ModelError::Cut { model: self.model(), cause }
    }

    /// What cannot be read, where a piece of a reply should be.
    fn nonsense(&self, said: &str, begun: bool) -> ModelError {
        if begun { self.cut(said) } else { self.no_reply(said) }
    }

    /// A failure that the provider tells within the stream.
    fn event(&self, body: &Value, begun: bool) -> ModelError {
        let said = Said::of_json(body, self.key);
        if begun {
            return self.cut(&said.text);
        }
        let numbered = body.pointer("/error/code").or_else(|| body.get("code")).and_then(Value::as_u64);
        let status = match numbered.and_then(|code| u16::try_from(code).ok()) {
            Some(code) if (400..600).contains(&code) => code,
            _ if said.is_any(TOO_MANY) => 429,
            _ if said.is_any(OVERLOADED) => STATUS_OVERLOADED,
            _ if said.is_any(BROKEN) => STATUS_BROKEN,
            _ => STATUS_REFUSED,
        };
        self.refusal(status, &said, None)
    }

    fn refusal(&self, status: u16, said: &Said, retry_after: Option<Duration>) -> ModelError {
        let (model, text) = (self.model(), said.text.clone());
        if said.is_any(NO_MODEL) {
            return ModelError::UnknownModel { model, said: text };
        }
        if said.is_any(NO_KEY) {
            return ModelError::Key { model, said: text };
        }
        match status {
            401 | 403 => ModelError::Key { model, said: text },
            404 if said.is_json => ModelError::UnknownModel { model, said: text },
            404 => self.no_reply(&format!("status 404: {text}")),
            429 if !said.is_any(NO_MONEY) => ModelError::RateLimited { model, retry_after },
            500..=599 => ModelError::Unavailable { model, status, said: text, retry_after },
            _ => ModelError::Refused { model, status, said: text },
        }
    }
}

/// When to ask again: in milliseconds, in seconds, or by a date, which is held against the date of the answer and not
/// against a clock of ours.
fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let said = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) =
        (httpdate::parse_http_date(said).ok()?, httpdate::parse_http_date(text(DATE.as_str())?).ok()?);
    Some(then.duration_since(now).unwrap_or_default())
}
