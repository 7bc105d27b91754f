//! What is told on a port that every user of the machine can connect to.

use std::sync::Arc;

use runtime_service::{AgentService, Listeners};
use runtime_testkit::fakes::runtime::{Answer, FakeRuntime};
use runtime_traits::health::{Health, HealthOverview, HealthReport, Verdict};
use runtime_traits::runtime::{NodeStatus, Page};
use runtime_traits::scrub::{Finding, ScrubStatus};
use serde_json::json;

use crate::support::{Answer as Told, any_port, client, client_builder};

#[tokio::test]
async fn health_tells_a_port_which_check_finds_what_and_nothing_of_runs() {
    let runtime = Arc::new(FakeRuntime::new());
    let folder = tempfile::TempDir::new().expect("a folder");
    let socket = folder.path().join("control.sock");
    let listeners = Listeners::none().tcp(any_port()).await.expect("a free port");
    let listeners = listeners.unix(&socket).await.expect("a socket");
    let serving = AgentService::over(runtime.clone()).start(listeners);
    let (agent, run) = (runtime.samples().agent, runtime.samples().run);
    let mut report = runtime.samples().health_report();
    let why = Health::new(Verdict::Degraded, format!("{run} stands still; the last one said: a secret"));
    (report.health, report.checks[0].health) = (why.clone(), why);
    let damage = Finding {
        tenant: None,
        agent: Some(agent),
        session: None,
        run: Some(run),
        place: run.to_string(),
        what: "a secret".to_owned(),
    };
    let scrub = Some(ScrubStatus { findings: vec![damage], ..ScrubStatus::default() });
    let node = |report: &HealthReport| {
        let node = NodeStatus {
            health: Some(report.named()),
            scrub: scrub.clone(),
            ..runtime.samples().node_status()
        };
        Answer::Node(Box::new(node))
    };

    let on_port = async |path: &str| {
        runtime.answer(node(&report));
        if path == "/status" {
            let items = vec![runtime.samples().agent_status()];
            runtime.answer(Answer::Agents(Page { items, next: None }));
        }
        runtime.answer(Answer::Health(Box::new(HealthOverview::of(vec![report.clone()]))));
        Told::of(client().get(format!("http://{}{path}", serving.addresses()[0]))).await
    };
    let brief = format!("{agent}: response_time");
    let health = on_port("/health").await;
    assert_eq!(health.json()["verdict"], "degraded");
    assert_eq!(health.json()["worst"], brief);
    let status = on_port("/status").await;
    assert_eq!(status.json()["node"]["health"], json!({ "verdict": "degraded", "reason": brief }));
    for told in [&health, &status] {
        assert!(!told.body.contains(&run.to_string()) && !told.body.contains("a secret"), "{told:?}");
    }

    let on_socket = async |path: &str| {
        runtime.answer(node(&report));
        let client = client_builder().unix_socket(&*socket).build().expect("a client");
        Told::of(client.get(format!("http://localhost{path}"))).await
    };
    assert_eq!(on_socket("/health").await.json()["worst"], report.named().reason);
    let status = on_socket("/status").await.json();
    assert_eq!(status["node"]["process"]["long_polls"][0]["run"], run.to_string());
    assert_eq!(status["node"]["health"]["reason"], report.named().reason);
}
