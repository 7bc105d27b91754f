//! A service over a runtime that a test controls, and ways to talk to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime_service::{AgentService, Listeners, RemoteRuntime, Serving};
use runtime_testkit::fakes::runtime::FakeRuntime;
use runtime_traits::{AgentRef, Name};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A service on a port of its own and on a socket of its own; all routes answer on both.
pub(crate) struct Place {
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) serving: Serving,
    _folder: TempDir,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(|service| service).await
    }

    pub(crate) async fn with(settings: impl FnOnce(AgentService) -> AgentService) -> Self {
        let runtime = Arc::new(FakeRuntime::new());
        let folder = TempDir::new().expect("a folder");
        let socket = folder.path().join("control.sock");
        let listeners = Listeners::none()
            .tcp(any_port())
            .await
            .expect("a free port")
            .unix(&socket)
            .await
            .expect("a socket")
            .all_routes_on_tcp();
        let service = AgentService::over(runtime.clone()).default_agent(scribe());
        let serving = settings(service).start(listeners);
        Self { runtime, address: serving.addresses()[0], socket, serving, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn over_tcp(&self) -> RemoteRuntime {
        RemoteRuntime::at(&self.url("")).expect("a place")
    }

    pub(crate) fn over_unix(&self) -> RemoteRuntime {
        RemoteRuntime::at(&format!("unix:{}", self.socket.display())).expect("a place")
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let request = client().post(self.url(path));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        Answer::of(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(client().get(self.url(path))).await
    }

    /// Sends bytes as they are, and gives all that comes back until the service closes the connection.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut io = TcpStream::connect(self.address).await.expect("a connection");
        // The service may refuse before it has taken everything.
        let _ = io.write_all(bytes).await;
        let mut answer = Vec::new();
        timeout(LONG, io.read_to_end(&mut answer)).await.expect("the service closes in time").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.timeout(LONG).send().await.expect("an answer");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.expect("a whole answer"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The last part of the problem's type.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let kind = problem["type"].as_str().expect("a type");
        kind.strip_prefix("urn:agent-runtime:problem:").expect("one of ours").to_owned()
    }
}

pub(crate) fn client() -> reqwest::Client {
    client_builder().no_proxy().build().expect("a client")
}

/// A client has to be given some TLS, though it speaks none.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

pub(crate) fn scribe() -> AgentRef {
    AgentRef::Name(Name::new("scribe").expect("a name"))
}
