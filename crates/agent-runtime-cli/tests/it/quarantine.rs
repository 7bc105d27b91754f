//! Runs in quarantine: listed, looked at, requeued, forked and dropped.
//!
//! The program hosts no agent that kills it. So the server here is the program's own code with one more kind, dropped as if its process
//! died, and the commands are the program.

use std::process::Stdio;
use std::sync::Arc;

use agent_runtime::prelude::*;
use serde_json::Value;
use tokio::runtime::Runtime as Executor;

use crate::home::Home;
use crate::hosted::{home, serve_kinds};

/// Hosts agents that get stuck in their step, or do it.
#[derive(Debug)]
struct Mill {
    stuck: bool,
}

#[derive(Debug)]
struct Miller {
    spec: AgentSpec,
    stuck: bool,
}

#[async_trait]
impl Agent for Miller {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let grain = input.as_text()?;
        let work = ctx.step("mill", Effect::Repeatable, grain, |_| async move {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            Ok(format!("{grain} flour"))
        });
        Ok(Content::text(work.await?))
    }
}

impl AgentKind for Mill {
    fn name(&self) -> Name {
        Name::new("mill").expect("`mill` is a name")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Miller { spec: spec.clone(), stuck: self.stuck }))
    }
}

fn serve_mill(home: &Home, stuck: bool) -> Executor {
    serve_kinds(home.path(), vec![Arc::new(Mill { stuck })], "[agents.miller]\nkind = \"mill\"\n")
}

/// Lets servers die with a run in them until it is in quarantine. Its id.
fn set_aside(home: &Home, grain: &str) -> (Executor, String) {
    let mut server = serve_mill(home, true);
    let mut command = home.command(&["run", "miller", grain, "--session", grain]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    home.until(&["runs", "--open"], |runs| runs[0]["steps"][0]["phase"] == "dispatched");
    for attempt in 2..=4 {
        drop(server);
        server = serve_mill(home, true);
        home.until(&["runs", "--open"], |runs| runs[0]["attempt"] == attempt);
    }
    drop(server);
    server = serve_mill(home, true);
    let aside = home.until(&["runs", "--quarantined"], |runs| runs[0]["run"].is_string());
    let told = waiting.wait_with_output().expect("it was started");
    let err = String::from_utf8(told.stderr).expect("text");
    assert_eq!(told.status.code(), Some(6), "{err}");
    assert!(err.contains("quarantine"), "{err}");
    (server, aside[0]["run"].as_str().expect("its id").to_owned())
}

fn quarantined(home: &Home) -> Vec<Value> {
    home.json(&["runs", "--quarantined"]).as_array().expect("a list").clone()
}

#[test]
fn a_run_in_quarantine_is_listed_and_looked_at_and_goes_on_when_it_is_requeued() {
    let home = home();
    let (stuck, run) = set_aside(&home, "rye");

    let aside = quarantined(&home);
    assert_eq!(aside.len(), 1);
    let why = aside[0]["waits"][0]["on"]["operator"]["why"].as_str().expect("it says why");
    assert!(why.contains("started 3 times"), "{why}");
    assert!(home.good(&["log", &run]).contains(why));
    assert!(home.good(&["status"]).contains("suspects"));

    drop(stuck);
    let _server = serve_mill(&home, false);
    home.until(&["runs", "--quarantined"], |runs| runs[0]["run"] == *run);
    home.good(&["requeue", &run]);
    let runs = home.until(&["runs"], |runs| runs[0]["phase"] == "ended");
    assert_eq!(runs[0]["outcome"]["completed"]["Inline"]["text"], "rye flour", "{runs}");
    assert_eq!(quarantined(&home).len(), 0);
    home.run(&["requeue", &run]).is(4, &["is over"]);
}

#[test]
fn a_run_in_quarantine_is_forked_and_dropped() {
    let home = home();
    let (stuck, run) = set_aside(&home, "oats");
    drop(stuck);
    let _server = serve_mill(&home, false);
    home.until(&["runs", "--quarantined"], |runs| runs[0]["run"] == *run);

    let copy = home.good(&["fork", &run]);
    home.good(&["log", "--follow", copy.trim()]);
    assert_eq!(quarantined(&home).len(), 1, "the original is as it was");
    home.run(&["requeue", copy.trim()]).is(4, &["is over"]);
    assert!(home.good(&["cancel", &run]).contains("is cancelled"));
    assert_eq!(quarantined(&home).len(), 0);
    home.run(&["requeue", &run]).is(4, &["is over"]);
}

#[test]
fn a_run_that_is_not_in_quarantine_is_not_requeued() {
    let home = home();
    let _server = serve_mill(&home, true);
    let mut command = home.command(&["run", "miller", "rye"]);
    let mut waiting = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it was built");
    home.until(&["runs", "--open"], |runs| runs[0]["steps"][0]["phase"] == "dispatched");

    home.run(&["requeue", "last"]).is(4, &["cannot be requeued", "not in quarantine"]);
    waiting.kill().expect("it runs");
    waiting.wait().expect("it was started");
}
