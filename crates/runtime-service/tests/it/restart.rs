//! A client outlives a restart of the service.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use runtime_service::{AgentService, Listeners, RemoteRuntime, Serving};
use runtime_testkit::fakes::runtime::{Answer, Call, FakeRuntime, Play};
use runtime_traits::runtime::{Joined, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{IdempotencyKey, RunRequest, Runtime, RuntimeError};
use tempfile::TempDir;

use crate::support::scribe;

/// A socket on which services come and go.
struct Spot {
    folder: TempDir,
    runtime: Arc<FakeRuntime>,
}

impl Spot {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder"), runtime: Arc::new(FakeRuntime::new()) }
    }

    async fn serve(&self) -> Serving {
        let listeners = Listeners::none().unix(self.folder.path().join("s")).await.expect("a free socket");
        AgentService::over(self.runtime.clone()).start(listeners)
    }

    fn remote(&self) -> RemoteRuntime {
        let path = self.folder.path().join("s");
        RemoteRuntime::at(&format!("unix:{}", path.display())).expect("a place")
    }

    async fn asked(&self, calls: usize) {
        while self.runtime.calls().len() < calls {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_run_is_waited_for_through_a_restart() {
    let spot = Spot::new();
    let samples = spot.runtime.samples().clone();
    let open = Joined::Open(Box::new(samples.open_view()));
    spot.runtime
        .answer(Answer::Submitted(runtime_traits::runtime::Submitted { run: samples.run, repeated: false }));
    spot.runtime.answer(Answer::Never);
    spot.runtime.answer(Answer::Joined(Box::new(open)));
    let first = spot.serve().await;

    let remote = spot.remote();
    let agent = scribe();
    let running = remote.run(&agent, "hello".into());
    let restarting = async {
        spot.asked(2).await;
        first.stop().await;
        spot.serve().await
    };
    let (finished, _second) = tokio::join!(running, restarting);

    assert_eq!(finished, Ok(samples.finished()));
}

#[tokio::test]
async fn a_runtime_that_is_ending_is_waited_for() {
    let spot = Spot::new();
    let samples = spot.runtime.samples().clone();
    spot.runtime.fail(RuntimeError::ShuttingDown);
    let _serving = spot.serve().await;

    let joined = spot.remote().join(&samples.run, Duration::from_secs(9)).await;

    assert_eq!(joined, Ok(Joined::Ended(samples.finished())));
}

#[tokio::test]
async fn a_stream_goes_on_after_a_restart() {
    let spot = Spot::new();
    let samples = spot.runtime.samples().clone();
    let all = samples.items(Seq(1));
    spot.runtime.answer(Answer::Stream(Play { items: vec![Ok(all[0].clone())], stays_open: true }));
    spot.runtime.answer(Answer::Run(Box::new(samples.open_view())));
    let first = spot.serve().await;

    let mut stream = spot.remote().stream(&samples.run, Seq(1)).await.expect("a stream");
    assert_eq!(stream.next().await, Some(Ok(all[0].clone())));
    first.stop().await;
    let _second = spot.serve().await;
    let rest: Result<Vec<StreamItem>, RuntimeError> = stream.try_collect().await;

    assert_eq!(rest, Ok(all[1..].to_vec()));
}

#[tokio::test]
async fn a_submit_with_a_key_is_repeated_and_one_without_is_not() {
    let spot = Spot::new();
    let remote = spot.remote();
    let with_key = RunRequest::new("x").with_key(IdempotencyKey::new("k").expect("a key"));

    let agent = scribe();
    let without = remote.submit(&agent, RunRequest::new("x")).await;
    assert_eq!(without.expect_err("nobody is there").code(), "unreachable");

    let submitting = remote.submit(&agent, with_key.clone());
    let (submitted, _serving) = tokio::join!(submitting, spot.serve());

    assert!(submitted.is_ok(), "{submitted:?}");
    assert_eq!(spot.runtime.calls(), [Call::Submit(agent, with_key)]);
}
