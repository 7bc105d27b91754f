//! JSON Schemas: made from types, brought into the form that providers take, and what fits them.

use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use runtime_traits::Cause;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

/// The most faults that are told at once.
const TOLD: usize = 6;

/// A schema or a name that no provider takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaFault {
    /// The name of a tool does not follow the rule.
    #[error("`{0}` is no name of a tool: use 1 to 60 of A-Z, a-z, 0-9, `_` and `-`, beginning with a letter")]
    Name(String),
    /// It is not valid JSON Schema.
    #[error("it is no valid JSON Schema: {0}")]
    Invalid(Cause),
    /// It does not describe an object.
    #[error(
        "it describes no object; arguments are a struct with named fields, or a schema of the type `object`"
    )]
    NoObject,
}

/// A schema, ready to say what fits it.
pub(crate) struct Fit {
    validator: Validator,
}

/// The JSON Schema of a type, without references where it does not contain itself.
///
/// ```
/// #[derive(schemars::JsonSchema)]
/// struct Place {
///     city: String,
/// }
///
/// let schema = runtime_agents::tools::schema_of::<Place>();
/// assert_eq!(schema["properties"]["city"]["type"], "string");
/// ```
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    strip(&mut schema);
    schema
}

/// Takes out what only Rust knows: the names of its number types.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let of_rust = |format: &str| {
                matches!(format, "int" | "uint" | "float" | "double")
                    || format
                        .strip_prefix('u')
                        .unwrap_or(format)
                        .strip_prefix("int")
                        .is_some_and(|bits| bits.parse::<u8>().is_ok())
            };
            if fields.get("format").and_then(Value::as_str).is_some_and(of_rust) {
                fields.remove("format");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The schema of arguments as all providers take it: an object with `properties`, and nothing about itself.
pub(crate) fn normalised(schema: Value) -> Result<Arc<RawValue>, SchemaFault> {
    let mut schema = match schema {
        // What takes nothing.
        Value::Object(fields) if fields.get("type") == Some(&Value::from("null")) => Map::new(),
        Value::Object(fields) => fields,
        Value::Bool(true) | Value::Null => Map::new(),
        _ => return Err(SchemaFault::NoObject),
    };
    for own in ["$schema", "$id", "title"] {
        schema.remove(own);
    }
    let bare = ["type", "properties", "$ref", "oneOf", "anyOf", "allOf"]
        .iter()
        .all(|key| !schema.contains_key(*key));
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "object" => {}
        None if bare => {
            schema.insert("type".to_owned(), "object".into());
        }
        None if schema.contains_key("properties") => {
            schema.insert("type".to_owned(), "object".into());
        }
        _ => return Err(SchemaFault::NoObject),
    }
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let schema = Value::Object(schema);
    Fit::new(&schema)?;
    serde_json::value::to_raw_value(&schema)
        .map(Arc::from)
        .map_err(|error| SchemaFault::Invalid(Cause::of(&error)))
}

/// Whether all providers take a tool of this name.
pub(crate) fn check_name(name: &str) -> Result<(), SchemaFault> {
    let follows = (1..=60).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if follows { Ok(()) } else { Err(SchemaFault::Name(name.chars().take(80).collect())) }
}

impl Fit {
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaFault> {
        let invalid = |said: String| SchemaFault::Invalid(Cause::says(said));
        match jsonschema::validator_for(schema) {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// A schema in its text.
    pub(crate) fn of_text(schema: &RawValue) -> Result<Self, SchemaFault> {
        let schema = serde_json::from_str(schema.get());
        Self::new(&schema.map_err(|error| SchemaFault::Invalid(Cause::of(&error)))?)
    }

    /// Says everything about `text` that does not fit, up to some faults; or gives back its value.
    pub(crate) fn check(&self, text: &str) -> Result<Value, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let mut errors = self.validator.iter_errors(&value);
        let mut told = String::new();
        for error in errors.by_ref().take(TOLD) {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { String::new() } else { format!("at `{at}`: ") };
            let said: String = error.to_string().chars().take(300).collect();
            told.push_str(if told.is_empty() { "" } else { "; " });
            told.push_str(&format!("{at}{said}"));
        }
        if errors.next().is_some() {
            told.push_str("; and more");
        }
        drop(errors);
        if told.is_empty() { Ok(value) } else { Err(told) }
    }
}

impl fmt::Debug for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fit")
    }
}
