//! `check --live`.

use std::time::Duration;

use agent_runtime::prelude::*;
use agent_runtime::{HasSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::home::Home;

/// What a librarian of the future keeps.
#[derive(Serialize, Deserialize)]
struct Topic;

impl HasSchema for Topic {
    fn schema() -> Schema {
        (1..7).fold(Schema::new("librarian-topic", 7), |schema, from| schema.migrates(from, Ok))
    }
}

#[derive(Debug)]
struct Future {
    kind: &'static str,
    name: &'static str,
}

#[async_trait]
impl Agent for Future {
    fn spec(&self) -> AgentSpec {
        let config: Value = serde_json::json!({ "documents": "docs" });
        AgentSpec::new(self.kind, self.name).expect("names").configured(&config).expect("an object")
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        ctx.keep_state(&Topic)?;
        Ok(Content::text("done"))
    }
}

/// Runs agents of a newer program over the home's store.
fn future(home: &Home, agents: Vec<Future>) {
    let uri = format!("redb:{}", home.path().join("store/agents.redb").display());
    let work = async {
        let runtime = RuntimeManager::open(&uri).await.expect("nobody has it");
        for agent in agents {
            let agent = runtime.register_agent(agent).await.expect("a good agent");
            runtime.start_agent(agent).await.expect("it is there");
            runtime.run_agent(agent, "x").await.expect("it does what it does");
        }
        runtime.shutdown(Duration::ZERO).await.expect("it ends");
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads").block_on(work);
}

#[test]
fn what_the_program_cannot_go_on_with_is_told_by_agent_and_session() {
    let home = Home::new();
    home.good(&["run", "librarian", "What is a lease?"]);
    let fine = home.json(&["check", "--live", "fleet.toml"]);
    assert_eq!((&fine["live"]["found"], &fine["live"]["agents"]), (&0.into(), &1.into()), "{fine}");
    assert_eq!(fine["live"]["values"], 1, "the librarian's topic has a schema");

    future(
        &home,
        vec![Future { kind: "librarian", name: "librarian" }, Future { kind: "poet", name: "poet" }],
    );

    let done = home.run(&["check", "--live", "fleet.toml"]);
    assert_eq!(done.code, 4, "{done:?}");
    let told: Value = serde_json::from_str(&done.out).expect("JSON where nobody sees it");
    let problems = told["live"]["problems"].as_array().expect("a list");
    let of = |sort: &str| problems.iter().find(|problem| problem["problem"] == sort).expect(sort);
    let schema = of("schema");
    assert_eq!((&schema["name"], &schema["session"]), (&"librarian".into(), &"default".into()));
    assert!(schema["what"].as_str().is_some_and(|what| what.contains("version 7")), "{schema}");
    assert_eq!(of("unknown_kind")["name"], "poet");
    // Nothing is overwritten: the run fails, and the value stays.
    home.run(&["run", "librarian", "lease"]).is(1, &["version 7"]);
    assert_eq!(home.run(&["check", "--live", "fleet.toml"]).code, 4);
    home.good(&["check", "fleet.toml"]);
}

#[test]
fn a_store_is_looked_at_only_where_it_is() {
    let home = Home::new();
    home.run(&["check", "--live"]).is(3, &["no store"]);
    assert!(!home.path().join("store").exists());
    home.write("fleet.toml", "stor = 3");
    let faulty = home.run(&["check", "--live"]);
    assert!(faulty.code == 2 && faulty.out.contains("stor"), "{faulty:?}");
}
