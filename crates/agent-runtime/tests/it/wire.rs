//! Runs of agents with models against a server of models that somebody else wrote, in both formats of the wire.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeMap;
use std::io::Write;

use agent_runtime::prelude::*;
use agent_runtime::runtime::StreamItem;
use agent_runtime::store::Seq;
use agent_runtime::tools::Calculator;
use agent_runtime::{EntryKind, MemoryStore, Outcome, Retrying, RuntimeManager, Usage};
use futures_util::StreamExt;
use futures_util::future::join_all;
use runtime_testkit::peers::Aimock;
use serde_json::{Value, json};
use std::sync::Arc;

const FORMATS: [&str; 2] = ["openai/gpt-4o", "anthropic/claude-sonnet"];
/// What each call is said to have used: read and written.
const USED: (u64, u64) = (11, 7);
const MAX_TOKENS: u64 = 50;
/// The fewest tokens that a question is reserved: what the user says and what the tool says of itself have more bytes.
const LEAST: u64 = 50;

fn usage() -> Value {
    let (read, written) = USED;
    json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
           "input_tokens": read, "output_tokens": written})
}

/// What the server says: sums with two tools at once, and then the result. `faults` are drawn for each request.
fn fixtures(faults: &Value) -> Value {
    let calls = json!([
        {"name": "calculator", "arguments": {"expression": "1/0"}},
        {"name": "calculator", "arguments": {"expression": "6*7"}},
    ]);
    let plain = json!([
        {"match": {"userMessage": "plain", "hasToolResult": false},
         "response": {"content": "I compute.", "toolCalls": calls, "usage": usage()}},
        {"match": {"userMessage": "plain", "hasToolResult": true, "toolResultContains": "42"},
         "response": {"content": "It is 42.", "usage": usage()}},
    ]);
    let faulty = json!([
        {"match": {"userMessage": "faulty", "hasToolResult": false},
         "response": {"content": "I compute.", "toolCalls": calls, "usage": usage()}, "chaos": faults},
        {"match": {"userMessage": "faulty", "hasToolResult": true},
         "response": {"content": "It is 42.", "usage": usage()}, "chaos": faults},
    ]);
    Value::Array([plain, faulty].iter().flat_map(|list| list.as_array().unwrap().clone()).collect())
}

/// A runtime with an agent for each format.
async fn fleet(server: &Aimock) -> (RuntimeManager, Vec<AgentId>) {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(b"sk-nobody").unwrap();
    let runtime: RuntimeManager =
        RuntimeManager::builder(Arc::new(MemoryStore::new())).open().await.unwrap().into();
    let mut agents = Vec::new();
    for (nth, name) in FORMATS.into_iter().enumerate() {
        let model = GenaiModel::named(name)
            .key(format!("file:{}", key.path().display()))
            .base_url(format!("{}/v1", server.url()))
            .build()
            .unwrap();
        let model = Retrying::new(model, 3).waits(Duration::from_millis(5), Duration::from_millis(20));
        let agent = LlmAgent::new(format!("agent-{nth}"), model)
            .tool(Calculator::new())
            .max_tokens(MAX_TOKENS as u32)
            .build()
            .unwrap();
        let agent = runtime.register_agent(agent).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        agents.push(agent);
    }
    (runtime, agents)
}

/// What a run came to, as its stream tells it.
struct Told {
    outcome: Outcome,
    usage: Usage,
    /// What was shown of the last step that was shown, since it was last taken back.
    shown: String,
}

/// Streams a run of its own session to its end.
async fn streamed(runtime: &RuntimeManager, agent: AgentId, nth: usize, input: &str) -> Told {
    let request = RunRequest::new(input).in_session(SessionName::new(format!("session-{nth}")).unwrap());
    let run = runtime.submit(&agent.into(), request).await.unwrap().run;
    let mut items = runtime.stream(&run, Seq::FIRST).await.unwrap();
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    while let Some(item) = items.next().await {
        match item.unwrap() {
            StreamItem::Preview { step, text, .. } => {
                last = step.map(|step| step.to_string()).unwrap_or_default();
                shown.entry(last.clone()).or_default().push_str(&text);
            }
            StreamItem::Retracted { step } => {
                shown.remove(&step.map(|step| step.to_string()).unwrap_or_default());
            }
            StreamItem::Entry { entry, .. } => {
                if let EntryKind::Ended(ended) = entry.kind {
                    let shown = shown.remove(&last).unwrap_or_default();
                    return Told { outcome: ended.outcome, usage: ended.usage, shown };
                }
            }
        }
    }
    unreachable!("a stream ends after `Ended`")
}

/// How many requests the server answered to their end, and how many it did not.
fn answered(journal: &[Value]) -> (u64, u64) {
    let whole = |entry: &&Value| {
        let status = entry["response"]["status"].as_u64().unwrap_or(0);
        let fault = entry["response"]["interrupted"] == true || !entry["response"]["chaosAction"].is_null();
        status == 200 && !fault
    };
    let whole = journal.iter().filter(whole).count() as u64;
    (whole, journal.len() as u64 - whole)
}

/// The most tokens that each question may have had whose reply broke off: a token for three bytes of all that was sent,
/// and a tenth more. Refusals (429 and 5xx) are not among them.
fn broken_off(journal: &[Value]) -> Vec<u64> {
    let broken = |entry: &&Value| {
        let response = &entry["response"];
        let action = response["chaosAction"].as_str();
        response["interrupted"] == true || matches!(action, Some("disconnect" | "malformed"))
    };
    let sent = |entry: &Value| entry["headers"]["content-length"].as_str()?.parse::<u64>().ok();
    journal.iter().filter(broken).map(|entry| sent(entry).unwrap().div_ceil(3) * 11 / 10 + 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streamed_runs_at_once_are_all_right_and_billed_as_the_server_says() {
    let server = Aimock::start(&fixtures(&json!({})));
    let (runtime, agents) = fleet(&server).await;

    let runs = (0..200).map(|nth| streamed(&runtime, agents[nth % 2], nth, "plain, please"));
    let told = join_all(runs).await;

    let (mut sum, mut words) = (Usage::default(), 0);
    for Told { outcome, usage, shown } in told {
        assert!(matches!(&outcome, Outcome::Completed(_)), "{outcome:?}");
        assert!(
            "It is 42.".starts_with(&shown),
            "previews may get lost at the end, and come in order: {shown}"
        );
        words += shown.len();
        sum = sum.plus(usage);
    }
    assert!(words > 0, "nothing was streamed");
    let (whole, broken) = answered(&server.journal().await);
    assert_eq!((whole, broken), (400, 0));
    let expected = Usage {
        input_tokens: 400 * USED.0,
        output_tokens: 400 * USED.1,
        model_calls: 400,
        tool_calls: 400,
        estimated_tokens: 0,
    };
    assert_eq!(sum, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_over_a_faulty_server_are_right_or_fail_with_a_cause_and_broken_calls_are_marked() {
    let faults = json!({"dropRate": 0.1, "malformedRate": 0.05, "disconnectRate": 0.15, "rateLimitRate": 0.05, "latencyMs": 3});
    let server = Aimock::start(&fixtures(&faults));
    let (runtime, agents) = fleet(&server).await;

    let runs = (0..200).map(|nth| streamed(&runtime, agents[nth % 2], nth, "faulty, please"));
    let told = join_all(runs).await;

    let (mut completed, mut failed, mut sum) = (0, 0, Usage::default());
    for Told { outcome, usage, shown } in told {
        match outcome {
            Outcome::Completed(_) => {
                completed += 1;
                assert!("It is 42.".starts_with(&shown), "what broke off was taken back: {shown}");
            }
            Outcome::Failed(failure) => {
                failed += 1;
                let named =
                    ["broke off", "not available", "no reply", "takes no more requests", "cannot be reached"];
                assert!(named.iter().any(|cause| failure.message.contains(cause)), "{}", failure.message);
            }
            other => unreachable!("{other:?}"),
        }
        sum = sum.plus(usage);
    }
    assert!(completed > 100 && failed > 0, "{completed} completed, {failed} failed");
    let (whole, broken) = answered(&server.journal().await);
    assert!(broken > 50, "{whole} whole, {broken} broken");
    // What came whole is billed as the server says. What was refused costs nothing. What broke off is booked at its
    // reservation, and marked: all the tokens that the reply might have had, and not more for the question than its bytes.
    let journal = server.journal().await;
    let reserved = broken_off(&journal);
    let (refused, lost) = (broken - reserved.len() as u64, reserved.len() as u64);
    assert!(refused > 0 && lost > 0, "{refused} refused, {lost} broken off");
    assert_eq!(sum.output_tokens, whole * USED.1 + lost * MAX_TOKENS, "{sum:?}");
    let reported = sum.input_tokens + sum.output_tokens - sum.estimated_tokens;
    assert_eq!(reported, whole * (USED.0 + USED.1), "{sum:?}");
    let asked = sum.estimated_tokens - lost * MAX_TOKENS;
    let (least, most) = (lost * LEAST, reserved.iter().sum());
    assert!((least..=most).contains(&asked), "{asked} is not within {least} and {most}: {sum:?}");
}
