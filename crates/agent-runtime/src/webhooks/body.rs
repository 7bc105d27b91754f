//! What is said of the end of a run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime_traits::bus::Event;
use runtime_traits::log::{Outcome, RunView};
use runtime_traits::runtime::{Joined, Runtime};
use runtime_traits::{Content, Media, Payload, RunId, RuntimeError, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

use super::RunEnd;

/// The largest output that is told, in bytes.
const OUTPUT: u64 = 64 * 1024;

/// A message, in the form that Standard Webhooks proposes.
#[derive(Serialize)]
struct Message<'a, T> {
    r#type: &'a str,
    timestamp: String,
    data: T,
}

/// What the event of the bus says, of whatever end.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) agent: String,
    run: String,
    session: String,
    kind: Option<String>,
    message: Option<String>,
    by: Option<String>,
    complete: Option<bool>,
    successor: Option<String>,
}

#[derive(Serialize)]
struct Data<'a> {
    agent: &'a str,
    run: &'a str,
    session: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// In millionths of a US dollar; nothing where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micros: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_left_out: Option<LeftOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
}

/// An output that is too large to be told, and where it is.
#[derive(Serialize)]
struct LeftOut {
    bytes: u64,
    get: String,
}

#[derive(Serialize)]
struct Failed<'a> {
    kind: &'a str,
    message: &'a str,
}

/// What the runtime knows of a run that is over.
#[derive(Default)]
struct Known {
    view: Option<RunView>,
    output: Option<Content>,
}

/// What the event says.
pub(super) fn told(event: &Event) -> Told {
    event.json().unwrap_or_default()
}

/// What is said of the end of a run that the bus told of. Without its output, if `whole` is not.
///
/// # Errors
/// What passes: the runtime may be asked again.
pub(super) async fn of(
    runtime: &dyn Runtime,
    end: RunEnd,
    event: &Event,
    whole: bool,
) -> Result<String, RuntimeError> {
    let told = told(event);
    let run = event.run.or_else(|| told.run.parse().ok());
    let known = match run {
        Some(run) => known(runtime, &run, whole).await?,
        None => Known::default(),
    };
    let view = known.view.as_ref();
    let output = known.output.as_ref();
    let left_out = match view.and_then(|view| view.outcome.as_ref()) {
        Some(Outcome::Completed(payload)) if output.is_none() && !payload.is_empty() => {
            Some(LeftOut { bytes: payload.len(), get: format!("/v1/runs/{}/join", told.run) })
        }
        _ => None,
    };
    let error = told
        .message
        .as_deref()
        .map(|message| Failed { kind: told.kind.as_deref().unwrap_or("agent"), message });
    let data = Data {
        agent: &told.agent,
        run: &told.run,
        session: &told.session,
        outcome: end.as_str().trim_start_matches("run."),
        accepted_at: view.map(|view| view.accepted_at.to_rfc3339()),
        usage: view.map(|view| view.usage),
        cost_micros: view.and_then(|view| view.price.micros),
        output: output.map(json),
        output_left_out: left_out,
        error,
        cancelled_by: told.by.as_deref(),
        complete: told.complete,
        successor: told.successor.as_deref(),
    };
    Ok(text(&Message { r#type: end.as_str(), timestamp: event.time.to_rfc3339(), data }))
}

/// What is said to test a webhook.
pub(super) fn ping(webhook: &str, event: &Event) -> String {
    let data = serde_json::json!({ "webhook": webhook });
    text(&Message { r#type: "webhook.ping", timestamp: event.time.to_rfc3339(), data })
}

async fn known(runtime: &dyn Runtime, run: &RunId, whole: bool) -> Result<Known, RuntimeError> {
    let view = match runtime.run_status(run).await {
        Ok(view) => view,
        Err(error) if passes(&error) => return Err(error),
        // It was deleted, or is another runtime's: what the event says is told.
        Err(_) => return Ok(Known::default()),
    };
    let output = match &view.outcome {
        Some(Outcome::Completed(payload)) if whole && payload.len() <= OUTPUT => match payload {
            Payload::Inline(content) => Some(content.clone()),
            Payload::Blob { .. } => match runtime.join(run, Duration::ZERO).await {
                Ok(Joined::Ended(finished)) => finished.output,
                Err(error) if passes(&error) => return Err(error),
                Ok(Joined::Open(_)) | Err(_) => None,
            },
        },
        _ => None,
    };
    Ok(Known { view: Some(view), output })
}

/// Whether the same question may have an answer later.
fn passes(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Store(error) => error.is_transient(),
        RuntimeError::Unreachable { .. } | RuntimeError::ShuttingDown => true,
        _ => false,
    }
}

/// An output as JSON: JSON as it is, text as a text, anything else as `{"base64": …}`.
fn json(output: &Content) -> Box<RawValue> {
    let said = match (output.media, output.as_text()) {
        (Media::Json, Ok(text)) => match RawValue::from_string(text.to_owned()) {
            Ok(json) => return json,
            Err(_) => Value::from(text),
        },
        (Media::Text, Ok(text)) => Value::from(text),
        _ => serde_json::json!({ "base64": STANDARD.encode(&output.bytes) }),
    };
    serde_json::value::to_raw_value(&said).expect("a text has JSON")
}

fn text<T: Serialize>(message: &Message<'_, T>) -> String {
    serde_json::to_string(message).expect("names, texts and numbers have JSON")
}
