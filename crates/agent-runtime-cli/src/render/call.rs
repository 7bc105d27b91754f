//! What a step asks for, as people read it: a tool with its arguments, another agent with its input. Pure.

use agent_runtime::agent::CallRequest;
use agent_runtime::{Content, Media, StepKey, StepSort};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::visible;
use super::exact::{exact, laid_out};
use super::words::cut;

/// What a step asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The tool, the agent or the step.
    pub(crate) name: String,
    /// Whether it is another agent.
    pub(crate) agent: bool,
    arguments: Option<Content>,
}

/// What steps of tools ask, as agents with models write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolRequest {
    tool: String,
    arguments: Box<RawValue>,
}

impl Called {
    /// What a step of this sort asks with this request.
    pub(crate) fn of(sort: StepSort, key: &StepKey, request: Option<&Content>) -> Self {
        if sort == StepSort::Call
            && let Some(Ok(call)) = request.map(Content::parse::<CallRequest>)
        {
            return Self { name: call.agent, agent: true, arguments: Some(call.input) };
        }
        Self::by_request(key, request)
    }

    /// What a step asks with this request, where its sort is not known.
    pub(crate) fn by_request(key: &StepKey, request: Option<&Content>) -> Self {
        if let Some(Ok(called)) = request.map(Content::parse::<ToolRequest>) {
            return Self::tool(&called.tool, called.arguments.get());
        }
        Self { name: plain_name(key), agent: false, arguments: request.cloned() }
    }

    /// A tool with its arguments, as a model writes them.
    pub(crate) fn tool(name: &str, arguments: &str) -> Self {
        let json = Content { media: Media::Json, bytes: arguments.to_owned().into() };
        Self { name: name.to_owned(), agent: false, arguments: Some(json) }
    }

    /// Name and arguments in one line of at most `width` columns.
    pub(crate) fn short(&self, width: usize) -> String {
        let name = if self.agent { format!("→ {}", self.name) } else { self.name.clone() };
        let arguments = self.arguments.as_ref().map(brief).unwrap_or_default();
        let line = if arguments.is_empty() { name } else { format!("{name}  {arguments}") };
        cut(&visible(&line).replace(['\n', '\t'], " "), width)
    }

    /// The arguments, to the last character.
    pub(crate) fn whole(&self) -> String {
        self.arguments.as_ref().map(whole).unwrap_or_default()
    }
}

/// A content to the last character, JSON over many lines.
pub(crate) fn whole(content: &Content) -> String {
    let text = match std::str::from_utf8(&content.bytes) {
        Ok(text) if content.media != Media::Bytes => text,
        _ => return format!("{} bytes that are no text: {:02x?}", content.bytes.len(), &content.bytes[..]),
    };
    match content.media {
        Media::Json => exact(&laid_out(text)),
        Media::Text | Media::Bytes => exact(text),
    }
}

/// The name of a step, without the number that places a call among those of its reply.
fn plain_name(key: &StepKey) -> String {
    let name = key.name.as_str();
    match name.split_once('.') {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => rest.to_owned(),
        _ => name.to_owned(),
    }
}

/// Arguments in a few words: `query: "leases", limit: 3`.
fn brief(content: &Content) -> String {
    if content.media == Media::Bytes {
        return format!("{} B", content.bytes.len());
    }
    match content.parse::<serde_json::Value>() {
        Ok(serde_json::Value::Object(fields)) if content.media == Media::Json => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {value}"));
            fields.collect::<Vec<_>>().join(", ")
        }
        _ => content.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use agent_runtime::{Content, StepKey, StepSort};
    use serde_json::json;

    use super::Called;

    fn key(text: &str) -> StepKey {
        text.parse().unwrap()
    }

    #[test]
    fn a_tool_is_named_with_its_arguments() {
        let request =
            Content::json(&json!({ "tool": "search", "arguments": { "n": 3, "q": "leases" } })).unwrap();
        let called = Called::of(StepSort::Tool, &key("turn-1/0.search"), Some(&request));

        assert_eq!(called.short(80), "search  n: 3, q: \"leases\"");
        assert_eq!(called.short(12), "search  n: …");
        assert!(called.whole().contains("\n  \"q\": \"leases\""), "{}", called.whole());
    }

    #[test]
    fn a_step_that_says_nothing_of_tools_is_known_by_its_name() {
        let called = Called::of(StepSort::Tool, &key("turn-1/0.fetch"), Some(&"a page\nand more".into()));

        assert_eq!(called.short(80), "fetch  a page and more");
        assert_eq!(called.whole(), "a page\nand more");
    }

    #[test]
    fn another_agent_is_named_with_its_input() {
        let request = Content::json(&json!({ "agent": "scribe", "input": { "text": "write" } })).unwrap();
        let called = Called::of(StepSort::Call, &key("call"), Some(&request));

        assert_eq!(called.short(80), "→ scribe  write");
    }
}
