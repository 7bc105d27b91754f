//! The bus of a runtime.

use std::sync::Arc;

use agent_runtime::events::{BusError, Delivery, Retention};
use agent_runtime::{Event, RuntimeManager, Tenant};
use runtime_testkit::fakes::MapStore;

#[tokio::test]
async fn a_runtime_has_a_bus_over_its_store_that_keeps_the_topics_it_was_told_to() {
    let store = Arc::new(MapStore::new());
    let open = || async {
        let builder = RuntimeManager::builder(Arc::clone(&store) as _);
        let builder = builder.keep("orders/**", Retention::default()).unwrap();
        RuntimeManager::from(builder.open().await.unwrap())
    };

    let runtime = open().await;
    let published = runtime.bus().publish(Event::new("orders/new", &7).unwrap()).await.unwrap();
    assert!(published.position.is_some(), "it is kept");
    let published = runtime.bus().publish(Event::new("others", &7).unwrap()).await.unwrap();
    assert_eq!(published.position, None);
    drop(runtime);

    let runtime = open().await;
    let mailer = runtime.bus().durable("orders/new", "mailer").unwrap().open().await.unwrap();
    let Delivery::Event { event, .. } = mailer.next().await.unwrap() else { panic!("nothing was lost") };
    assert_eq!(event.json::<u32>().unwrap(), 7);
}

#[tokio::test]
async fn each_tenant_has_its_own_topics_and_nobody_writes_to_those_of_the_runtime() {
    let runtime = RuntimeManager::new().await.unwrap();
    let acme = Tenant::new("acme").unwrap();
    let other = RuntimeManager::from(runtime.for_tenant(acme));
    let mut heard = runtime.bus().listen("news").await.unwrap();

    other.bus().publish(Event::new("news", &"theirs").unwrap()).await.unwrap();
    runtime.bus().publish(Event::new("news", &"ours").unwrap()).await.unwrap();
    let refused = runtime.bus().publish(Event::new("agents/docs/run.completed", &7).unwrap()).await;

    assert_eq!(heard.next_event().await.unwrap().json::<String>().unwrap(), "ours");
    assert!(matches!(refused, Err(BusError::Protected { .. })), "{refused:?}");
}
