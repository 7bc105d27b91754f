//! Teams: who is asked what, in which order, and what becomes of it.

use std::sync::Arc;

use futures_util::FutureExt as _;
use runtime_agents::teams::{Parallel, Router, Sequence, Supervisor, TeamError, TeamKind};
use runtime_traits::agent::{CallRequest, Outside};
use runtime_traits::{Agent, AgentKind, AgentSpec, Content};
use serde_json::{Value, json};

use crate::session::{Session, failed};

fn called(session: &Session) -> Vec<CallRequest> {
    let calls = session.steps().into_iter().map(|step| match step.ask.outside {
        Some(Outside::Call(call)) => *call,
        other => panic!("{other:?}"),
    });
    calls.collect()
}

fn text(text: &str) -> Result<Content, runtime_traits::log::StepFailure> {
    Ok(Content::text(text))
}

#[tokio::test]
async fn a_sequence_hands_each_output_on() {
    let team = Sequence::new("report", ["one", "two", "one"]).unwrap();
    let session = Session::default();
    session.answer("call", text("A"));
    session.answer("call#2", text("B"));
    session.answer("call#3", text("C"));
    assert_eq!(session.run(&team, "go").await.unwrap(), "C");
    let calls: Vec<_> =
        called(&session).into_iter().map(|call| (call.agent, call.input.to_string())).collect();
    let expected = [("one", "go"), ("two", "A"), ("one", "B")];
    assert_eq!(calls, expected.map(|(agent, input)| (agent.to_owned(), input.to_owned())));
    assert!(called(&session).iter().all(|call| call.session.is_none()));

    let session = Session::default();
    session.answer("call", failed("no paper"));
    let said = session.run(&team, "go").await.unwrap_err();
    assert_eq!(said.message(), "the agent `one` failed: no paper");
    assert_eq!(called(&session).len(), 1);
}

#[tokio::test]
async fn those_in_parallel_are_all_asked_at_once() {
    let team = Parallel::new("both", ["zoe", "adam"]).unwrap();
    let session = Session::default();
    session.begin();
    assert!(session.attempt(&team, "go").now_or_never().is_none());
    assert_eq!(called(&session).len(), 2, "both have the input before one of them answers");
    session.answer("call", text("say \"hi\""));
    session.answer("call#2", Ok(Content::json(&json!({"n": 1})).unwrap()));
    assert_eq!(session.attempt(&team, "go").await.unwrap(), r#"{"zoe":"say \"hi\"","adam":{"n":1}}"#);

    let session = Session::default();
    session.answer("call", text("fine"));
    session.answer("call#2", failed("ill"));
    assert_eq!(session.run(&team, "go").await.unwrap_err().message(), "the agent `adam` failed: ill");
}

#[tokio::test]
async fn a_router_chooses_by_words_and_stays_in_the_conversation() {
    let desk = Router::new("desk", "anybody")
        .and_then(|desk| desk.route("support", ["broken", "does not work", "refund"]))
        .and_then(|desk| desk.route("billing", ["Invoice", "refund", ""]))
        .unwrap();
    for (input, agent) in [
        ("My INVOICE, please!", "billing"),
        ("It doesn't; it does-not-work", "support"),
        ("an unbroken row of invoices", "anybody"),
        ("refund", "billing"),
        ("The broken thing: refund", "support"),
        ("hello", "anybody"),
    ] {
        let session = Session::default();
        session.answer("call", text("ok"));
        assert_eq!(session.run(&desk, input).await.unwrap(), "ok");
        let [call] = &called(&session)[..] else { panic!("one call") };
        assert_eq!((call.agent.as_str(), call.input.to_string()), (agent, input.to_owned()), "{input}");
        assert_eq!(call.session.as_ref().map(|session| session.as_str()), Some("talk"));
    }
    let ruled = desk.by(|input| (input.len() > 20).then(|| "reader".to_owned()));
    for (input, agent) in [("my invoice that is so very long", "reader"), ("my invoice", "billing")] {
        let session = Session::default();
        session.answer("call", text("ok"));
        session.run(&ruled, input).await.unwrap();
        assert_eq!(called(&session)[0].agent, agent);
    }
}

#[tokio::test]
async fn a_supervisor_sends_work_back_until_it_is_approved() {
    let team = Supervisor::new("careful", "writer", "editor").unwrap();
    let session = Session::default();
    for (key, said) in [
        ("call", "draft"),
        ("call#2", "Unapproved: too short"),
        ("call#3", "essay"),
        ("call#4", " **Approved.** Fine"),
    ] {
        session.answer(key, text(said));
    }
    assert_eq!(session.run(&team, "write").await.unwrap(), "essay");
    let calls = called(&session);
    let inputs: Vec<String> = calls.iter().map(|call| call.input.to_string()).collect();
    assert_eq!(
        calls.iter().map(|call| call.agent.as_str()).collect::<Vec<_>>(),
        ["writer", "editor", "writer", "editor"]
    );
    assert_eq!(inputs[0], "write");
    assert!(inputs[1].contains("Task:\nwrite\n\nResult:\ndraft"));
    assert!(inputs[2].contains("draft") && inputs[2].contains("too short"));

    let team = team.rounds(1).unwrap();
    let session = Session::default();
    session.answer("call", text("draft"));
    session.answer("call#2", text("No."));
    let said = session.run(&team, "write").await.unwrap_err();
    assert_eq!(said.message(), "`editor` did not approve the work in 1 rounds; its last remarks: No.");
}

#[test]
fn teams_that_cannot_work_are_refused() {
    let nobody: [&str; 0] = [];
    assert_eq!(Sequence::new("a", nobody).unwrap_err(), TeamError::Nobody("agents"));
    let itself = TeamError::Itself { setting: "agents", agent: "A".into() };
    assert_eq!(Parallel::new("a", ["b", "A"]).unwrap_err(), itself);
    assert_eq!(
        Parallel::new("a", ["b", "B"]).unwrap_err(),
        TeamError::Twice { setting: "agents", agent: "B".into() }
    );
    assert!(Sequence::new("a", ["b", "b"]).is_ok());
    assert!(matches!(Sequence::new("a", ["no name"]), Err(TeamError::Name(_))));
    assert!(matches!(Router::new("a", "a"), Err(TeamError::Itself { setting: "otherwise", .. })));
    let desk = Router::new("a", "b").and_then(|desk| desk.route("c", ["x"])).unwrap();
    assert!(matches!(desk.clone().route("C", ["y"]), Err(TeamError::Twice { .. })));
    assert!(matches!(desk.route("a", ["y"]), Err(TeamError::Itself { .. })));
    assert!(matches!(Supervisor::new("a", "b", "a"), Err(TeamError::Itself { setting: "reviewer", .. })));
    let team = Supervisor::new("a", "b", "b").unwrap();
    assert_eq!(team.clone().rounds(0).unwrap_err(), TeamError::Rounds(0));
    assert_eq!(team.rounds(21).unwrap_err(), TeamError::Rounds(21));
}

fn build(kind: &str, config: Value) -> Result<Arc<dyn Agent>, String> {
    let kind = TeamKind::ALL.into_iter().find(|one| one.name().as_str() == kind).unwrap();
    let spec = AgentSpec::new(kind.name().as_str(), "team")
        .unwrap()
        .described("About.")
        .configured(&config)
        .unwrap();
    kind.build(&spec).map_err(|error| error.to_string())
}

#[test]
fn a_declaration_says_the_same_as_the_team_that_it_makes() {
    for (kind, config) in [
        ("sequence", json!({"agents": ["a", "b"]})),
        ("parallel", json!({"agents": ["a", "b"]})),
        ("router", json!({"otherwise": "a", "routes": {"b": ["x", "y z"]}})),
        ("supervisor", json!({"reviewer": "a", "rounds": 2, "worker": "b"})),
    ] {
        let spec = build(kind, config.clone()).unwrap().spec();
        assert_eq!((spec.kind.as_str(), spec.description.as_str()), (kind, "About."));
        assert_eq!(serde_json::from_str::<Value>(spec.config.get()).unwrap(), config);
    }
    for (kind, config, part) in [
        ("sequence", json!({}), "setting `agents` names no agent"),
        ("parallel", json!({"agents": "a"}), "setting `agents` has another type; use a list of agents"),
        ("parallel", json!({"agent": ["a"]}), "unknown setting `agent`; did you mean `agents`?"),
        ("router", json!({"routes": {}}), "setting `otherwise` is missing"),
        (
            "router",
            json!({"otherwise": "a", "routes": {"team": ["x"]}}),
            "setting `routes` names the agent `team` itself",
        ),
        ("supervisor", json!({"worker": "a"}), "setting `reviewer` is missing"),
        ("supervisor", json!({"worker": "a", "reviewer": "b", "rounds": 0}), "setting `rounds` is 0"),
    ] {
        let error = build(kind, config).unwrap_err();
        assert!(error.contains(part), "{error} lacks {part}");
    }
}
