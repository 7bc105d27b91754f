//! Where a service may listen.

use std::os::unix::fs::PermissionsExt;

use runtime_service::{AgentService, ListenError, Listeners, ROUTES, Reach, RemoteRuntime};
use runtime_testkit::fakes::runtime::FakeRuntime;
use runtime_traits::Runtime;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};

use crate::support::{Answer, Place, any_port, client, client_builder, scribe};

#[tokio::test]
async fn a_port_in_use_is_named_with_the_remedy() {
    let place = Place::new().await;

    let error = Listeners::none().tcp(place.address).await.expect_err("taken");

    assert!(matches!(error, ListenError::InUse { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&place.address.to_string()) && said.contains("choose another"), "{said}");
}

#[tokio::test]
async fn what_other_machines_can_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.7:8000", "[::ffff:8.8.8.8]:1"] {
        let address = address.parse().expect("an address");
        let error = Listeners::none().tcp(address).await.expect_err("refused");
        assert!(matches!(error, ListenError::NotLoopback { .. }), "{error:?}");
        assert!(error.to_string().contains("authentication"), "{error}");
    }
    let bound = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let error = Listeners::none().with_tcp(bound).expect_err("refused");
    assert!(matches!(error, ListenError::NotLoopback { .. }), "{error:?}");
}

#[tokio::test]
async fn what_controls_the_runtime_answers_on_the_socket_only() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("control.sock");
    let listeners = Listeners::none().tcp(any_port()).await.expect("a free port");
    let listeners = listeners.unix(&socket).await.expect("a socket");
    let runtime = Arc::new(FakeRuntime::new());
    let serving = AgentService::over(runtime.clone()).start(listeners);
    let address = serving.addresses()[0];
    let over_socket = client_builder().unix_socket(socket.as_path()).build().expect("a client");

    for route in ROUTES {
        let path = route.path.replace("{agent}", "scribe").replace("{run}", "17").replace("{state}", "17");
        let method: reqwest::Method = route.method.parse().expect("a method");
        let on_tcp = client().request(method.clone(), format!("http://{address}{path}"));
        let on_tcp = Answer::of(on_tcp).await;
        match route.reach {
            Reach::Anywhere => assert_ne!(on_tcp.status, 403, "{route:?}: {on_tcp:?}"),
            Reach::Sockets => {
                assert_eq!(on_tcp.problem(), "socket-only", "{route:?}");
                assert!(on_tcp.body.contains("--unix-socket"), "{on_tcp:?}");
            }
        }
    }
    let asked = format!("{:?}", runtime.calls());
    for control in ["Register", "Unregister", "Start", "Stop", "Pause", "Resume", "Shutdown", "Agent("] {
        assert!(!asked.contains(control), "{asked}");
    }
    let remote = RemoteRuntime::at(&format!("http://{address}")).expect("a place");
    let error = remote.start(&scribe()).await.expect_err("it is refused");
    assert!(error.to_string().contains("answers on the unix socket"), "{error}");
    let agents = over_socket.get("http://localhost/v1/agents");
    assert_eq!(Answer::of(agents).await.status, 200);
    let unknown = Answer::of(client().get(format!("http://{address}/v2"))).await;
    assert_eq!(unknown.problem(), "no-such-route");
    serving.stop().await;
}

#[tokio::test]
async fn listeners_of_others_are_served() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("own.sock");
    let tcp = TcpListener::bind(any_port()).await.expect("a port");
    let unix = UnixListener::bind(&path).expect("a socket");
    let listeners = Listeners::none().with_tcp(tcp).expect("loopback").with_unix(unix);
    let serving = AgentService::over(Arc::new(FakeRuntime::new())).start(listeners);

    let url = format!("http://{}/health", serving.addresses()[0]);
    assert_eq!(Answer::of(client().get(url)).await.status, 200);
    let client = client_builder().unix_socket(path.as_path()).build();
    let request = client.expect("a client").get("http://localhost/health");
    assert_eq!(Answer::of(request).await.status, 200);
    serving.stop().await;
}

#[tokio::test]
async fn a_socket_is_for_its_owner_only_and_goes_with_the_service() {
    let place = Place::new().await;

    let mode = std::fs::metadata(&place.socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    place.serving.stop().await;
    assert!(!place.socket.exists());
}

#[tokio::test]
async fn a_socket_that_somebody_serves_is_left_alone() {
    let place = Place::new().await;

    let error = Listeners::none().unix(&place.socket).await.expect_err("taken");

    assert!(matches!(error, ListenError::Served { .. }), "{error:?}");
    assert!(place.socket.exists());
}

#[tokio::test]
async fn the_socket_of_a_dead_process_is_replaced() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("old.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists());

    Listeners::none().unix(&path).await.expect("replaced");
}

#[tokio::test]
async fn what_is_no_socket_is_not_replaced() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "dear").expect("a file");

    let error = Listeners::none().unix(&path).await.expect_err("no socket");

    assert!(matches!(error, ListenError::NoSocket { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "dear");
}

#[tokio::test]
async fn paths_that_cannot_be_sockets_are_named() {
    let folder = TempDir::new().expect("a folder");

    let long = folder.path().join("x".repeat(120));
    let error = Listeners::none().unix(&long).await.expect_err("too long");
    assert!(matches!(error, ListenError::LongPath { .. }), "{error:?}");

    let nowhere = folder.path().join("nowhere/control.sock");
    let error = Listeners::none().unix(&nowhere).await.expect_err("no folder");
    assert!(matches!(error, ListenError::Unix { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
