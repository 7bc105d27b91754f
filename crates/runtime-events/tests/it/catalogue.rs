//! The catalogue: what the runtime publishes is what its schemas say, on topics that only it writes to.

use runtime_events::catalogue::{self, Announced, HandlerLost, NodeJoined, RunCompleted};
use runtime_events::{BusError, EventBus};
use serde_json::json;

fn completed() -> RunCompleted {
    let text = |text: &str| text.to_owned();
    RunCompleted {
        agent: text("librarian"),
        run: text("run:main.1.0"),
        session: text("default"),
        input_tokens: 7,
        output_tokens: 3,
    }
}

#[test]
fn topics_are_those_of_the_catalogue() {
    assert_eq!(completed().topic().as_str(), "agents/librarian/run.completed");
    assert_eq!(NodeJoined { node: "-ä b/".to_owned() }.topic().as_str(), "cluster/x---b-/node.joined");
    let lost = HandlerLost { owner: String::new(), subscription: "a".to_owned(), from: 1, to: 2 };
    assert_eq!(lost.topic().as_str(), "system/handler.lost");
    for topic in [completed().topic(), lost.topic()] {
        assert!(topic.is_system());
    }
    assert_eq!(catalogue::sort_of(&completed().topic()).map(|sort| sort.name), Some("run.completed"));
}

#[test]
fn every_sort_has_its_topics_and_a_schema_with_all_its_fields() {
    let sorts = catalogue::all();
    assert!(sorts.len() >= 30, "only {}", sorts.len());
    let mut topics: Vec<_> = sorts.iter().map(|sort| sort.topics.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(topics.len(), sorts.len(), "two sorts have the same topics");
    for sort in &sorts {
        assert!(sort.topics.as_str().ends_with(sort.name), "{sort:?}");
        assert_eq!(sort.schema["type"], "object", "{sort:?}");
    }
    let run = sorts.iter().find(|sort| sort.name == "run.completed").unwrap();
    let fields: Vec<_> = run.schema["properties"].as_object().unwrap().keys().cloned().collect();
    let said = serde_json::to_value(completed()).unwrap();
    let mut wanted: Vec<_> = said.as_object().unwrap().keys().cloned().collect();
    wanted.sort_unstable();
    let mut fields = fields;
    fields.sort_unstable();
    assert_eq!(fields, wanted);
}

#[tokio::test]
async fn nobody_else_publishes_what_the_runtime_publishes() {
    let event = completed().event();
    assert_eq!(event.json::<serde_json::Value>().unwrap()["output_tokens"], json!(3));
    let refused = EventBus::new().publish(event).await;
    assert!(matches!(refused, Err(BusError::Protected { .. })), "{refused:?}");
}
