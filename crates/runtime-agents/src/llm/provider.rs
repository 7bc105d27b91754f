//! Who is asked.

use std::fmt;
use std::str::FromStr;

use genai::adapter::AdapterKind;
use serde::{Deserialize, Serialize};

use crate::llm::error::SetupError;

/// Who serves a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI's chat completions, and every server that speaks them.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama, by the part of it that speaks as OpenAI does: it takes JSON Schemas and ties results to calls by id.
    Ollama,
}

impl Provider {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// As it stands before the slash of a model's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// The address that is asked when none is set.
    pub(crate) fn default_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1/",
            Self::Anthropic => "https://api.anthropic.com/v1/",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta/",
            Self::Ollama => "http://127.0.0.1:11434/v1/",
        }
    }

    /// Where the key is by custom; none where nobody asks for one.
    pub(crate) fn default_key(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("env:OPENAI_API_KEY"),
            Self::Anthropic => Some("env:ANTHROPIC_API_KEY"),
            Self::Gemini => Some("env:GEMINI_API_KEY"),
            Self::Ollama => None,
        }
    }

    /// Whether it speaks as OpenAI does: then it is one of many servers, some of which want no key.
    pub(crate) fn speaks_openai(self) -> bool {
        match self {
            Self::OpenAi | Self::Ollama => true,
            Self::Anthropic | Self::Gemini => false,
        }
    }

    /// Pinned: left to itself, the library guesses by the name of the model and takes a local Ollama for the rest.
    pub(crate) fn adapter(self) -> AdapterKind {
        match self {
            Self::OpenAi | Self::Ollama => AdapterKind::OpenAI,
            Self::Anthropic => AdapterKind::Anthropic,
            Self::Gemini => AdapterKind::Gemini,
        }
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(|provider| format!("`{provider}`")).join(", ")
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| SetupError::UnknownProvider { provider: text.to_owned() })
    }
}
