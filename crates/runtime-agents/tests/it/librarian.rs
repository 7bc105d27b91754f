//! The librarian as an agent: its declaration, its steps, its state.

use std::fs;

use runtime_agents::{Librarian, LibrarianKind};
use runtime_traits::{Agent, AgentKind, AgentSpec, Content, Effect, SpecError};
use serde_json::json;

use crate::port::run;
use crate::support::Folder;

fn manual() -> Folder {
    let paragraph = |n: usize| {
        format!("## Part {n}\n\nThe lease of node {n} ends when it is silent, in part {n}{n}{n}.\n\n")
    };
    Folder::with(&[("a.md", &(1..=9).map(paragraph).collect::<String>())])
}

fn spec(config: serde_json::Value) -> AgentSpec {
    AgentSpec::new("librarian", "Manual").unwrap().configured(&config).unwrap()
}

#[tokio::test]
async fn it_answers_and_streams_the_answer_in_pieces() {
    let folder = manual();
    let librarian = Librarian::new(folder.path());
    let (output, attempt) = run(&librarian, Content::text("When does a lease end?"), None, Vec::new()).await;
    let output = output.unwrap();
    assert!(output.contains("a.md:3"), "{output}");
    assert!(attempt.previews.len() > 1);
    assert_eq!(attempt.previews.concat(), output);
}

#[tokio::test]
async fn the_search_is_one_pure_step_that_is_not_done_twice() {
    let folder = manual();
    let librarian = Librarian::new(folder.path());
    let question = || Content::text("When does a lease end?");
    let (first, attempt) = run(&librarian, question(), None, Vec::new()).await;
    let [(name, effect, request)] = attempt.asked.as_slice() else { panic!("{:?}", attempt.asked) };
    assert_eq!((name.as_str(), effect), ("search", &Effect::Pure));
    assert_eq!(request.parse::<String>().unwrap(), "When does a lease end?");

    // The documents are gone when the run is replayed, and the answer is the recorded one.
    fs::remove_file(folder.at("a.md")).unwrap();
    let (again, replayed) = run(&librarian, question(), None, attempt.recorded()).await;
    assert_eq!(replayed.executed, 0);
    assert_eq!(again.unwrap(), first.unwrap());
    assert_eq!(replayed.state, attempt.state);
}

#[tokio::test]
async fn the_last_topic_survives_the_librarian() {
    let folder = manual();
    let (first, attempt) =
        run(&Librarian::new(folder.path()), Content::text("When does a lease end?"), None, Vec::new()).await;
    let another = Librarian::new(folder.path());
    let follow_up = Content::text("Tell me more about that last topic");
    let (second, _) = run(&another, follow_up, attempt.state, Vec::new()).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(second.starts_with("More on \"When does a lease end?\":"), "{second}");
    let quoted = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("> ")).map(str::to_owned).collect()
    };
    assert!(!quoted(&second).is_empty());
    assert!(quoted(&second).iter().all(|line| !quoted(&first).contains(line)), "{second}");
}

#[tokio::test]
async fn a_question_may_come_as_json() {
    let folder = manual();
    let question = Content::json("When does a lease end?").unwrap();
    let (output, attempt) = run(&Librarian::new(folder.path()), question, None, Vec::new()).await;
    assert!(output.unwrap().contains("a.md:3"));
    assert_eq!(attempt.asked[0].2.parse::<String>().unwrap(), "When does a lease end?");
}

#[tokio::test]
async fn a_question_that_is_no_text_fails_the_run() {
    let folder = manual();
    let (output, _) =
        run(&Librarian::new(folder.path()), Content::bytes(vec![0xff, 0xfe]), None, Vec::new()).await;
    assert_eq!(output.unwrap_err().message(), "the content is not UTF-8 text");
}

#[tokio::test]
async fn a_folder_that_is_removed_between_two_runs_fails_the_second_and_comes_back() {
    let folder = Folder::with(&[("docs/a.md", "A lease ends.\n")]);
    let librarian = Librarian::new(folder.at("docs"));
    let ask = || run(&librarian, Content::text("lease"), None, Vec::new());
    assert!(ask().await.0.is_ok());
    fs::rename(folder.at("docs"), folder.at("away")).unwrap();
    let (output, _) = ask().await;
    let message = output.unwrap_err().message().to_owned();
    assert!(message.contains("/docs` does not exist: create it"), "{message}");
    fs::rename(folder.at("away"), folder.at("docs")).unwrap();
    assert!(ask().await.0.is_ok());
}

#[test]
fn a_librarian_declares_what_its_kind_can_build() {
    let folder = manual();
    let librarian = Librarian::new(folder.path()).named("Manual").unwrap().described("Knows it all.");
    let spec = librarian.spec();
    assert_eq!((spec.kind.to_string(), spec.name.to_string()), ("librarian".into(), "Manual".into()));
    let built = LibrarianKind.build(&spec).unwrap();
    assert!(built.spec().same_as(&spec));
    assert_eq!(LibrarianKind.name(), spec.kind);
}

#[test]
fn a_name_that_is_none_is_refused() {
    assert!(Librarian::new("docs").named("../x").is_err());
}

#[test]
fn a_declaration_that_cannot_be_built_is_refused_with_the_setting_and_the_remedy() {
    let folder = manual();
    let docs = folder.path().to_str().unwrap();
    let cases = [
        (
            json!({}),
            "agent `Manual`: setting `documents` is missing: set `documents` to the folder that holds the documents",
        ),
        (
            json!({ "documents": docs, "fodler": 1 }),
            "agent `Manual`: unknown setting `fodler`: a librarian has one, `documents`, the folder that holds the documents",
        ),
        (
            json!({ "documents": 7 }),
            "agent `Manual`: setting `documents` is no path: set `documents` to the folder that holds the documents",
        ),
        (
            json!({ "documents": "" }),
            "agent `Manual`: setting `documents` is no path: set `documents` to the folder that holds the documents",
        ),
        (
            json!([docs]),
            "agent `Manual`: its settings are no table: set `documents` to the folder that holds the documents",
        ),
    ];
    for (config, message) in cases {
        let error = LibrarianKind.check(&spec(config.clone())).unwrap_err();
        assert!(matches!(error, SpecError::Config { .. }));
        assert_eq!(error.to_string(), message);
        assert_eq!(LibrarianKind.build(&spec(config)).unwrap_err(), error);
    }
}

#[test]
fn a_folder_that_cannot_be_searched_is_refused_by_name() {
    let folder = manual();
    let cases = [
        ("nowhere", "does not exist: create it"),
        ("a.md", "is a file: set `documents` to the folder that holds it"),
    ];
    for (path, message) in cases {
        let error = LibrarianKind.check(&spec(json!({ "documents": folder.at(path) }))).unwrap_err();
        assert!(matches!(error, SpecError::Needs { .. }));
        let text = error.to_string();
        assert!(text.starts_with("agent `Manual` needs its documents: documents folder `"), "{text}");
        assert!(text.contains(&format!("/{path}` {message}")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_ask_at_once() {
    let folder = manual();
    let librarian = std::sync::Arc::new(Librarian::new(folder.path()));
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let librarian = librarian.clone();
        asked.spawn(async move {
            let question = Content::text("When does a lease end?");
            run(librarian.as_ref(), question, None, Vec::new()).await.0.unwrap()
        });
    }
    let answers = asked.join_all().await;
    assert_eq!(answers.len(), 40);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}
