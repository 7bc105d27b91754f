//! Replies that come as they should.

use std::sync::Arc;

use runtime_traits::model::{ChatMessage, TokenUsage, ToolSpec};
use runtime_traits::{Model, ModelRequest};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use runtime_testkit::peers::Aimock;

use crate::aimock::server::{FORMATS, patient, says};
use crate::llm::support::Shown;

const TEXT: &str = "Good mörning from a server that somebody else wrote: 早上好.";

fn server() -> Aimock {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "input_tokens": 11, "output_tokens": 7});
    Aimock::start(&json!([
        {"match": {"userMessage": "greet"}, "response": {"content": TEXT, "usage": usage}},
        {"match": {"userMessage": "look", "hasToolResult": false}, "response": {
            "content": "I look.",
            "toolCalls": [
                {"name": "first", "arguments": {"z": 1, "a": ["ä", 2]}},
                {"name": "second", "arguments": {}},
                {"name": "first", "arguments": {"z": 3}},
            ],
            "usage": usage,
        }},
        {"match": {"userMessage": "look", "hasToolResult": true, "toolResultContains": "three"},
         "response": {"content": "Seen.", "usage": usage}},
    ]))
}

/// The usage that the server says it answered with, summed over its journal.
fn booked(journal: &[Value]) -> TokenUsage {
    let count =
        |entry: &Value, name: &str| entry["response"]["fixture"]["response"]["usage"][name].as_u64().unwrap();
    TokenUsage {
        input: journal.iter().map(|entry| count(entry, "prompt_tokens")).sum(),
        output: journal.iter().map(|entry| count(entry, "completion_tokens")).sum(),
    }
}

#[tokio::test]
async fn a_text_is_streamed_whole_and_its_usage_is_the_servers() {
    let server = server();
    for name in FORMATS {
        let shown = Shown::default();
        let reply = patient(&server, name).reply(&says("greet me"), &shown).await.unwrap();

        assert_eq!((reply.text.as_str(), shown.text().as_str()), (TEXT, TEXT), "{name}");
        assert!(shown.pieces() > 3, "{name}: it comes in pieces");
        assert_eq!(reply.usage, Some(booked(&server.journal().await[..1])), "{name}");
    }
    let sum = booked(&server.journal().await);
    assert_eq!(sum, TokenUsage { input: 22, output: 14 });
}

#[tokio::test]
async fn parallel_calls_come_in_order_and_their_results_go_back() {
    let server = server();
    for name in FORMATS {
        let model = patient(&server, name);
        let parameters: Box<RawValue> = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
        let tool = |name: &str| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters: parameters.clone().into(),
        };
        let mut request =
            ModelRequest { tools: Arc::new([tool("first"), tool("second")]), ..says("look twice") };

        let shown = Shown::default();
        let reply = model.reply(&request, &shown).await.unwrap();
        let calls: Vec<_> = reply.calls.iter().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(
            calls,
            [("first", "{\"z\":1,\"a\":[\"ä\",2]}"), ("second", "{}"), ("first", "{\"z\":3}")],
            "{name}"
        );
        assert_eq!((reply.text.as_str(), shown.text().as_str()), ("I look.", "I look."), "{name}");

        let ids: Vec<String> = reply.calls.iter().map(|call| call.id.clone()).collect();
        request.messages.push(ChatMessage::Assistant {
            text: reply.text,
            calls: reply.calls,
            state: reply.state,
        });
        for (call, text) in ids.into_iter().zip(["one", "two", "three"]) {
            request.messages.push(ChatMessage::Tool { call, text: text.to_owned() });
        }
        let reply = model.reply(&request, &Shown::default()).await.unwrap();
        assert_eq!(reply.text, "Seen.", "{name}");
    }
    assert_eq!(booked(&server.journal().await), TokenUsage { input: 44, output: 28 });
}

#[tokio::test]
async fn two_hundred_calls_at_once_are_all_answered() {
    let server = server();
    let models = FORMATS.map(|name| patient(&server, name));
    let request = says("greet me");
    let shown: Vec<Shown> = (0..200).map(|_| Shown::default()).collect();
    let calls = shown.iter().enumerate().map(|(at, shown)| models[at % 2].reply(&request, shown));
    let replies = futures_util::future::join_all(calls).await;

    for (reply, shown) in replies.iter().zip(&shown) {
        assert_eq!((reply.as_ref().unwrap().text.as_str(), shown.text().as_str()), (TEXT, TEXT));
    }
    assert_eq!(booked(&server.journal().await), TokenUsage { input: 2200, output: 1400 });
}
