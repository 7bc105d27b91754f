//! What is refused.

use std::sync::Arc;

use runtime_traits::Tenant;
use runtime_traits::bus::{BusError, Durable, Event, Live, Overflow, Pattern, Position, Who};

use super::BusFixture;
use super::scene::{Scene, cursor, event, guest, hear_number, tenant, topic, within};

/// `refused-leaves-nothing`: each refusal has its own error, and nobody gets what was refused.
pub async fn refused_leaves_nothing(fixture: &dyn BusFixture) {
    let scene = Scene::open(fixture).await;
    let mut all = scene.listen("**", 64, Overflow::LoseOldest).await;
    let agent = Who::Tenant { tenant: Tenant::default(), agent: Some(guest()) };
    let other = Who::tenant(Tenant::new("other").expect("a good name"));

    let changed = |change: fn(&mut Event)| {
        let mut event = Arc::unwrap_or_clone(event("kept/secret", "ann", 1));
        change(&mut event);
        Arc::new(event)
    };
    let large = changed(|event| event.data = vec![b'1'; 5_000].into());
    let far = changed(|event| event.hops = 4);
    let nobody = changed(|event| event.source = "".into());
    for (who, event, is_right) in [
        (tenant(), large, is_too_large as fn(&BusError) -> bool),
        (tenant(), far, |error| matches!(error, BusError::TooManyHops { limit: 3, .. })),
        (tenant(), nobody, |error| matches!(error, BusError::Malformed { .. })),
        (tenant(), event("system/kept", "ann", 1), |error| matches!(error, BusError::Protected { .. })),
        (tenant(), event("agents/a/run.completed", "ann", 1), |error| {
            matches!(error, BusError::Protected { .. })
        }),
        (agent.clone(), event("kept/secret", "ann", 1), |error| matches!(error, BusError::Forbidden { .. })),
        (other.clone(), event("kept/secret", "ann", 1), |error| matches!(error, BusError::Forbidden { .. })),
    ] {
        let refused = within(scene.bus.publish(&who, event)).await.expect_err("it is refused");
        assert!(is_right(&refused), "{refused:?}");
    }

    let live = |pattern: Pattern| Live::of(pattern);
    let wide = within(scene.bus.listen(&agent, live("kept/*".parse().expect("a good pattern")))).await;
    assert!(matches!(wide, Err(BusError::Forbidden { .. })), "what is allowed in part is refused");
    let foreign = within(scene.bus.listen(&other, live(Pattern::all()))).await;
    assert!(matches!(foreign, Err(BusError::Forbidden { .. })));
    let secret = within(scene.bus.open(&agent, cursor("spy", "kept/secret"))).await;
    assert!(matches!(secret, Err(BusError::Forbidden { .. })));
    let (own, secret) = (Tenant::default(), topic("kept/secret"));
    let read = within(scene.bus.read(&agent, &own, &secret, Position::FIRST, 1)).await;
    assert!(matches!(read, Err(BusError::Forbidden { .. })));
    let gone = within(scene.bus.open(&tenant(), Durable { ..cursor("one", "talk/one") })).await;
    assert!(matches!(gone, Err(BusError::NotDurable { .. })), "a topic that is not kept has no cursors");

    scene.publish("kept/secret", "ann", 7).await;
    assert_eq!(hear_number(&mut *all).await, 7, "nothing that was refused is heard");
    assert_eq!(scene.kept("kept/secret", 1).await, Ok(vec![7]), "nothing that was refused is kept");
}

fn is_too_large(error: &BusError) -> bool {
    matches!(error, BusError::TooLarge { limit: 4_096, .. })
}
