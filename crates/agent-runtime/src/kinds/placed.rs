//! Settings that are paths, taken from the folder of the fleet file.

use std::path::PathBuf;
use std::sync::Arc;

use runtime_traits::{Agent, AgentKind, AgentSpec, Name, SpecError};

/// A kind some of whose settings are paths, taken from a folder.
///
/// The declaration keeps them as they were written: a fleet file and its store can move together.
#[derive(Debug)]
pub(super) struct Placed<K> {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Which settings are paths.
    pub(super) paths: &'static [&'static str],
    /// The kind itself.
    pub(super) kind: K,
}

impl<K> Placed<K> {
    fn place(&self, spec: &AgentSpec) -> AgentSpec {
        let config = serde_json::from_str(spec.config.get());
        let Ok(serde_json::Value::Object(mut config)) = config else {
            return spec.clone();
        };
        for name in self.paths {
            if let Some(serde_json::Value::String(path)) = config.get_mut(*name) {
                // An empty path is no path, and the kind says so.
                if !path.is_empty() {
                    *path = self.folder.join(&*path).to_string_lossy().into_owned();
                }
            }
        }
        spec.clone().configured(&config).unwrap_or_else(|_| spec.clone())
    }
}

impl<K: AgentKind> AgentKind for Placed<K> {
    fn name(&self) -> Name {
        self.kind.name()
    }

    fn version(&self) -> u32 {
        self.kind.version()
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.kind.check(&self.place(spec))
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.kind.build(&self.place(spec))
    }
}
