//! The client: goes only where the rules allow.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use runtime_traits::Cause;
use url::{Origin, Url};

use crate::http::error::WebError;
use crate::http::lookup::CheckedLookup;
use crate::http::rules::WebRules;
use crate::tls;

/// How often a question is sent on.
pub(crate) const REDIRECTS: usize = 5;
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const NAME: &str = concat!("agent-runtime/", env!("CARGO_PKG_VERSION"));

/// Asks within the rules.
#[derive(Clone, Debug)]
pub(crate) struct WebClient {
    rules: Arc<WebRules>,
    client: Client,
    /// Sent to one origin only, whoever chose the address.
    headers: Vec<(Origin, HeaderName, HeaderValue)>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
}

impl WebClient {
    pub(crate) fn new(rules: WebRules) -> Result<Self, WebError> {
        let rules = Arc::new(rules);
        let failed = |cause| WebError::Tls { cause };
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config().map_err(failed)?)
            .dns_resolver(CheckedLookup(rules.clone()))
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(NAME)
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|error| failed(Cause::of(&error)))?;
        Ok(Self { rules, client, headers: Vec::new() })
    }

    /// Checks an address that will be asked later.
    pub(crate) fn check(&self, url: &str) -> Result<(), WebError> {
        self.rules.check(url).map(drop)
    }

    /// Sends a header wherever the origin of `url` is asked, and nowhere else.
    pub(crate) fn header(&mut self, url: &str, name: &str, value: &str) -> Result<(), WebError> {
        let url = self.rules.check(url)?;
        let malformed = |cause| WebError::Malformed { url: format!("header {name}"), cause };
        let name = HeaderName::try_from(name).map_err(|error| malformed(Cause::of(&error)))?;
        let mut value = HeaderValue::try_from(value).map_err(|error| malformed(Cause::of(&error)))?;
        value.set_sensitive(true);
        self.headers.push((url.origin(), name, value));
        Ok(())
    }

    /// Asks, and follows where it is sent on if the question has no effect.
    pub(crate) async fn ask(&self, url: &str, question: &Question) -> Result<Response, WebError> {
        let mut url = self.rules.check(url)?;
        for _ in 0..=REDIRECTS {
            let response = self.once(&url, question).await?;
            let Some(to) = sent_on(&response) else { return Ok(response) };
            let joined = url.join(&to);
            if question.method != Method::GET {
                let to = joined.map_or(to, |url| url.to_string());
                return Err(WebError::Redirected { status: response.status().as_u16(), to });
            }
            url = joined.map_err(|error| WebError::Malformed { url: to, cause: Cause::of(&error) })?;
            self.rules.check_url(&url)?;
        }
        Err(WebError::Redirects { most: REDIRECTS })
    }

    /// Asks once, and goes nowhere else, whatever the answer says.
    pub(crate) async fn ask_once(&self, url: &str, question: &Question) -> Result<Response, WebError> {
        let url = self.rules.check(url)?;
        self.once(&url, question).await
    }

    async fn once(&self, url: &Url, question: &Question) -> Result<Response, WebError> {
        let mut headers = question.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("text/*, application/json;q=0.9, */*;q=0.1"));
        let ours = self.headers.iter().filter(|(origin, ..)| *origin == url.origin());
        headers.extend(ours.map(|(_, name, value)| (name.clone(), value.clone())));
        let mut request = self.client.request(question.method.clone(), url.clone()).headers(headers);
        if let Some(body) = &question.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| failure(url, &error))
    }
}

/// What a failure of the client is: perhaps one of ours, from within.
pub(crate) fn failure(url: &Url, error: &reqwest::Error) -> WebError {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(ours) = source.downcast_ref::<WebError>() {
            return ours.clone();
        }
        next = source.source();
    }
    let cause = error.source().map_or_else(|| Cause::says(error.to_string()), Cause::of);
    WebError::Connection { host: url.host_str().unwrap_or_default().to_owned(), cause }
}

/// Where an answer sends the question on.
fn sent_on(response: &Response) -> Option<String> {
    let status = response.status().as_u16();
    let to = response.headers().get(LOCATION).filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308))?;
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}
