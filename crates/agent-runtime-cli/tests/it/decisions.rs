//! A step that may not be done twice, and whose end nobody knows: somebody has to decide.
//!
//! The program hosts no agent with such a step. So the server here is the program's own code with one more kind, and
//! the commands are the program.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use agent_runtime::prelude::*;
use tokio::runtime::Runtime as Executor;

use crate::hosted::{home, serve_kinds};

/// Hosts agents that charge a card, at most once; some get stuck while they do.
#[derive(Debug)]
struct Till {
    stuck: bool,
}

#[derive(Debug)]
struct Cashier {
    spec: AgentSpec,
    stuck: bool,
}

#[async_trait]
impl Agent for Cashier {
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn run(&self, ctx: Ctx, _: Content) -> Result<Content, AgentError> {
        let receipt: String = ctx
            .step("charge", Effect::AtMostOnce, "a kettle", |_| async move {
                if self.stuck {
                    std::future::pending::<()>().await;
                }
                Err(AgentError::says("the card was charged twice"))
            })
            .await?;
        Ok(Content::text(receipt))
    }
}

impl AgentKind for Till {
    fn name(&self) -> Name {
        Name::new("till").expect("`till` is a name")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Cashier { spec: spec.clone(), stuck: self.stuck }))
    }
}

fn serve_till(folder: &Path, stuck: bool) -> Executor {
    serve_kinds(folder, vec![Arc::new(Till { stuck })], "[agents.cashier]\nkind = \"till\"\n")
}

#[test]
fn a_step_that_may_not_be_done_twice_waits_for_a_decision() {
    let home = home();
    let stuck = serve_till(home.path(), true);
    let mut command = home.command(&["run", "cashier", "a kettle"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    home.until(&["runs", "--open"], |runs| runs[0]["steps"][0]["phase"] == "dispatched");

    drop(stuck);
    let _server = serve_till(home.path(), false);

    let told = waiting.wait_with_output().expect("it was started");
    let err = String::from_utf8(told.stderr).expect("text");
    assert_eq!(told.status.code(), Some(6), "{err}");
    assert!(err.contains("waits for a decision on `charge`"), "{err}");

    home.run(&["decide", "last", "refund", "fail"]).is(4, &["step `refund`", "waits for no decision"]);
    home.good(&["decide", "last", "charge", "assume", "\"receipt 7\""]);
    let runs = home.until(&["runs"], |runs| runs[0]["phase"] == "ended");
    assert_eq!(runs[0]["outcome"]["completed"]["Inline"]["text"], "receipt 7", "{runs}");
    assert!(home.good(&["log", "last"]).contains("step_decided"));
}

#[test]
fn a_run_that_fails_ends_with_1() {
    let home = home();
    let _server = serve_till(home.path(), false);

    home.run(&["run", "cashier", "a kettle"]).is(1, &["failed", "the card was charged twice"]);
}

#[test]
fn a_run_whose_kind_nobody_hosts_says_so_and_waits() {
    let home = home();
    let till = serve_till(home.path(), false);
    home.until(&["agents"], |agents| agents[0]["want"] == "active");
    drop(till);

    let told = home.run(&["run", "cashier", "a kettle"]);

    told.is(6, &["waits for a process that hosts its kind `till`"]);
    assert!(!told.err.contains("10 s for"), "there is nothing to wait for: {}", told.err);
    home.run(&["log", "--follow", "last"]).is(6, &["waits for a process that hosts its kind `till`"]);
    home.good(&["log", "last"]);
    assert_eq!(home.json(&["runs", "--open"]).as_array().expect("a list").len(), 1, "it is kept");
}
