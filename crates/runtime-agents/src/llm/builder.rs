//! How a model is set up.

use std::fmt;
use std::time::Duration;

use genai::resolver::{AuthData, Endpoint};
use genai::{ModelIden, ServiceTarget};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use runtime_traits::Cause;

use crate::llm::error::SetupError;
use crate::llm::key::Secret;
use crate::llm::model::GenaiModel;
use crate::llm::provider::Provider;
use crate::model_source::ModelSettings;
use crate::tls;

/// What the library takes off the end of a name, for an effort of thinking.
const EFFORTS: [&str; 8] = ["zero", "none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Sets a [`GenaiModel`] up.
#[derive(Clone)]
pub struct GenaiModelBuilder {
    name: String,
    key: Option<String>,
    base_url: Option<String>,
    waits: Waits,
}

/// How long a model waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) first_byte: Duration,
    pub(crate) between_tokens: Duration,
    pub(crate) whole_reply: Duration,
}

impl GenaiModelBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            key: None,
            base_url: None,
            waits: Waits {
                first_byte: ModelSettings::FIRST_BYTE,
                between_tokens: ModelSettings::BETWEEN_TOKENS,
                whole_reply: ModelSettings::WHOLE_REPLY,
            },
        }
    }

    /// Where the key is: `env:NAME` or `file:PATH`.
    ///
    /// Without it, the provider's own variable is read, such as `OPENAI_API_KEY`; but not where
    /// [`base_url`](Self::base_url) is set, so that no key goes to a server that it was not made for.
    #[must_use]
    pub fn key(mut self, reference: impl Into<String>) -> Self {
        self.key = Some(reference.into());
        self
    }

    /// The address of the server, up to what its documentation calls the version: `http://127.0.0.1:8000/v1`.
    ///
    /// It is asked through the proxies of the environment, unless it is on this machine.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// How long the first byte of a reply may take; [`ModelSettings::FIRST_BYTE`] if nothing is said.
    #[must_use]
    pub fn first_byte(mut self, within: Duration) -> Self {
        self.waits.first_byte = within;
        self
    }

    /// How long the pauses within a reply may be; [`ModelSettings::BETWEEN_TOKENS`] if nothing is
    /// said.
    #[must_use]
    pub fn between_tokens(mut self, within: Duration) -> Self {
        self.waits.between_tokens = within;
        self
    }

    /// How long a whole reply may take; [`ModelSettings::WHOLE_REPLY`] if nothing is said.
    #[must_use]
    pub fn whole_reply(mut self, within: Duration) -> Self {
        self.waits.whole_reply = within;
        self
    }

    /// Reads the key and makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn build(self) -> Result<GenaiModel, SetupError> {
        let (provider, model) = named(&self.name)?;
        let url = match &self.base_url {
            Some(url) => address(provider, url)?,
            None => address(provider, provider.default_url())?,
        };
        let credential = self.credential(provider).map(str::to_owned);
        let key = credential.as_deref().map(Secret::read).transpose()?;
        let within = within(&url);
        let auth = match (&key, provider.speaks_openai()) {
            (Some(key), _) => AuthData::Key(key.expose().to_owned()),
            (None, true) => keyless(&within)?,
            (None, false) => return Err(SetupError::KeyNeeded { provider }),
        };
        let target = ServiceTarget {
            endpoint: Endpoint::from_owned(within.as_str()),
            auth,
            model: ModelIden::new(provider.adapter(), model),
        };
        let client = client(&url, IDLE)?;
        Ok(GenaiModel { name: self.name, provider, key, credential, client, url, target, waits: self.waits })
    }

    /// Where the key is, if one is sent.
    fn credential(&self, provider: Provider) -> Option<&str> {
        let by_custom = provider.default_key().filter(|_| self.base_url.is_none());
        self.key.as_deref().or(by_custom)
    }
}

impl fmt::Debug for GenaiModelBuilder {
    /// Without the reference to the key: somebody may have put the key itself there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenaiModelBuilder({})", self.name)
    }
}

/// Provider and name of `openai/gpt-4o`.
fn named(name: &str) -> Result<(Provider, &str), SetupError> {
    let Some((provider, model)) = name.split_once('/') else {
        return Err(SetupError::NoProvider { model: name.to_owned() });
    };
    let provider: Provider = provider.parse()?;
    let wrong = |why| Err(SetupError::Name { model: name.to_owned(), why });
    if model.is_empty() || model.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return wrong("its name is empty or has a space in it");
    }
    if model.contains("::") {
        return wrong("`::` would be taken for the end of a namespace");
    }
    let last = model.rsplit_once('-').map(|(_, last)| last);
    if !provider.speaks_openai() && last.is_some_and(|last| EFFORTS.contains(&last)) {
        return wrong("the last word would be taken for an effort of thinking and not be sent");
    }
    Ok((provider, model))
}

/// The address with the slash at its end that the library needs.
fn address(provider: Provider, text: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::BaseUrl { why };
    let mut url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is neither http nor https".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a name or a password; what is secret is given by `key`".to_owned()));
    }
    if url.fragment().is_some() || (url.query().is_some() && !provider.speaks_openai()) {
        return Err(wrong("it has a part after `#` or `?`".to_owned()));
    }
    if provider == Provider::Ollama && url.path() == "/" {
        url.set_path("/v1/");
    } else if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// The address that the library is given. It speaks to this process only, and there no HTTPS.
fn within(url: &Url) -> Url {
    let mut within = url.clone();
    within.set_scheme("http").expect("an address of HTTPS can be one of HTTP");
    within
}

/// A server that wants no key is sent none: the library would send an empty one.
fn keyless(url: &Url) -> Result<AuthData, SetupError> {
    let mut chat =
        url.join("chat/completions").map_err(|error| SetupError::BaseUrl { why: error.to_string() })?;
    chat.set_query(url.query());
    let headers = genai::Headers::from(Vec::<(String, String)>::new());
    Ok(AuthData::RequestOverride { url: chat.to_string(), headers })
}

/// A connection that was idle for so long is not used again. Many servers close theirs after five seconds, and a call that
/// meets the end of its connection may have been taken or not: it is made again, and booked twice.
const IDLE: Duration = Duration::from_secs(4);

/// Follows no redirects, which would carry the key elsewhere; asks no proxy for what is on this machine.
fn client(url: &Url, idle: Duration) -> Result<Client, SetupError> {
    let failed = |cause| SetupError::Tls { cause };
    let tls = if url.scheme() == "https" { tls::config() } else { tls::none() }.map_err(failed)?;
    let mut client =
        Client::builder().tls_backend_preconfigured(tls).redirect(Policy::none()).pool_idle_timeout(idle);
    if is_here(url) {
        client = client.no_proxy();
    }
    client.build().map_err(|error| failed(Cause::of(&error)))
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers as often as it is asked, and keeps the connection.
    async fn answer(mut stream: TcpStream) {
        let mut asked = Vec::new();
        while stream.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
            if asked.ends_with(b"\r\n\r\n") {
                asked.clear();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    }

    /// How many connections two requests need that follow one another at once.
    async fn connections(idle: Duration) -> u32 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let url = Url::parse(&url).expect("an address");
        let taken = AtomicU32::new(0);
        let serve = async {
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    came = listener.accept() => {
                        taken.fetch_add(1, Ordering::Relaxed);
                        open.push(answer(came.expect("it listens").0));
                    }
                    Some(()) = open.next() => {}
                }
            }
        };
        let client = client(&url, idle).expect("a client");
        let ask = async {
            for _ in 0..2 {
                let reply = client.get(url.clone()).send().await.expect("an answer");
                assert_eq!(reply.bytes().await.expect("its end").len(), 0);
            }
        };
        tokio::select! {
            () = serve => {}
            () = ask => {}
        }
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_was_idle_for_too_long() {
        assert_eq!(connections(IDLE).await, 1);
        assert_eq!(connections(Duration::from_nanos(1)).await, 2);
        // Servers that close after five seconds are many.
        const { assert!(IDLE.as_millis() < 5_000) };
    }
}
