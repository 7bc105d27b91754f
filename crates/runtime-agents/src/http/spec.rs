//! How models see the tools.

use std::sync::Arc;

use runtime_traits::model::ToolSpec;
use serde_json::value::RawValue;

/// A tool whose arguments fit the schema, which is JSON.
pub(crate) fn spec(name: &str, description: &str, schema: &str) -> ToolSpec {
    let parameters = RawValue::from_string(schema.to_owned()).unwrap_or_default();
    ToolSpec { name: name.to_owned(), description: description.to_owned(), parameters: Arc::from(parameters) }
}
