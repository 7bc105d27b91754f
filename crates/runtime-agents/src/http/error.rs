//! Why the web was not asked, or gave no answer.

use std::net::IpAddr;
use std::time::Duration;

use runtime_traits::{AgentError, Cause};
use thiserror::Error;

/// Why the web was not asked, or gave no answer. In words that a model can use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WebError {
    /// The arguments do not fit.
    #[error("the arguments do not fit: {cause}")]
    Arguments {
        /// What is wrong with them.
        #[source]
        cause: Cause,
    },
    /// It is no address.
    #[error("`{url}` is no address: {cause}")]
    Malformed {
        /// What was given.
        url: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// It is not of the web.
    #[error("`{scheme}` addresses cannot be asked: use `http` or `https`")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// It holds a name or a password.
    #[error("an address with a name or a password in it is not asked")]
    UserInfo,
    /// The port is not of the web.
    #[error("port {port} is not asked; the operator allows {allowed}")]
    Port {
        /// What was given.
        port: u16,
        /// What may be given.
        allowed: String,
    },
    /// The host is not on the operator's list.
    #[error("`{host}` is not on the operator's list of hosts")]
    NotListed {
        /// The host.
        host: String,
    },
    /// The host is not on the public net.
    #[error("`{host}` is not asked: {address} is {why}")]
    Address {
        /// The host.
        host: String,
        /// Where it is.
        address: IpAddr,
        /// What that is.
        why: &'static str,
    },
    /// The host is nowhere.
    #[error("`{host}` is not found: {cause}")]
    NotFound {
        /// The host.
        host: String,
        /// What the resolver said.
        #[source]
        cause: Cause,
    },
    /// It was sent on too often.
    #[error("it was redirected more than {most} times")]
    Redirects {
        /// How often it may be.
        most: usize,
    },
    /// A post was sent on, which is not followed.
    #[error("it answers with status {status} and points to `{to}`; that is not followed")]
    Redirected {
        /// The status.
        status: u16,
        /// Where it points.
        to: String,
    },
    /// The connection failed.
    #[error("`{host}` cannot be asked: {cause}")]
    Connection {
        /// The host.
        host: String,
        /// What the client said.
        #[source]
        cause: Cause,
    },
    /// Nothing came in time.
    #[error("there was no whole answer within {} s", .within.as_secs_f64())]
    TimedOut {
        /// How long it was waited.
        within: Duration,
    },
    /// The answer is a refusal.
    #[error("it answers with status {status}: {said}")]
    Status {
        /// The status.
        status: u16,
        /// What it says.
        said: String,
    },
    /// The answer is no text.
    #[error("it answers with `{media}`, which is no text")]
    NoText {
        /// What it is.
        media: String,
    },
    /// A rule is none.
    #[error("`{rule}` is neither a host such as `api.example.com` nor a network such as `10.0.0.0/8`")]
    Rule {
        /// What was given.
        rule: String,
    },
    /// HTTPS cannot be spoken on this machine.
    #[error("HTTPS cannot be spoken: {cause}; are `ca-certificates` installed?")]
    Tls {
        /// What the library said.
        #[source]
        cause: Cause,
    },
}

impl WebError {
    /// Whether the other side is away, whatever it is asked: it is not found, cannot be reached, does not answer, or has a trouble of
    /// its own.
    pub fn is_away(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Connection { .. } | Self::TimedOut { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// As a tool tells it.
    pub(crate) fn told(self) -> AgentError {
        let said = Cause::of(&self).to_string();
        if self.is_away() { AgentError::away(said, None) } else { AgentError::says(said) }
    }
}
