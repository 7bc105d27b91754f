//! What is made of the providers' replies.

use runtime_agents::llm::Provider;
use runtime_traits::model::{StopReason, TokenUsage};
use serde_json::{Value, json};

use crate::llm::support::{anthropic_end, data, event, openai_call, openai_end, openai_text, reply, stream};

fn gemini(parts: Value, reason: Option<&str>) -> String {
    let mut candidate = json!({"content": {"parts": parts}});
    if let Some(reason) = reason {
        candidate["finishReason"] = json!(reason);
    }
    data(
        &json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}}),
    )
}

fn anthropic(blocks: &[&[Value]]) -> Vec<String> {
    let mut events = vec![event(
        &json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}),
    )];
    events.extend(blocks.iter().flat_map(|block| block.iter()).map(event));
    events
}

#[tokio::test]
async fn a_text_comes_whole_with_its_usage() {
    let events = [openai_text("Good "), openai_text("mörning"), openai_end("stop")];
    let said = reply("openai/gpt-4o", stream(&events)).await.unwrap();

    assert_eq!((said.text.as_str(), said.stop), ("Good mörning", StopReason::Done));
    assert_eq!(said.usage, Some(TokenUsage { input: 7, output: 3 }));
    assert_eq!((said.calls.len(), said.state), (0, None));
}

#[tokio::test]
async fn calls_come_in_order_with_arguments_as_the_model_wrote_them() {
    let events = [
        openai_text("I look."),
        openai_call(0, Some("a"), Some("first"), ""),
        openai_call(0, None, None, "{\"z\": 1.0,"),
        openai_call(1, Some("b"), Some("second"), ""),
        openai_call(0, None, None, "  \"a\": 1e2}"),
        openai_call(2, Some("c"), Some("third"), "{\"broken\": "),
        openai_end("tool_calls"),
    ];
    let said = reply("openai/gpt-4o", stream(&events)).await.unwrap();

    let calls: Vec<_> = said.calls.iter().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect();
    assert_eq!(
        calls,
        [("a", "first", "{\"z\": 1.0,  \"a\": 1e2}"), ("b", "second", "{}"), ("c", "third", "{\"broken\": ")]
    );
    assert_eq!((said.text.as_str(), said.stop), ("I look.", StopReason::Done));
}

#[tokio::test]
async fn anthropic_replies_with_text_calls_and_thoughts() {
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
    let part = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    let mut events = anthropic(&[
        &[start(0, json!({"type": "thinking", "thinking": "", "signature": ""}))],
        &[delta(0, json!({"type": "thinking_delta", "thinking": "hm"}))],
        &[delta(0, json!({"type": "signature_delta", "signature": "sig"})), stop(0)],
        &[start(1, json!({"type": "text", "text": ""})), json!({"type": "ping"})],
        &[delta(1, json!({"type": "text_delta", "text": "I look."})), stop(1)],
        &[start(2, tool("t1")), delta(2, part("{\"a\":")), delta(2, part(" 1}")), stop(2)],
        &[start(3, tool("t2")), stop(3)],
    ]);
    events.push(anthropic_end("tool_use", 42));
    let said = reply("anthropic/claude", stream(&events)).await.unwrap();

    assert_eq!(said.text, "I look.");
    let calls: Vec<_> = said.calls.iter().map(|call| (&*call.id, &*call.arguments)).collect();
    assert_eq!(calls, [("t1", "{\"a\": 1}"), ("t2", "{}")]);
    assert_eq!(said.usage, Some(TokenUsage { input: 9, output: 42 }));
    let state: Value = serde_json::from_str(&said.state.unwrap()).unwrap();
    assert_eq!(state["provider"], "anthropic");
    assert_eq!(state["thoughts"], json!([{"signature": "sig"}, {"text": "hm"}]));
}

#[tokio::test]
async fn gemini_replies_with_calls_that_have_ids_of_their_own_and_signatures() {
    let call = |sign: Option<&str>| {
        let mut part = json!({"functionCall": {"name": "look", "args": {"b": 1, "a": 2}}});
        if let Some(sign) = sign {
            part["thoughtSignature"] = json!(sign);
        }
        part
    };
    let events = [
        gemini(json!([{"text": "I look."}]), None),
        gemini(json!([call(Some("s1"))]), None),
        gemini(json!([call(None)]), Some("STOP")),
    ];
    let said = reply("gemini/gemini-3-pro", stream(&events)).await.unwrap();

    assert_eq!(said.text, "I look.");
    assert_eq!(said.calls.len(), 2);
    assert_ne!(said.calls[0].id, said.calls[1].id);
    let arguments: Value = serde_json::from_str(&said.calls[1].arguments).unwrap();
    assert_eq!(arguments, json!({"b": 1, "a": 2}));
    assert_eq!(said.usage, Some(TokenUsage { input: 5, output: 2 }));
    let state: Value = serde_json::from_str(&said.state.unwrap()).unwrap();
    assert_eq!((&state["provider"], &state["calls"]), (&json!("gemini"), &json!([["s1"], []])));
}

#[tokio::test]
async fn a_question_that_gemini_holds_back_is_a_filtered_reply() {
    let events = [data(
        &json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}),
    )];
    let said = reply("gemini/gemini-2.5-flash", stream(&events)).await.unwrap();

    assert_eq!((said.text.as_str(), said.stop, said.usage), ("", StopReason::Filtered, None));
}

#[tokio::test]
async fn why_a_reply_ended_is_told() {
    for (reason, expected) in [
        ("stop", StopReason::Done),
        ("length", StopReason::Length),
        ("content_filter", StopReason::Filtered),
        ("new", StopReason::Done),
    ] {
        let said = reply("openai/gpt-4o", stream(&[openai_text("x"), openai_end(reason)])).await.unwrap();
        assert_eq!(said.stop, expected, "{reason}");
    }
}

#[tokio::test]
async fn usage_that_was_not_reported_is_none() {
    let end = |usage: Value| {
        let end = data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        format!("{end}{}data: [DONE]\n\n", data(&json!({"choices": [], "usage": usage})))
    };
    for usage in [
        Value::Null,
        json!({}),
        json!({"prompt_tokens": 7}),
        json!({"completion_tokens": 7}),
        json!({"prompt_tokens": -7, "completion_tokens": 7}),
    ] {
        let said = reply("openai/gpt-4o", stream(&[openai_text("x"), end(usage.clone())])).await.unwrap();
        assert_eq!(said.usage, None, "{usage}");
    }
}

#[tokio::test]
async fn ollama_replies_as_openai_does() {
    let said = reply("ollama/llama3", stream(&[openai_text("Hi"), openai_end("stop")])).await.unwrap();

    assert_eq!(said.text, "Hi");
    assert_eq!(Provider::Ollama.as_str(), "ollama");
}
