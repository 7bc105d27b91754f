//! Guarded models from declarations.

use std::sync::Arc;

use runtime_agents::{ModelSettings, ModelSource};
use runtime_traits::{Model, SpecError};

use super::Guards;

/// Guards the models of another source: one guard for each model, place and key.
#[derive(Debug)]
pub(crate) struct GuardedModels<S> {
    pub(crate) models: S,
    pub(crate) guards: Guards,
}

impl<S: ModelSource> ModelSource for GuardedModels<S> {
    fn model(&self, settings: &ModelSettings) -> Result<Arc<dyn Model>, SpecError> {
        let model = self.models.model(settings)?;
        let at = settings.base_url.as_deref().map(shown);
        Ok(Arc::new(self.guards.model_at(model, at, settings.key.clone())))
    }
}

/// An address without what may be secret in it: a password, or a key in its query.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        assert_eq!(shown("https://models.example/v1"), "https://models.example/v1");
        assert_eq!(
            shown("https://me:secret@models.example:8443/v1?key=secret"),
            "https://models.example:8443/v1"
        );
        assert_eq!(shown("http://127.0.0.1:80"), "http://127.0.0.1:80");
    }
}
