//! The routes of the bus, as far as they need none. `agent-runtime` tests them over real ones.

use crate::support::{Answer, Place, client};

#[tokio::test]
async fn a_service_without_a_bus_says_so() {
    let place = Place::new().await;

    for path in ["/v1/events?topic=orders", "/v1/events/kept?topic=orders"] {
        let answer = place.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (501, "no-events"), "{path}");
    }
    let event = r#"{"specversion": "1.0", "id": "1", "source": "till", "type": "orders"}"#;
    let answer = place.post("/v1/events", event).await;
    assert_eq!((answer.status, answer.problem().as_str()), (501, "no-events"));
}

#[tokio::test]
async fn an_event_in_another_form_is_refused() {
    let place = Place::new().await;
    let request = client().post(place.url("/v1/events")).header("content-type", "text/plain").body("{}");

    let answer = Answer::of(request).await;

    assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"));
    assert!(answer.body.contains("application/cloudevents+json"), "{answer:?}");
}
