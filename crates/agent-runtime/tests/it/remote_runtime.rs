//! `RemoteRuntime` keeps the control contract, over TCP and over a unix socket, to a real runtime behind a real service.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agent_runtime::service::{AgentService, Listeners, RemoteRuntime, Serving};
use agent_runtime::store::StateStore;
use agent_runtime::{AgentKind, Builder, MemoryStore, Runtime, RuntimeManager};
use async_trait::async_trait;
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::suites::runtime::RuntimeFixture;
use tempfile::TempDir;

/// How a client gets to the service.
#[derive(Clone, Copy)]
enum Way {
    Tcp,
    Unix,
}

/// Runtimes behind services, one at a time, over a store that outlives them.
struct Served {
    way: Way,
    folder: TempDir,
    inside: Mutex<Inside>,
}

struct Inside {
    store: Arc<dyn StateStore>,
    serving: Option<Serving>,
}

impl Served {
    fn over(way: Way) -> Self {
        let inside = Inside { store: Arc::new(MemoryStore::new()), serving: None };
        Self { way, folder: TempDir::new().expect("a folder"), inside: Mutex::new(inside) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nobody panics with it")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Serves what is in the store, and gives a client of it.
    async fn serve(&self, kinds: Vec<Arc<dyn AgentKind>>) -> RemoteRuntime {
        let store = Arc::clone(&self.inside().store);
        let runtime = builder(store, kinds).open().await.expect("the store opens");
        let listeners = match self.way {
            Way::Tcp => {
                let address = "127.0.0.1:0".parse().expect("an address");
                Listeners::none().all_routes_on_tcp().tcp(address).await
            }
            Way::Unix => Listeners::none().unix(self.socket()).await,
        };
        let service = AgentService::over(Arc::new(runtime)).grace(Duration::from_millis(200));
        let serving = service.start(listeners.expect("a place to listen"));
        let place = match self.way {
            Way::Tcp => format!("http://{}", serving.addresses()[0]),
            Way::Unix => format!("unix:{}", self.socket().display()),
        };
        self.inside().serving = Some(serving);
        RemoteRuntime::at(&place).expect("a place")
    }

    async fn stop(&self) {
        let serving = self.inside().serving.take();
        if let Some(serving) = serving {
            serving.stop().await;
        }
    }
}

#[async_trait]
impl RuntimeFixture for Served {
    async fn open(&self, kinds: Vec<Arc<dyn AgentKind>>) -> Arc<dyn Runtime> {
        self.stop().await;
        self.inside().store = Arc::new(MemoryStore::new());
        Arc::new(self.serve(kinds).await)
    }

    async fn crash(
        &self,
        runtime: Arc<dyn Runtime>,
        kinds: Vec<Arc<dyn AgentKind>>,
    ) -> Option<Arc<dyn Runtime>> {
        drop(runtime);
        self.stop().await;
        Some(Arc::new(self.serve(kinds).await))
    }
}

fn builder(store: Arc<dyn StateStore>, kinds: Vec<Arc<dyn AgentKind>>) -> Builder {
    let builder = RuntimeManager::builder(store);
    kinds.into_iter().fold(builder, |builder, kind| builder.kind(kind))
}

mod over_tcp {
    use super::{Served, Way};

    runtime_testkit::runtime_conformance!(Served::over(Way::Tcp));
}

mod over_a_socket {
    use super::{Served, Way};

    runtime_testkit::runtime_conformance!(Served::over(Way::Unix));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_waited_for_survives_a_crash_of_the_server() {
    let served = Served::over(Way::Unix);
    let gates = Gates::new();
    let remote = served.serve(kinds(&gates)).await;
    let spec = agent_runtime::AgentSpec::new("gate", "gate").expect("names");
    let agent = remote.register(spec).await.expect("it is registered").into();
    remote.start(&agent).await.expect("it starts");

    let running = remote.run(&agent, "one two".into());
    let crashing = async {
        gates.open("one");
        gates.arrived("two").await;
        served.stop().await;
        // The old runtime is shut out by the next owner of its store, and this client notices nothing of it.
        served.serve(kinds(&gates)).await;
        gates.open("two");
    };
    let (finished, ()) = tokio::join!(running, crashing);

    let result = finished.expect("it is reachable again").into_result().expect("it completes");
    assert_eq!(result.output.to_string(), "one two");
    assert_eq!(gates.times("one"), 1, "a settled step is not done again");
    served.stop().await;
}
