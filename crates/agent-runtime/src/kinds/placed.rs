//! Settings that are paths, taken from the folder of the fleet file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime_traits::{Agent, AgentKind, AgentSpec, Name, Schema, SpecError};
use serde_json::{Map, Value};

/// A kind some of whose settings are paths, taken from a folder.
///
/// The declaration keeps them as they were written: a fleet file and its store can move together.
#[derive(Debug)]
pub(super) struct Placed<K> {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Puts the paths among the settings into place.
    pub(super) place: fn(&Path, &mut Map<String, Value>),
    /// The kind itself.
    pub(super) kind: K,
}

impl<K> Placed<K> {
    fn place(&self, spec: &AgentSpec) -> AgentSpec {
        let Ok(Value::Object(mut config)) = serde_json::from_str(spec.config.get()) else {
            return spec.clone();
        };
        (self.place)(&self.folder, &mut config);
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

    fn schemas(&self) -> Vec<Schema> {
        self.kind.schemas()
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.kind.check(&self.place(spec))
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.kind.build(&self.place(spec))
    }
}

/// Settings with the path `documents`.
pub(super) fn documents(folder: &Path, settings: &mut Map<String, Value>) {
    if let Some(Value::String(path)) = settings.get_mut("documents")
        // An empty path is no path, and the kind says so.
        && !path.is_empty()
    {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
}

/// Settings of agents with models: the documents of their tools, and keys in files.
pub(super) fn tools_and_keys(folder: &Path, settings: &mut Map<String, Value>) {
    let tables: Vec<&mut Value> = match settings.get_mut("tools") {
        Some(Value::Array(tools)) => tools.iter_mut().collect(),
        Some(Value::Object(tools)) => tools.values_mut().collect(),
        _ => Vec::new(),
    };
    for table in tables {
        if let Value::Object(table) = table {
            documents(folder, table);
        }
    }
    placed_key_of(folder, settings);
    if let Some(Value::Array(models)) = settings.get_mut("fallback") {
        let tables = models.iter_mut().filter_map(Value::as_object_mut);
        tables.for_each(|model| placed_key_of(folder, model));
    }
}

fn placed_key_of(folder: &Path, settings: &mut Map<String, Value>) {
    if let Some(Value::String(key)) = settings.get_mut("key") {
        *key = placed_key(folder, key);
    }
}

/// Where a key is, if it is in a file of the folder.
pub(crate) fn placed_key(folder: &Path, key: &str) -> String {
    match key.strip_prefix("file:").filter(|path| !path.is_empty()) {
        Some(path) => format!("file:{}", folder.join(path).display()),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::tools_and_keys;

    #[test]
    fn keys_in_files_are_put_into_place_for_every_model_of_a_chain() {
        let Value::Object(mut settings) = json!({
            "model": "openai/a",
            "key": "file:one",
            "fallback": ["openai/b", {"model": "openai/c", "key": "file:two"}, {"model": "openai/d", "key": "env:KEY"}],
        }) else {
            unreachable!("it is an object")
        };
        tools_and_keys(Path::new("/fleet"), &mut settings);
        let chain = json!(["openai/b", {"model": "openai/c", "key": "file:/fleet/two"}, {"model": "openai/d", "key": "env:KEY"}]);
        assert_eq!((&settings["key"], &settings["fallback"]), (&json!("file:/fleet/one"), &chain));
    }
}
