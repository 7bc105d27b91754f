//! What a provider said about a failure: found in its body, cut to a sentence, without the key.

use serde_json::Value;

use crate::llm::key::Secret;

/// How much of it is kept.
const MOST: usize = 300;

/// What a provider said about a failure.
#[derive(Debug)]
pub(crate) struct Said {
    /// In words.
    pub(crate) text: String,
    /// Its sorts of failure, in its own words.
    sorts: Vec<String>,
    /// Whether it was JSON, as all providers answer.
    pub(crate) is_json: bool,
}

impl Said {
    /// Reads the body of an answer.
    pub(crate) fn of(body: &str, key: Option<&Secret>) -> Self {
        match serde_json::from_str::<Value>(body) {
            Ok(json) => Self::of_json(&json, key),
            Err(_) => Self { text: sentence(body, key), sorts: Vec::new(), is_json: false },
        }
    }

    /// Reads a body, or what stands in it under `error`.
    pub(crate) fn of_json(json: &Value, key: Option<&Secret>) -> Self {
        let json = json.get(0).unwrap_or(json);
        let error = json.get("error").unwrap_or(json);
        let text = error.as_str().or_else(|| error.get("message").and_then(Value::as_str));
        let text = text.map_or_else(|| error.to_string(), str::to_owned);
        let details = error.get("details").and_then(Value::as_array);
        let reasons = details.into_iter().flatten().filter_map(|detail| detail.get("reason"));
        let named = ["type", "code", "status"].into_iter().filter_map(|name| error.get(name));
        let sorts = named.chain(reasons).filter_map(Value::as_str).map(str::to_owned).collect();
        Self { text: sentence(&text, key), sorts, is_json: true }
    }

    /// Whether the provider calls the failure one of these.
    pub(crate) fn is_any(&self, sorts: &[&str]) -> bool {
        self.sorts.iter().any(|sort| sorts.contains(&sort.as_str()))
    }
}

/// On one line, short, and without the key.
pub(crate) fn sentence(text: &str, key: Option<&Secret>) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = key.map_or_else(|| line.clone(), |key| key.scrub(&line));
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "nothing".to_owned(),
        None => line,
    }
}
