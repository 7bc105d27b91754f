//! What is told of runs, and how it is signed.

use std::sync::Arc;

use agent_runtime::prelude::*;
use agent_runtime::webhooks::{RunEnd, Webhooks};
use agent_runtime::{Clock, SystemClock};
use runtime_testkit::fakes::MapStore;
use serde_json::json;

use super::endpoint::{Endpoint, Says};
use super::{KEY, LONG, Worker, run, secret, telling, webhook};

#[tokio::test]
async fn a_run_that_ends_is_told_once_signed_with_every_secret() {
    let mut endpoint = Endpoint::says(|_| Says::Status(200)).await;
    let hook = webhook("hook", &endpoint.url()).secret(secret([8; 32]));
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[hook]).await;
    let first = run(&runtime, "hello").await;
    let second = run(&runtime, "json").await;

    let all = endpoint.got(2).await;
    let now = SystemClock::default().now().0 / 1_000;
    for got in &all {
        assert!(got.is_signed_with(&KEY) && got.is_signed_with(&[8; 32]), "{got:?}");
        assert!(!got.is_signed_with(&[9; 32]));
        assert_eq!(got.signatures.len(), 2);
        assert!(got.id.starts_with("msg_") && now - got.seconds < 60);
        assert_eq!(got.body["type"], "run.completed");
    }
    let of = |run: RunId| all.iter().find(|got| got.body["data"]["run"] == run.to_string()).unwrap();
    let data = &of(first).body["data"];
    assert_eq!(data["agent"], "worker");
    assert_eq!(data["session"], "default");
    assert_eq!(data["outcome"], "completed");
    assert_eq!(data["output"], "hello");
    assert_eq!(data["usage"]["input_tokens"], 0);
    assert_eq!(of(second).body["data"]["output"], json!({ "found": [1, 2] }));
    assert_ne!(of(first).id, of(second).id);
    webhooks.end(LONG).await;
    assert_eq!(endpoint.all().len(), 2);
}

#[tokio::test]
async fn a_failure_is_told_with_its_words_and_a_large_output_by_where_it_is() {
    let mut endpoint = Endpoint::says(|_| Says::Status(200)).await;
    let (runtime, webhooks) = telling(Arc::new(MapStore::new()), &[webhook("hook", &endpoint.url())]).await;
    let large = run(&runtime, "large").await;
    run(&runtime, "blob").await;
    run(&runtime, "fail").await;

    let all = endpoint.got(3).await;
    let of = |kind: &str, is: &dyn Fn(&serde_json::Value) -> bool| {
        all.iter().find(|got| got.body["type"] == kind && is(&got.body["data"])).unwrap().body["data"].clone()
    };
    let failed = of("run.failed", &|_| true);
    assert_eq!(failed["error"], json!({ "kind": "agent", "message": "no luck" }));
    assert_eq!(failed["outcome"], "failed");
    let left_out = of("run.completed", &|data| data["output"].is_null());
    let get = format!("/v1/runs/{large}/join");
    assert_eq!(left_out["output_left_out"], json!({ "bytes": 100_000, "get": get }));
    let blob = of("run.completed", &|data| data["output"].is_string());
    assert_eq!(blob["output"].as_str().unwrap().len(), 20_000);
    webhooks.end(LONG).await;
}

#[tokio::test]
async fn only_the_ends_and_the_agents_that_were_named_are_told() {
    let mut endpoint = Endpoint::says(|_| Says::Status(200)).await;
    let hook = webhook("hook", &endpoint.url()).on([RunEnd::Failed]).agent(&Name::new("OTHER").unwrap());
    let builder = RuntimeManager::builder(Arc::new(MapStore::new())).keep_for_webhooks([&hook]).unwrap();
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    for name in ["worker", "other"] {
        let agent = runtime.register_agent(Worker(name)).await.unwrap();
        runtime.start_agent(&agent).await.unwrap();
    }
    let webhooks = Webhooks::of(&runtime).webhook(hook).start().await.unwrap();
    for (name, input) in [("worker", "fail"), ("other", "good"), ("worker", "good"), ("other", "fail")] {
        let run = runtime.submit(&Name::new(name).unwrap().into(), RunRequest::new(input)).await.unwrap().run;
        runtime.join(&run, LONG).await.unwrap();
    }
    let all = endpoint.got(1).await;
    assert_eq!(
        (&all[0].body["type"], &all[0].body["data"]["agent"]),
        (&"run.failed".into(), &"other".into())
    );
    webhooks.end(LONG).await;
    assert_eq!(endpoint.all().len(), 1);
}
