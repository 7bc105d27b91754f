//! The case about copies of a store.

use std::fmt::Debug;

use runtime_traits::store::{Durability, Key, Log, Seq, Sharing, StateError};

use super::StoreFixture;
use super::probe::{HERE, Probe, With, append, batch, fail, key, log, put};

/// `primary`: a shared store never reads from a replica.
pub async fn primary(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let store = &probe.store;
    let Some(copies) = fixture.copies() else {
        let sharing = store.profile().sharing;
        assert_eq!(
            sharing,
            Sharing::Single,
            "a store that processes share has copies, and its fixture shows them"
        );
        return;
    };
    let best = store.profile().best;
    probe.write(batch(vec![put("before", 1), append("before", [1])]).at(best)).await;
    if let Ok(copy) = copies.open_copy().await {
        fail(&format!("a copy was opened as if it were the store: {copy:?}"));
    }

    copies.demote().await;
    expect_refused("get", store.get(&[key("before")]).await);
    expect_refused("scan", store.scan(&Key::all(HERE), None, 9).await);
    expect_refused("read", store.read(&log("before"), Seq::FIRST, 9).await);
    expect_refused("logs", store.logs(&Log::all(HERE), None, 9).await);
    expect_refused("partitions", store.partitions().await);
    let during = batch(vec![put("during", 1)]);
    for level in [Durability::Memory, best] {
        expect_refused("commit", store.commit(during.clone().at(level)).await);
    }

    copies.promote().await;
    // It may take the store a moment to notice.
    while let Err(error) = store.get(&[key("before")]).await {
        expect_refused::<()>("get", Err(error));
        tokio::task::yield_now().await;
    }
    assert_eq!(probe.value("before").await.as_deref(), Some("1"));
    assert_eq!(probe.entries("before").await, ["1"]);
    assert_eq!(probe.cell("during").await, None, "a batch that was refused");
    assert!(store.commit(during.at(best)).await.is_ok(), "the primary again");
}

#[track_caller]
fn expect_refused<T: Debug>(what: &str, answer: Result<T, StateError>) {
    assert!(matches!(answer, Err(StateError::Unavailable { .. })), "{what} from a copy: {answer:?}");
}
