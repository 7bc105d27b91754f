//! Models of the server that somebody else wrote.

use std::time::Duration;

use runtime_agents::llm::GenaiModel;
use runtime_testkit::peers::Aimock;
use runtime_traits::ModelRequest;
use runtime_traits::model::ChatMessage;

use crate::llm::support::key_file;

/// Both formats of the wire: the provider and the path below which the server speaks it.
pub(crate) const FORMATS: [&str; 2] = ["openai/gpt-4o", "anthropic/claude-sonnet"];

/// A model of the server.
pub(crate) fn model(
    server: &Aimock,
    name: &str,
    first_byte: Duration,
    between_tokens: Duration,
) -> GenaiModel {
    let key = key_file();
    GenaiModel::named(name)
        .key(format!("file:{}", key.path().display()))
        .base_url(format!("{}/v1", server.url()))
        .first_byte(first_byte)
        .between_tokens(between_tokens)
        .build()
        .unwrap()
}

/// A model of the server that has time.
pub(crate) fn patient(server: &Aimock, name: &str) -> GenaiModel {
    model(server, name, Duration::from_secs(20), Duration::from_secs(20))
}

/// What a caller says.
pub(crate) fn says(text: &str) -> ModelRequest {
    let messages = vec![ChatMessage::User(text.to_owned())];
    ModelRequest { messages, max_tokens: 100, ..ModelRequest::default() }
}
