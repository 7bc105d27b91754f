//! Other agents and people, as a model has them at hand.

use std::sync::Arc;

use futures_util::FutureExt as _;
use runtime_agents::{LlmAgent, LlmAgentBuilder, ScriptedModel, Turn};
use runtime_traits::agent::Outside;
use runtime_traits::model::{ChatMessage, ModelRequest};
use runtime_traits::{Content, SessionName, StepSort};

use crate::session::{Session, failed};

fn agent(turns: impl IntoIterator<Item = Turn>) -> (LlmAgentBuilder, Arc<ScriptedModel>) {
    let model = Arc::new(ScriptedModel::in_order("test", turns).recording());
    (LlmAgent::new("front.desk", Arc::clone(&model)), model)
}

fn last(model: &ScriptedModel) -> String {
    let request: ModelRequest = model.requests().pop().unwrap();
    match request.messages.last() {
        Some(ChatMessage::Tool { text, .. } | ChatMessage::User(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_agent_is_asked_in_a_conversation_of_its_own() {
    let ask = Turn::default().calls("ask_the_library", r#"{"input": "What is a lease?"}"#);
    let (builder, model) = agent([ask, Turn::from("As it says.")]);
    let agent = builder.calls("the.library", "Knows the manual.").build().unwrap();
    let session = Session::default();
    session.answer("turn-1/0.ask_the_library", Ok(Content::json("A node's liveness.").unwrap()));
    assert_eq!(session.run(&agent, "lease?").await.unwrap(), "As it says.");

    let step = session.step("turn-1/0.ask_the_library");
    let Some(Outside::Call(call)) = &step.ask.outside else { panic!("{:?}", step.ask.outside) };
    assert_eq!((call.agent.as_str(), call.input.to_string()), ("the.library", "What is a lease?".to_owned()));
    assert_eq!((call.session.clone(), step.ask.sort), (None, StepSort::Call));
    assert_eq!(last(&model), "A node's liveness.");
    // It is a message of this conversation, too.
    assert!(session.step("turn-1/0.said").ask.says);
    let description = &model.requests()[0].tools[0].description;
    assert_eq!(description, "Asks the agent `the.library`: Knows the manual.");
}

#[tokio::test]
async fn an_agent_that_fails_is_told_to_the_model() {
    let (builder, model) = agent([Turn::default().calls("ask_x", r#"{"input": "?"}"#), Turn::from("Well.")]);
    let agent = builder.calls("x", "").build().unwrap();
    let session = Session::default();
    session.answer("turn-1/0.ask_x", failed("there is no agent `x`"));
    assert_eq!(session.run(&agent, "go").await.unwrap(), "Well.");
    assert_eq!(last(&model), "Error: there is no agent `x`");
}

#[tokio::test]
async fn a_person_is_asked_and_the_answer_survives_a_restart() {
    let (builder, model) =
        agent([Turn::default().calls("ask_person", r#"{"question": "Which size?"}"#), Turn::from("L.")]);
    let agent = builder.asks_people().build().unwrap();
    let session = Session::default();
    session.begin();
    assert!(session.attempt(&agent, "a shirt").now_or_never().is_none(), "it waits");
    let step = session.step("turn-1/0.ask_person");
    assert_eq!((step.ask.outside, step.ask.request), (Some(Outside::Answer), Content::text("Which size?")));
    session.answer("turn-1/0.ask_person", Ok(Content::text("large")));
    assert_eq!(session.attempt(&agent, "a shirt").await.unwrap(), "L.");
    assert_eq!((last(&model), model.asked()), ("large".to_owned(), 2));
}

#[tokio::test]
async fn a_conversation_that_is_handed_over_ends_with_the_others_output() {
    let hand = Turn::default()
        .calls("hand_off_to_billing", r#"{"message": "Invoice 7 is wrong."}"#)
        .calls("hand_off_to_sales", r#"{"message": "Buys more."}"#)
        .calls("ask_x", r#"{"input": "?"}"#);
    let (builder, model) = agent([hand]);
    let builder = builder.hand_off_when("billing", "when it is about an invoice").hand_off_to("sales");
    let agent = builder.calls("x", "").build().unwrap();
    let session = Session::default();
    session.answer("turn-1/0.hand_off_to_billing", Ok(Content::text("I changed it.")));
    session.answer("turn-1/2.ask_x", Ok(Content::text("x!")));
    session.answer("turn-1/1.hand_off_to_sales", Ok(Content::text("never asked")));
    assert_eq!(session.run(&agent, "my invoice").await.unwrap(), "I changed it.");
    assert_eq!(model.asked(), 1);
    // The other calls are made before; the first agent that it is handed to has it.
    let keys = [
        "turn-1/model",
        "turn-1/2.ask_x",
        "turn-1/2.said",
        "turn-1/0.hand_off_to_billing",
        "turn-1/0.said",
        "turn-1/1.said",
    ];
    assert_eq!(session.keys(), keys);
    let step = session.step("turn-1/0.hand_off_to_billing");
    let Some(Outside::Call(call)) = step.ask.outside else { panic!("{:?}", step.ask.outside) };
    assert_eq!(call.session, Some(SessionName::new("talk").unwrap()));
    let description = &model.requests()[0].tools[0].description;
    assert!(description.ends_with("for good. Do so when it is about an invoice."), "{description}");
}

#[tokio::test]
async fn a_conversation_that_nobody_takes_stays_here() {
    let hand = Turn::default().calls("hand_off_to_billing", r#"{"message": "?"}"#);
    let empty = Turn::default().calls("hand_off_to_billing", r#"{"message": ""}"#);
    let (builder, model) = agent([empty, hand, Turn::from("I do it myself.")]);
    let agent = builder.hand_off_to("billing").build().unwrap();
    let session = Session::default();
    session.answer("turn-2/0.hand_off_to_billing", failed("it is stopped"));
    assert_eq!(session.run(&agent, "go").await.unwrap(), "I do it myself.");
    assert_eq!(last(&model), "Error: it is stopped");
    assert!(
        !session.keys().contains(&"turn-1/0.hand_off_to_billing".to_owned()),
        "what does not fit is not sent"
    );
}
