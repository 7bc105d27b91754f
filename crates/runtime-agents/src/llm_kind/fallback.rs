//! The models that are asked where the first one is away.

use runtime_traits::SpecError;
use serde_json::{Map, Value};

use super::settings::{Settings, instead};

/// What is said of such a model.
const SETTINGS: [&str; 9] = [
    "model",
    "key",
    "base_url",
    "first_byte",
    "between_tokens",
    "whole_reply",
    "retries",
    "replies",
    "again",
];
/// What a model of the same provider takes over that is only named.
const SHARED: [&str; 2] = ["key", "base_url"];

/// The settings of each model of the chain, in the order in which they are asked.
pub(super) fn settings(settings: &mut Settings) -> Result<Vec<Settings>, SpecError> {
    let expected = "a list like [\"openai/gpt-4o-mini\", { model = \"anthropic/claude-sonnet-4-5\", key = \"env:KEY\" }]";
    let wrong = |settings: &Settings| {
        settings.refused(format!("setting `fallback` has another type; use {expected}"))
    };
    let Some(models) = settings.take::<Vec<Value>>("fallback", expected)? else { return Ok(Vec::new()) };
    let mut parts = Vec::with_capacity(models.len());
    for model in models {
        let table = match model {
            Value::String(model) => named(settings, model),
            Value::Object(table) => table,
            _ => return Err(wrong(settings)),
        };
        if let Some(unknown) = table.keys().find(|key| !SETTINGS.contains(&key.as_str())) {
            return Err(settings.refused(format!(
                "setting `fallback`: unknown setting `{unknown}`; {}",
                instead(unknown, &SETTINGS)
            )));
        }
        parts.push(settings.part(table));
    }
    Ok(parts)
}

/// A model by its name alone. With one provider, key and address are those of the first model.
fn named(settings: &Settings, model: String) -> Map<String, Value> {
    let provider = |model: &str| model.split_once('/').map(|(provider, _)| provider.to_owned());
    let first = settings.look("model").and_then(Value::as_str).and_then(provider);
    let mut table = Map::new();
    if first.is_some() && first == provider(&model) {
        let shared =
            SHARED.iter().filter_map(|name| Some(((*name).to_owned(), settings.look(name)?.clone())));
        table.extend(shared);
    }
    table.insert("model".to_owned(), Value::String(model));
    table
}
