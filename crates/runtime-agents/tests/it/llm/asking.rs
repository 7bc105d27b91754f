//! What is sent to the providers.

use std::sync::Arc;

use runtime_agents::llm::Provider;
use runtime_traits::ModelRequest;
use runtime_traits::model::{ChatMessage, ToolCall, ToolSpec};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::llm::support::{hello, name_of, openai_call, openai_end, reply, sent, stream};

fn raw(json: &Value) -> Arc<RawValue> {
    RawValue::from_string(json.to_string()).unwrap().into()
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: "look".to_owned(), arguments: arguments.to_owned() }
}

/// A conversation with two calls at once, the second of which the model wrote wrongly.
fn conversation(state: Option<&str>) -> ModelRequest {
    let result = |call: &str, text: &str| ChatMessage::Tool { call: call.to_owned(), text: text.to_owned() };
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}});
    ModelRequest {
        system: "Be brief.".into(),
        messages: vec![
            ChatMessage::User("Look twice.".to_owned()),
            ChatMessage::Assistant {
                text: "I look.".to_owned(),
                calls: vec![call("call_1", r#"{"b":"x"}"#), call("call_2", "{\"b\": ")],
                state: state.map(str::to_owned),
            },
            result("call_1", "one"),
            result("call_2", "two"),
            ChatMessage::User("And?".to_owned()),
        ],
        tools: Arc::new([ToolSpec {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            parameters: raw(&schema),
        }]),
        output: Some(raw(&json!({"type": "object", "properties": {"answer": {"type": "string"}}}))),
        max_tokens: 321,
        temperature: Some(0.5),
    }
}

#[tokio::test]
async fn openai_gets_everything_in_its_own_words() {
    let body = sent("openai/gpt-4o", &conversation(None)).await;

    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["max_tokens"], 321);
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["tools"][0]["function"]["name"], "look");
    assert_eq!(body["tools"][0]["function"]["description"], "Looks.");
    assert_eq!(body["tools"][0]["function"]["parameters"]["properties"]["b"]["type"], "string");
    assert_eq!(body["response_format"]["type"], "json_schema");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look twice."},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "look", "arguments": "{\"b\":\"x\"}"}},
                {"type": "function", "id": "call_2",
                 "function": {"name": "look", "arguments": "{\"malformed\":\"{\\\"b\\\": \"}"}},
            ]},
            {"role": "tool", "content": "one", "tool_call_id": "call_1"},
            {"role": "tool", "content": "two", "tool_call_id": "call_2"},
            {"role": "user", "content": "And?"},
        ])
    );
}

#[tokio::test]
async fn anthropic_gets_the_results_of_one_reply_in_one_message() {
    let body = sent("anthropic/claude", &conversation(None)).await;

    assert_eq!(
        (&body["system"], &body["max_tokens"], &body["temperature"]),
        (&json!("Be brief."), &json!(321), &json!(0.5))
    );
    assert_eq!(body["tools"][0]["input_schema"]["properties"]["b"]["type"], "string");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "Look twice."},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"b": "x"}},
                {"type": "tool_use", "id": "call_2", "name": "look", "input": {"malformed": "{\"b\": "}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "two"},
            ]},
            {"role": "user", "content": "And?"},
        ])
    );
}

#[tokio::test]
async fn gemini_gets_its_signatures_back_and_nobody_else_does() {
    let state = r#"{"provider":"gemini","thoughts":[{"signature":"s0"},{"text":"t0"}],"calls":[["s1"],[]]}"#;
    let body = sent("gemini/gemini-2.5-flash", &conversation(Some(state))).await;

    assert_eq!(body["generationConfig"]["maxOutputTokens"], 321);
    assert_eq!(body["generationConfig"].get("thinkingConfig"), None);
    let parts = &body["contents"][1]["parts"];
    assert_eq!(parts[0]["thoughtSignature"], "s0");
    assert_eq!(parts[1]["thoughtSignature"], "s1");
    assert_eq!(parts[1]["functionCall"]["args"], json!({"b": "x"}));
    let results = body["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(results.len(), 2);

    for name in ["openai/gpt-4o", "anthropic/claude", "ollama/llama"] {
        let body = sent(name, &conversation(Some(state))).await.to_string();
        assert!(
            ["s0", "t0", "s1"].iter().all(|part| !body.contains(&format!("\"{part}\""))),
            "{name}: {body}"
        );
    }
    let body = sent("gemini/gemini-2.5-flash", &conversation(Some("no state of ours"))).await;
    assert_eq!(body["contents"][1]["parts"][0].get("thoughtSignature"), None);
}

#[tokio::test]
async fn anthropic_gets_its_thoughts_back_before_the_text() {
    let state = r#"{"provider":"anthropic","thoughts":[{"signature":"s"},{"text":"hm"},{"whole":{"type":"redacted_thinking","data":"x"}}]}"#;
    let body = sent("anthropic/claude", &conversation(Some(state))).await;

    let content = &body["messages"][1]["content"];
    assert_eq!(content[0], json!({"type": "thinking", "thinking": "hm", "signature": "s"}));
    assert_eq!(content[1], json!({"type": "redacted_thinking", "data": "x"}));
    assert_eq!(content[2]["type"], "text");
}

#[tokio::test]
async fn the_most_tokens_are_always_sent_and_nothing_that_was_not_said() {
    for provider in Provider::ALL {
        let body = sent(&name_of(provider), &hello()).await;
        let most = match provider {
            Provider::Gemini => &body["generationConfig"]["maxOutputTokens"],
            Provider::OpenAi | Provider::Anthropic | Provider::Ollama => &body["max_tokens"],
        };
        assert_eq!(most, 100, "{provider}: {body}");
        let text = body.to_string();
        for word in
            ["temperature", "tools", "system", "response_format", "effort", "think", "functionDeclarations"]
        {
            assert!(!text.contains(word), "{provider}: {word} in {text}");
        }
    }
    // A schema is sent, also where the library's own adapter would leave it out.
    let body = sent("ollama/llama3", &conversation(None)).await;
    assert_eq!(body["response_format"]["type"], "json_schema");
}

#[tokio::test]
async fn a_name_is_sent_as_it_is() {
    for name in ["qwen-max", "mistral-medium", "meta-llama/Llama-3-high", "o1-low"] {
        let body = sent(&format!("openai/{name}"), &hello()).await;
        assert_eq!(body["model"], name);
        assert_eq!(body.get("reasoning_effort"), None);
    }
}

#[tokio::test]
async fn a_tool_may_be_named_as_one_of_the_providers_own() {
    for (name, taken) in [("anthropic/claude", "web_search"), ("gemini/gemini-2.5-flash", "googleSearch")] {
        let mut request = conversation(None);
        let tool = ToolSpec { name: taken.to_owned(), ..request.tools[0].clone() };
        request.tools = Arc::new([tool]);
        let ChatMessage::Assistant { calls, .. } = &mut request.messages[1] else { panic!("no reply") };
        calls[0].name = taken.to_owned();

        let body = sent(name, &request).await;
        // The provider's own tool is not asked for.
        assert!(!body.to_string().contains(&format!("\"{taken}\"")), "{body}");
        assert!(body["tools"].to_string().contains(&format!("\"{taken}__ours\"")), "{body}");
        assert!(body["tools"].to_string().contains("Looks."), "{body}");
    }
    let events = [openai_call(0, Some("a"), Some("web_search__ours"), "{}"), openai_end("tool_calls")];
    assert_eq!(reply("openai/a", stream(&events)).await.unwrap().calls[0].name, "web_search");
}
