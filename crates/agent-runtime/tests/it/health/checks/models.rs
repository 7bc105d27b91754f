//! A model whose provider is silent, and one whose calls fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use agent_runtime::Model;
use agent_runtime::health::checks::{ModelAvailable, ModelCalls};
use agent_runtime::health::{HealthCheck, Verdict, Watched};
use agent_runtime::model::{Deltas, ModelError, ModelReply, ModelRequest};
use agent_runtime::prelude::*;
use runtime_testkit::fakes::ManualClock;
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A server on a port of its own, which answers or is silent.
#[derive(Debug)]
struct Provider {
    is_silent: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

struct SilentServer;

async fn answers(port: u16) -> Result<(), std::io::Error> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        if said.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(said)) }
    };
    timeout(Duration::from_millis(500), asking).await?
}

#[async_trait]
impl HealthFixture for SilentServer {
    async fn open(&self) -> Opened {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let is_silent = Arc::new(AtomicBool::new(false));
        let mut task = JoinSet::new();
        let silent = Arc::clone(&is_silent);
        task.spawn(async move {
            let mut held = Vec::new();
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut request = [0; 512];
                let _ = stream.read(&mut request).await;
                if silent.load(SeqCst) {
                    held.push(stream);
                } else {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        });
        let check = ModelAvailable::asking("local/model", move || answers(port));
        let thing = Provider { is_silent, _task: task };
        Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(thing) }
    }
}

#[async_trait]
impl Thing for Provider {
    async fn breaks(&self) {
        self.is_silent.store(true, SeqCst);
    }

    async fn mends(&self) {
        self.is_silent.store(false, SeqCst);
    }

    async fn state(&self) -> String {
        // A question that costs nothing leaves nothing.
        format!("{}", self.is_silent.load(SeqCst))
    }
}

mod of_a_silent_server {
    runtime_testkit::health_conformance!(super::SilentServer);
}

/// A model that replies, or fails.
#[derive(Debug, Default)]
struct Failing {
    fails: AtomicBool,
    calls: AtomicUsize,
}

#[derive(Debug)]
struct Nobody;

impl Deltas for Nobody {
    fn text(&self, _: &str) {}

    fn retract(&self) {}
}

#[async_trait]
impl Model for Failing {
    fn name(&self) -> &str {
        "local/model"
    }

    async fn reply(&self, _: &ModelRequest, _: &dyn Deltas) -> Result<ModelReply, ModelError> {
        self.calls.fetch_add(1, SeqCst);
        if self.fails.load(SeqCst) {
            let (model, said) = (self.name().to_owned(), "the connection was refused".to_owned());
            return Err(ModelError::NoReply { model, said });
        }
        Ok(ModelReply::default())
    }
}

/// A model that is asked in between, as agents do.
#[derive(Debug)]
struct Asked {
    below: Arc<Failing>,
    model: Arc<dyn Model>,
    clock: Arc<ManualClock>,
}

impl Asked {
    async fn ask(&self) {
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(40));
            let _ = self.model.reply(&ModelRequest::default(), &Nobody).await;
        }
    }
}

struct ByCalls;

#[async_trait]
impl HealthFixture for ByCalls {
    async fn open(&self) -> Opened {
        let (below, clock) = (Arc::new(Failing::default()), Arc::new(ManualClock::default()));
        let (model, calls) = ModelCalls::of(Arc::clone(&below) as _, Arc::clone(&clock) as _);
        let check = ModelAvailable::by_calls(calls, Duration::from_secs(60));
        Opened {
            check: Arc::new(check),
            of: Watched::Runtime,
            thing: Box::new(Asked { below, model, clock }),
        }
    }
}

#[async_trait]
impl Thing for Asked {
    async fn breaks(&self) {
        self.below.fails.store(true, SeqCst);
        self.ask().await;
    }

    async fn mends(&self) {
        self.below.fails.store(false, SeqCst);
        self.ask().await;
    }

    async fn state(&self) -> String {
        self.below.calls.load(SeqCst).to_string()
    }
}

mod of_model_calls {
    runtime_testkit::health_conformance!(super::ByCalls);
}

#[tokio::test]
async fn a_model_nobody_asks_is_taken_to_be_there_and_one_failure_is_no_outage() {
    let (below, clock) = (Arc::new(Failing::default()), Arc::new(ManualClock::default()));
    let (model, calls) = ModelCalls::of(Arc::clone(&below) as _, Arc::clone(&clock) as _);
    let check = ModelAvailable::by_calls(calls, Duration::from_secs(60));
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(check.check(&Watched::Runtime).await.verdict, Verdict::Healthy);

    below.fails.store(true, SeqCst);
    let _ = model.reply(&ModelRequest::default(), &Nobody).await;
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(check.check(&Watched::Runtime).await.verdict, Verdict::Degraded);
    let _ = model.reply(&ModelRequest::default(), &Nobody).await;
    let away = check.check(&Watched::Runtime).await;
    assert_eq!(away.verdict, Verdict::Unhealthy);
    assert!(away.reason.contains("no call has worked yet") && away.reason.contains("refused"), "{away}");
}

/// A model behind a breaker that is open.
#[derive(Debug)]
struct HeldOff;

#[async_trait]
impl Model for HeldOff {
    fn name(&self) -> &str {
        "local/model"
    }

    fn credential(&self) -> Option<&str> {
        Some("env:KEY")
    }

    fn silence(&self) -> Option<Duration> {
        Some(Duration::from_secs(7))
    }

    fn held_off(&self) -> Option<Duration> {
        Some(Duration::from_secs(9))
    }

    async fn reply(&self, _: &ModelRequest, _: &dyn Deltas) -> Result<ModelReply, ModelError> {
        Err(ModelError::HeldOff { model: self.name().to_owned(), retry_after: Duration::from_secs(9) })
    }
}

#[tokio::test]
async fn a_model_whose_calls_are_noted_is_in_everything_else_the_model_that_it_is() {
    let (model, _) = ModelCalls::of(Arc::new(HeldOff), Arc::new(ManualClock::default()));
    assert_eq!(
        (model.name(), model.credential(), model.called()),
        ("local/model", Some("env:KEY"), HeldOff.called())
    );
    assert_eq!((model.silence(), model.held_off()), (HeldOff.silence(), HeldOff.held_off()));
}

#[tokio::test]
async fn a_call_that_is_held_off_says_nothing_of_its_model() {
    let clock = Arc::new(ManualClock::default());
    let (model, calls) = ModelCalls::of(Arc::new(HeldOff), Arc::clone(&clock) as _);
    let check = ModelAvailable::by_calls(calls, Duration::from_secs(60));
    for _ in 0..3 {
        clock.advance(Duration::from_secs(40));
        assert!(model.reply(&ModelRequest::default(), &Nobody).await.is_err(), "it is held off");
    }
    assert_eq!(check.check(&Watched::Runtime).await.verdict, Verdict::Healthy, "nobody was asked");
}
