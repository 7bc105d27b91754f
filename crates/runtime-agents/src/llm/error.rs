//! Why a model cannot be set up.

use runtime_traits::Cause;
use thiserror::Error;

use crate::llm::provider::Provider;

/// Why a model cannot be set up. No variant holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The model is not named by provider and name.
    #[error("`{model}` is no model: write provider and name, as in `openai/gpt-4o`")]
    NoProvider {
        /// What was given.
        model: String,
    },
    /// Nobody here speaks to the provider.
    #[error(
        "`{provider}` is not a known provider; known are {}; for a server that speaks as OpenAI does, write `openai/…` and set `base_url`",
        Provider::names()
    )]
    UnknownProvider {
        /// What was given.
        provider: String,
    },
    /// The name could not be sent as it is.
    #[error("`{model}` cannot be called: {why}")]
    Name {
        /// What was given.
        model: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A key is not given by reference.
    #[error(
        "a key is given by reference: `env:NAME` or `file:PATH`; what was given is neither and is not shown"
    )]
    KeyReference,
    /// The key is not where the reference says, or cannot be sent.
    #[error("there is no usable key in `{reference}`: {cause}")]
    Key {
        /// Where it should be.
        reference: String,
        /// What was found.
        #[source]
        cause: Cause,
    },
    /// The provider takes nobody without a key, and none was named.
    #[error("{provider} needs a key: set `key` to `env:NAME` or `file:PATH`")]
    KeyNeeded {
        /// Who needs it.
        provider: Provider,
    },
    /// The address cannot be used.
    #[error("`base_url` cannot be used: {why}")]
    BaseUrl {
        /// What is wrong with it.
        why: String,
    },
    /// HTTPS cannot be spoken on this machine.
    #[error("HTTPS cannot be spoken: {cause}; are `ca-certificates` installed?")]
    Tls {
        /// What the library said.
        #[source]
        cause: Cause,
    },
}
