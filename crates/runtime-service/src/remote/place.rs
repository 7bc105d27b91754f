//! Where a runtime is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use runtime_traits::Cause;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: less than the service keeps it, so that no request meets a closing one.
const IDLE_FOR: Duration = Duration::from_secs(5);

/// Where a runtime is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `http://HOST:PORT`.
    Tcp(Url),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// A place where no runtime can be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// It is neither of the two forms.
    #[error("`{given}` is no place of a runtime; use `http://HOST:PORT` or `unix:PATH`")]
    Malformed {
        /// As it was given.
        given: String,
    },
    /// The HTTP client cannot be made.
    #[error("the client for `{given}` cannot be made: {cause}")]
    Client {
        /// The place.
        given: String,
        /// What the client said.
        #[source]
        cause: Cause,
    },
}

impl Place {
    /// The address of a path of the runtime.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = match self {
            Self::Tcp(url) => url.clone(),
            Self::Unix(_) => Url::parse("http://localhost").expect("it is a URL"),
        };
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(segments);
        url
    }

    /// A client for the place: no proxy, no redirects.
    pub(super) fn client(&self) -> Result<Client, PlaceError> {
        let failed = |cause| PlaceError::Client { given: self.to_string(), cause };
        let tls = no_tls().map_err(|error| failed(Cause::of(&error)))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(IDLE_FOR)
            .tcp_nodelay(true);
        if let Self::Unix(path) = self {
            builder = builder.unix_socket(path.as_path());
        }
        builder.build().map_err(|error| failed(Cause::of(&error)))
    }
}

/// The TLS of a client that speaks none: it trusts nobody. A client has to be given some as soon as any crate of the
/// build has TLS turned on; without it, making one panics.
fn no_tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(given: &str) -> Result<Self, PlaceError> {
        let malformed = || PlaceError::Malformed { given: given.to_owned() };
        if let Some(path) = given.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.as_os_str().is_empty() { Err(malformed()) } else { Ok(Self::Unix(path)) };
        }
        let url = Url::parse(given).map_err(|_| malformed())?;
        let is_plain = url.scheme() == "http"
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if is_plain { Ok(Self::Tcp(url)) } else { Err(malformed()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn both_forms_are_read_and_shown_alike() {
        for given in ["http://127.0.0.1:8000", "http://[::1]:80", "unix:/run/a b.sock"] {
            let place: Place = given.parse().expect(given);
            assert!(given.starts_with(&place.to_string()), "{place}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for given in [
            "",
            "unix:",
            "127.0.0.1:8000",
            "https://127.0.0.1:8000",
            "http://127.0.0.1:8000/v1",
            "http://user:secret@127.0.0.1:8000",
        ] {
            let error = given.parse::<Place>().expect_err(given);
            assert!(error.to_string().contains("unix:PATH"), "{error}");
        }
    }

    #[test]
    fn what_is_named_in_a_path_is_escaped() {
        let place: Place = "http://127.0.0.1:8000".parse().expect("a place");

        let url = place.url(&["v1", "agents", "a/../b?c"]);

        assert_eq!(url.path(), "/v1/agents/a%2F..%2Fb%3Fc");
    }
}
