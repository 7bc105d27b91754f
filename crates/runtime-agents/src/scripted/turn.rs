//! What a scripted model says when it is its turn.

use runtime_traits::ModelError;
use runtime_traits::model::{Deltas, ModelReply, StopReason, TokenUsage, ToolCall};
use serde::{Deserialize, Deserializer};

use super::gate::Gate;

/// What a scripted model says when it is its turn.
///
/// ```
/// use runtime_agents::{Gate, Turn};
///
/// let gate = Gate::new();
/// let turn = Turn::from("It is ").then("42.").used(12, 4).waits(&gate);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Turn {
    pieces: Vec<String>,
    calls: Vec<ToolCall>,
    stop: StopReason,
    usage: Option<TokenUsage>,
    state: Option<String>,
    gate: Option<Gate>,
    fails: Option<ModelError>,
}

impl Turn {
    /// Says a further piece of text, as a delta of its own.
    #[must_use]
    pub fn then(mut self, piece: impl Into<String>) -> Self {
        self.pieces.push(piece.into());
        self
    }

    /// Calls a tool, with these arguments as they are.
    #[must_use]
    pub fn calls(mut self, tool: impl Into<String>, arguments: impl Into<String>) -> Self {
        let id = format!("scripted-{}", self.calls.len());
        self.calls.push(ToolCall { id, name: tool.into(), arguments: arguments.into() });
        self
    }

    /// Says what was used. Otherwise nobody says it.
    #[must_use]
    pub fn used(mut self, input: u64, output: u64) -> Self {
        self.usage = Some(TokenUsage { input, output });
        self
    }

    /// Ends for another reason than being done.
    #[must_use]
    pub fn stops(mut self, stop: StopReason) -> Self {
        self.stop = stop;
        self
    }

    /// Wants this back with its message.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Waits at a gate between its text and its end.
    #[must_use]
    pub fn waits(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Fails after its text.
    #[must_use]
    pub fn fails(mut self, error: ModelError) -> Self {
        self.fails = Some(error);
        self
    }

    pub(super) async fn play(self, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let Self { pieces, calls, stop, usage, state, gate, fails } = self;
        pieces.iter().for_each(|piece| deltas.text(piece));
        if let Some(gate) = gate {
            gate.pass().await;
        }
        match fails {
            Some(error) => Err(error),
            None => Ok(ModelReply { text: pieces.concat(), calls, stop, usage, state }),
        }
    }
}

impl From<&str> for Turn {
    fn from(text: &str) -> Self {
        Self::default().then(text)
    }
}

impl From<String> for Turn {
    fn from(text: String) -> Self {
        Self::default().then(text)
    }
}

/// In a fleet file a turn is a text, or a table with `text`, `calls` and `usage`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    text: String,
    #[serde(default)]
    calls: Vec<WrittenCall>,
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCall {
    tool: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
}

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if let serde_json::Value::String(text) = value {
            return Ok(by_words(&text));
        }
        let written: Written = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        let turn = Self { usage: written.usage, ..by_words(&written.text) };
        Ok(written.calls.into_iter().fold(turn, |turn, WrittenCall { tool, arguments }| {
            turn.calls(tool, serde_json::Value::Object(arguments).to_string())
        }))
    }
}

/// A text that comes word by word, as models speak.
fn by_words(text: &str) -> Turn {
    text.split_inclusive(' ').fold(Turn::default(), Turn::then)
}
