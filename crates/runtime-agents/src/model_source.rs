//! Where models come from: the seam between declarations of agents and the adapters of providers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use runtime_traits::{Model, Name, SpecError};

/// Makes models from settings: what an adapter of providers implements, and a kind of agents is given.
///
/// ```
/// use std::sync::Arc;
/// use runtime_agents::{ModelSettings, ModelSource, NoModels};
///
/// let settings = ModelSettings::new("assistant".parse()?, "openai/gpt-4o");
/// let error = NoModels.model(&settings).unwrap_err();
/// assert!(error.to_string().contains("`openai/gpt-4o`"));
/// # Ok::<(), runtime_traits::NameError>(())
/// ```
pub trait ModelSource: fmt::Debug + Send + Sync + 'static {
    /// The model that the settings name. Nothing is sent before the model is asked something.
    ///
    /// # Errors
    /// [`SpecError`], which names the setting and the remedy. The text of a key is in none of them.
    fn model(&self, settings: &ModelSettings) -> Result<Arc<dyn Model>, SpecError>;
}

/// Which model an agent wants, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSettings {
    /// Whose model: named by the errors.
    pub agent: Name,
    /// Provider and model: `openai/gpt-4o`.
    pub model: String,
    /// Where the key is: `env:NAME` or `file:PATH`, never the key itself. `None`: where the provider's own tools look.
    pub key: Option<String>,
    /// Where the provider is. `None`: where the provider says.
    pub base_url: Option<String>,
    /// How long the first byte of a reply may take.
    pub first_byte: Duration,
    /// How long the next piece of a reply may take.
    pub between_tokens: Duration,
    /// How long a whole reply may take.
    pub whole_reply: Duration,
    /// How often a failed call is made once more. The kind repeats; a source that repeats by itself would do it twice.
    pub retries: u32,
}

/// Has no models: every agent needs one of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoModels;

impl ModelSettings {
    /// How long the first byte may take, unless set.
    pub const FIRST_BYTE: Duration = Duration::from_secs(120);
    /// How long the next piece may take, unless set.
    pub const BETWEEN_TOKENS: Duration = Duration::from_secs(60);
    /// How long a whole reply may take, unless set.
    pub const WHOLE_REPLY: Duration = Duration::from_secs(1800);
    /// How often a failed call is made once more, unless set.
    pub const RETRIES: u32 = 4;

    /// A model as its provider offers it, for this agent.
    pub fn new(agent: Name, model: impl Into<String>) -> Self {
        Self {
            agent,
            model: model.into(),
            key: None,
            base_url: None,
            first_byte: Self::FIRST_BYTE,
            between_tokens: Self::BETWEEN_TOKENS,
            whole_reply: Self::WHOLE_REPLY,
            retries: Self::RETRIES,
        }
    }

    /// Says what is wrong with a setting. To be told at its place, `says` names the setting between backticks, and
    /// tells the remedy after a semicolon.
    pub fn refused(&self, says: impl Into<String>) -> SpecError {
        SpecError::Config { agent: self.agent.to_string(), cause: runtime_traits::Cause::says(says) }
    }
}

impl ModelSource for NoModels {
    fn model(&self, settings: &ModelSettings) -> Result<Arc<dyn Model>, SpecError> {
        let ModelSettings { model, .. } = settings;
        Err(settings.refused(format!(
            "setting `model`: this build has no provider for `{model}`; build it with the feature `llm`, or use a \
             `scripted/…` model"
        )))
    }
}
