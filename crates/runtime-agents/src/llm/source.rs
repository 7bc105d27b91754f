//! Models by the settings of an agent.

use std::sync::Arc;

use runtime_traits::{Model, SpecError};

use crate::llm::error::SetupError;
use crate::llm::model::GenaiModel;
use crate::model_source::{ModelSettings, ModelSource};

/// Makes a [`GenaiModel`] of what an agent's settings name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenaiModels;

impl ModelSource for GenaiModels {
    fn model(&self, settings: &ModelSettings) -> Result<Arc<dyn Model>, SpecError> {
        let mut model = GenaiModel::named(settings.model.as_str())
            .first_byte(settings.first_byte)
            .between_tokens(settings.between_tokens)
            .whole_reply(settings.whole_reply);
        if let Some(key) = &settings.key {
            model = model.key(key.as_str());
        }
        if let Some(url) = &settings.base_url {
            model = model.base_url(url.as_str());
        }
        let built = model.build().map_err(|error| settings.refused(told(&error)))?;
        Ok(Arc::new(built))
    }
}

/// The failure with the setting that has to change.
fn told(error: &SetupError) -> String {
    let setting = match error {
        SetupError::NoProvider { .. } | SetupError::UnknownProvider { .. } | SetupError::Name { .. } => {
            "model"
        }
        SetupError::KeyReference | SetupError::Key { .. } | SetupError::KeyNeeded { .. } => "key",
        SetupError::BaseUrl { .. } | SetupError::Tls { .. } => "base_url",
    };
    format!("setting `{setting}`: {error}")
}
