//! The model that says what it was told to say.

use runtime_agents::{ScriptedModel, Turn};
use runtime_traits::model::{ChatMessage, NoDeltas, StopReason, TokenUsage};
use runtime_traits::{Model, ModelError, ModelReply, ModelRequest};
use serde_json::json;

fn after(spoken: usize) -> ModelRequest {
    let mut messages = vec![ChatMessage::User("?".into())];
    for _ in 0..spoken {
        messages.push(ChatMessage::Assistant { text: "!".into(), calls: vec![], state: None });
        messages.push(ChatMessage::User("?".into()));
    }
    ModelRequest { messages, ..ModelRequest::default() }
}

async fn said(model: &ScriptedModel, request: &ModelRequest) -> Result<ModelReply, ModelError> {
    model.reply(request, &NoDeltas).await
}

#[tokio::test]
async fn by_the_conversation_the_same_request_gets_the_same_turn() {
    let model = ScriptedModel::new("test", ["one", "two"]);
    for (spoken, text) in [(0, "one"), (0, "one"), (1, "two"), (0, "one")] {
        assert_eq!(said(&model, &after(spoken)).await.unwrap().text, text);
    }
    let error = said(&model, &after(2)).await.unwrap_err();
    assert!(error.to_string().contains("its script has 2 turns"), "{error}");
    let again = ScriptedModel::new("test", ["one", "two"]).again();
    assert_eq!(said(&again, &after(3)).await.unwrap().text, "two");
    let silent = ScriptedModel::new("test", Vec::<Turn>::new()).again();
    assert!(said(&silent, &after(0)).await.is_err());
}

#[tokio::test]
async fn in_order_every_call_gets_the_next_turn() {
    let model = ScriptedModel::in_order("test", ["one", "two"]).recording();
    for text in ["one", "two"] {
        assert_eq!(said(&model, &after(0)).await.unwrap().text, text);
    }
    assert_eq!((model.asked(), model.requests().len(), model.name()), (2, 2, "scripted/test"));
    let by = ScriptedModel::by("test", |request, asked| {
        Turn::from(format!("{asked} of {}", request.messages.len()))
    });
    assert_eq!(said(&by, &after(1)).await.unwrap().text, "1 of 3");
    assert!(by.requests().is_empty(), "it keeps nothing unless it is told to");
}

#[tokio::test]
async fn a_turn_is_the_whole_of_a_reply() {
    let turn = Turn::from("a")
        .then("b")
        .calls("t", "{}")
        .calls("u", "[]")
        .used(1, 2)
        .state("{}")
        .stops(StopReason::Length);
    let reply = said(&ScriptedModel::new("test", [turn]), &after(0)).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.stop), ("ab", StopReason::Length));
    assert_eq!((reply.usage, reply.state.as_deref()), (Some(TokenUsage { input: 1, output: 2 }), Some("{}")));
    let ids: Vec<&str> = reply.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["scripted-0", "scripted-1"]);
    assert_eq!(said(&ScriptedModel::new("test", ["x"]), &after(0)).await.unwrap().usage, None);
}

#[tokio::test]
async fn a_turn_is_written_as_a_text_or_as_a_table() {
    let written = json!([
        "Good morning to you",
        {"text": "Let me see.", "calls": [{"tool": "calculator", "arguments": {"expression": "1"}}, {"tool": "now"}],
         "usage": {"input": 3, "output": 4}},
    ]);
    let turns: Vec<Turn> = serde_json::from_value(written).unwrap();
    let model = ScriptedModel::new("test", turns);
    assert_eq!(said(&model, &after(0)).await.unwrap().text, "Good morning to you");
    let reply = said(&model, &after(1)).await.unwrap();
    let calls: Vec<_> =
        reply.calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(calls, [("calculator", r#"{"expression":"1"}"#), ("now", "{}")]);
    assert_eq!((reply.text.as_str(), reply.usage), ("Let me see.", Some(TokenUsage { input: 3, output: 4 })));
    for wrong in [json!(7), json!({"texts": "a"}), json!({"calls": [{"name": "x"}]})] {
        assert!(serde_json::from_value::<Turn>(wrong.clone()).is_err(), "{wrong}");
    }
}
