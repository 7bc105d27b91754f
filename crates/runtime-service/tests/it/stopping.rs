//! How a service ends.

use std::time::Duration;

use runtime_service::AgentService;
use runtime_testkit::fakes::runtime::{Answer, Call, Play};
use runtime_traits::Runtime;
use runtime_traits::runtime::{Joined, Submitted};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{LONG, Place, client};

/// Until the runtime was asked so many things.
async fn asked(place: &Place, calls: usize) {
    while place.runtime.calls().len() < calls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn open_streams_end_when_the_service_stops() {
    let place = Place::new().await;
    let run = place.runtime.samples().run;
    place.runtime.answer(Answer::Stream(Play { items: Vec::new(), stays_open: true }));
    let url = place.url(&format!("/v1/runs/{run}/stream"));
    let response = client().get(url).send().await.expect("a stream");

    timeout(LONG, place.serving.stop()).await.expect("it stops");

    let rest = timeout(LONG, response.text()).await.expect("it ends");
    assert_eq!(rest.expect("in good order"), ": run\n\n");
}

#[tokio::test]
async fn who_waits_is_told_where_the_run_is_when_the_service_stops() {
    let place = Place::new().await;
    let samples = place.runtime.samples().clone();
    let open = Joined::Open(Box::new(samples.open_view()));
    place.runtime.answer(Answer::Submitted(Submitted { run: samples.run, repeated: false }));
    place.runtime.answer(Answer::Never);
    place.runtime.answer(Answer::Joined(Box::new(open)));

    let waiting = place.post("/run", r#"{"input": "x"}"#);
    let stopping = async {
        asked(&place, 2).await;
        place.serving.stop_token().cancel();
    };
    let (answer, ()) = tokio::join!(waiting, stopping);

    assert_eq!(answer.status, 202);
    assert_eq!(place.runtime.calls()[2], Call::Join(samples.run, Duration::ZERO));
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_grace() {
    let place = Place::with(|service| service.grace(Duration::from_millis(50))).await;
    place.runtime.answer(Answer::Never);

    let remote = place.over_tcp();
    let waiting = async { remote.start(&crate::support::scribe()).await };
    let stopping = async {
        asked(&place, 1).await;
        place.serving.stop_token().cancel();
    };
    let (answer, ()) = timeout(LONG, async { tokio::join!(waiting, stopping) }).await.expect("it is cut");

    assert_eq!(answer.expect_err("cut").code(), "unreachable");
    timeout(LONG, place.serving.stop()).await.expect("it stops");
}

#[tokio::test]
async fn a_shutdown_over_the_service_tells_the_process() {
    let shut = CancellationToken::new();
    let place = Place::with(|service: AgentService| service.on_shutdown(shut.clone())).await;
    assert!(!shut.is_cancelled());

    let done = place.over_unix().shutdown(Duration::from_millis(7)).await;

    assert_eq!(done, Ok(()));
    assert!(shut.is_cancelled());
    assert_eq!(place.runtime.calls(), [Call::Shutdown(Duration::from_millis(7))]);
}

#[tokio::test]
async fn a_service_that_is_dropped_stops() {
    let place = Place::new().await;
    let url = place.url("/health");
    let Place { serving, socket, .. } = place;

    drop(serving);

    while socket.exists() {
        tokio::task::yield_now().await;
    }
    assert!(client().get(url).send().await.is_err());
}
