//! What a call came to, in the form that the log and the model know.

use runtime_traits::agent::StepError;
use runtime_traits::log::StepFailureKind;
use runtime_traits::model::ToolResult;
use runtime_traits::{AgentError, Content, Media};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The most bytes of a result that a model is given.
pub(super) const MOST_TEXT: usize = 64 * 1024;

/// The value of a tool's step. What a person decided to assume may be any JSON, not only a result.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Answer(pub(super) ToolResult);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Ok(result) = ToolResult::deserialize(&value) {
            return Ok(Self(result));
        }
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self(ToolResult { call: String::new(), text, failed: false }))
    }
}

/// The result of a call, cut to what a model can read.
pub(super) fn result(call: &str, said: Result<String, String>) -> ToolResult {
    let (text, failed) = match said {
        Ok(text) => (text, false),
        Err(why) => (format!("Error: {why}"), true),
    };
    ToolResult { call: call.to_owned(), text: cut(text), failed }
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_TEXT {
        let all = text.len();
        let mut end = MOST_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(&format!("\n… (cut off here: the whole result has {all} bytes)"));
    }
    text
}

/// What a model is told of a step that has no value; or why the run ends.
pub(super) fn unsaid(error: StepError) -> Result<String, AgentError> {
    match error {
        StepError::Cancelled { .. } => Err(error.into()),
        StepError::Failed { failure, .. } => Ok(match failure.kind {
            StepFailureKind::TimedOut => format!("the time of the call was over ({})", failure.message),
            StepFailureKind::Denied => {
                format!("somebody did not consent to the call, so it was not made ({})", failure.message)
            }
            StepFailureKind::Decided => {
                format!("somebody decided that the call has failed ({})", failure.message)
            }
            StepFailureKind::Limit => format!("the call was not made: {}", failure.message),
            StepFailureKind::Work | StepFailureKind::Away { .. } => failure.message,
        }),
        StepError::Name(_) | StepError::Json { .. } | StepError::TooLarge { .. } => Ok(error.to_string()),
    }
}

/// Content as a model reads it.
pub(super) fn plain(content: &Content) -> String {
    let string = (content.media == Media::Json).then(|| content.parse::<String>().ok()).flatten();
    string.unwrap_or_else(|| content.to_string())
}
