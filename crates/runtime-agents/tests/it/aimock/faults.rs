//! The server's faults, each told by its kind.

use std::time::Duration;

use runtime_traits::model::Phase;
use runtime_traits::{Model, ModelError};
use serde_json::json;

use runtime_testkit::peers::Aimock;

use crate::aimock::server::{FORMATS, model, patient, says};
use crate::llm::support::Shown;

const LONG: &str = "A text that is long enough to be broken off in its middle.";

fn server() -> Aimock {
    let fault = |on: &str, chaos: serde_json::Value| json!({"match": {"userMessage": on}, "response": {"content": LONG}, "chaos": chaos});
    Aimock::start(&json!([
        fault("drop", json!({"dropRate": 1})),
        fault("malformed", json!({"malformedRate": 1})),
        fault("disconnect", json!({"disconnectRate": 1})),
        fault("limit", json!({"rateLimitRate": 1})),
        fault("late", json!({"latencyMs": 30000})),
        {"match": {"userMessage": "cut"}, "response": {"content": LONG}, "truncateAfterChunks": 5},
        {"match": {"userMessage": "slow"}, "response": {"content": LONG}, "streamingProfile": {"ttft": 0, "tps": 0.02}},
        {"match": {"userMessage": "refuse"}, "status": 429, "response": {
            "error": {"message": "Slow down.", "type": "rate_limit_error"}, "status": 429, "retryAfter": 17}},
        {"match": {"userMessage": "key"}, "response": {"error": {"message": "No.", "type": "authentication_error"}, "status": 401}},
        {"match": {"userMessage": "overload"}, "response": {"error": {"message": "Later.", "type": "overloaded_error"}, "status": 529}},
    ]))
}

async fn failure(server: &Aimock, name: &str, on: &str) -> (ModelError, String) {
    let shown = Shown::default();
    let error = patient(server, name).reply(&says(on), &shown).await.unwrap_err();
    (error, shown.text())
}

#[tokio::test]
async fn every_fault_is_told_by_its_kind() {
    let server = server();
    for name in FORMATS {
        let model = || name.to_owned();
        let told = async |on: &str| failure(&server, name, on).await.0;

        let said = "Chaos: request dropped".to_owned();
        let dropped = ModelError::Unavailable { model: model(), status: 500, said, retry_after: None };
        assert_eq!(told("drop").await, dropped);
        assert!(matches!(told("malformed").await, ModelError::NoReply { .. }), "{name}");
        assert!(matches!(told("disconnect").await, ModelError::Cut { .. }), "{name}");
        let retry_after = Some(Duration::from_secs(1));
        assert_eq!(told("limit").await, ModelError::RateLimited { model: model(), retry_after });
        let retry_after = Some(Duration::from_secs(17));
        assert_eq!(told("refuse").await, ModelError::RateLimited { model: model(), retry_after });
        assert_eq!(told("key").await, ModelError::Key { model: model(), said: "No.".to_owned() });
        assert!(matches!(told("overload").await, ModelError::Unavailable { status: 529, .. }), "{name}");
        // Nothing was scripted for it.
        assert!(matches!(told("unheard of").await, ModelError::UnknownModel { .. }), "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_the_server_cuts_is_cut_and_what_was_shown_is_a_beginning() {
    let server = server();
    for name in FORMATS {
        let (error, shown) = failure(&server, name, "cut").await;
        assert!(matches!(error, ModelError::Cut { .. }), "{name}: {error}");
        assert!(LONG.starts_with(&shown) && shown.len() < LONG.len(), "{name}: {shown}");
    }
    assert!(server.journal().await.iter().all(|entry| entry["response"]["interrupted"] == true));
}

#[tokio::test]
async fn a_server_that_is_late_is_timed_out_in_the_phase_in_which_it_is() {
    let server = server();
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
    for name in FORMATS {
        for (on, first, between, phase) in
            [("late", short, long, Phase::FirstByte), ("slow", long, short, Phase::BetweenTokens)]
        {
            let model = model(&server, name, first, between);
            let error = model.reply(&says(on), &Shown::default()).await.unwrap_err();
            assert_eq!(error, ModelError::TimedOut { model: name.to_owned(), phase, after: short }, "{on}");
        }
    }
}
