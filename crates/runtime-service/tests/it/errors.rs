//! Every error of the contract, over the wire and back.

use runtime_testkit::fakes::errors::every_runtime_error;
use runtime_testkit::fakes::runtime::Answer;
use runtime_traits::runtime::{NodeStatus, Readiness};
use runtime_traits::store::Seq;
use runtime_traits::{Runtime, RuntimeError};

use crate::support::{Place, scribe};

#[tokio::test]
async fn a_client_has_the_error_that_a_local_caller_has() {
    let place = Place::new().await;
    let remote = place.over_tcp();

    for (error, _) in every_runtime_error() {
        place.runtime.fail(error.clone());
        assert_eq!(remote.start(&scribe()).await, Err(error));
    }
}

#[tokio::test]
async fn an_error_on_the_wire_is_a_problem_document() {
    let place = Place::new().await;

    for (error, status) in every_runtime_error() {
        place.runtime.fail(error.clone());
        let answer = place.post("/v1/agents/scribe/start", "").await;
        assert_eq!(answer.status, status, "{error}");
        assert_eq!(answer.problem(), error.code());
        assert_eq!(answer.json()["detail"], error.to_string());
        let rebuilt: Problem = serde_json::from_str(&answer.body).expect("a problem");
        assert_eq!(rebuilt.error, error);
    }
}

#[derive(serde::Deserialize)]
struct Problem {
    error: RuntimeError,
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let place = Place::new().await;
    let busy = every_runtime_error()
        .into_iter()
        .find_map(|(error, _)| (error.code() == "busy").then_some(error))
        .expect("it is one of them");
    place.runtime.fail(busy).fail(RuntimeError::ShuttingDown);

    let full = place.post("/run", r#"{"input": "x"}"#).await;
    let ending = place.post("/run", r#"{"input": "x"}"#).await;

    // It said 1.5 s; a header has whole seconds.
    assert_eq!((full.status, full.header("retry-after")), (429, "2"));
    assert_eq!((ending.status, ending.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn a_stream_of_an_unknown_run_is_refused_at_once() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;
    place.runtime.fail(RuntimeError::UnknownRun { run });

    let refused = place.over_unix().stream(&run, Seq(1)).await.err();

    assert_eq!(refused, Some(RuntimeError::UnknownRun { run }));
}

#[tokio::test]
async fn a_handler_that_panics_harms_nobody_else() {
    let place = Place::new().await;
    place.runtime.answer(Answer::Panic("the test wants it"));

    let answer = place.get("/v1/status").await;

    assert_eq!((answer.status, answer.problem().as_str()), (500, "panicked"));
    assert!(!answer.body.contains("the test wants it"), "{answer:?}");
    assert_eq!(place.get("/v1/status").await.status, 200);
}

#[tokio::test]
async fn who_does_not_speak_like_a_service_is_unreachable() {
    let place = Place::new().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let nobody = folder.path().join("nobody.sock");
    let nobody = format!("unix:{}", nobody.display());
    let remote = runtime_service::RemoteRuntime::at(&nobody).expect("a place");

    let error = remote.status().await.expect_err("nobody is there");
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains(&nobody), "{error}");

    // An answer, but of nobody who knows the route.
    let wrong = format!("http://localhost:{}", place.address.port());
    let remote = runtime_service::RemoteRuntime::at(&wrong).expect("a place");
    assert!(remote.status().await.is_ok(), "the name of the machine is fine");
}

#[tokio::test]
async fn health_says_what_is() {
    let place = Place::new().await;
    let mut node = place.runtime.samples().node_status();

    let ready = place.get("/health").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.json(),
        serde_json::json!({
            "readiness": "ready",
            "open_runs": 2,
            "store": "memory",
            "no_progress_since": 2000,
            "verdict": "degraded",
            "worst": format!("{}: answers take 9 s", place.runtime.samples().agent),
        })
    );

    node.readiness = Readiness::Draining;
    node.open_runs = 0;
    place.runtime.answer(Answer::Node(Box::new(node.clone())));
    let draining = place.get("/health").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["readiness"], "draining");
    assert_eq!(draining.json()["no_progress_since"], serde_json::Value::Null);

    node.readiness = Readiness::StoreFailed("no space".to_owned());
    place.runtime.answer(Answer::Node(Box::new(node)));
    let failed = place.get("/health").await;
    assert_eq!((failed.status, &failed.json()["reason"]), (503, &"no space".into()));

    place.runtime.fail(RuntimeError::ShuttingDown);
    let unknown = place.get("/health").await;
    assert_eq!((unknown.status, &unknown.json()["readiness"]), (503, &"unknown".into()));
}

#[tokio::test]
async fn what_lives_what_has_begun_and_what_takes_runs_are_three_things() {
    let place = Place::new().await;
    let node = place.runtime.samples().node_status();
    let readiness = [
        (Readiness::Ready, 200, None),
        (Readiness::Draining, 503, Some("it is ending, and takes no more runs")),
        (Readiness::StoreFailed("no space".to_owned()), 503, Some("its store fails: no space")),
    ];
    for (readiness, status, reason) in readiness {
        let node = NodeStatus { readiness, ..node.clone() };
        for (path, status, reason) in [("/readyz", status, reason), ("/startupz", 200, None)] {
            place.runtime.answer(Answer::Node(Box::new(node.clone())));
            let probed = place.get(path).await;
            assert_eq!((probed.status, probed.json()["reason"].as_str()), (status, reason), "{path}");
            assert_eq!(probed.json()["ok"], status == 200);
        }
    }
    // A runtime that does not answer has not begun, as far as anybody can tell; its process lives.
    for path in ["/readyz", "/startupz"] {
        place.runtime.fail(RuntimeError::ShuttingDown);
        assert_eq!(place.get(path).await.status, 503, "{path}");
    }
    let asked = place.runtime.calls().len();
    assert_eq!(place.get("/livez").await.status, 200);
    assert_eq!(place.runtime.calls().len(), asked, "whether it lives asks nobody");
}

#[tokio::test]
async fn status_shows_node_and_agents() {
    let place = Place::new().await;

    let status = place.get("/status").await.json();

    assert_eq!(status["node"]["open_runs"], 2);
    assert_eq!(status["agents"][0]["name"], "scribe");
}
