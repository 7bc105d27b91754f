//! What all agents of a tenant may use together: whoever reads a whole store knows what that cell is.

use std::sync::Arc;

use runtime_codec::{CellSort, LimitsRecord, cell_sort, encode, keys};
use runtime_state::{
    ChangeSort, DamageSort, MemoryStore, copy_store, export_store, repair_store, verify_store,
};
use runtime_testkit::block_on;
use runtime_traits::partition::Pool;
use runtime_traits::resource::LimitsBy;
use runtime_traits::store::{Key, StateStore};
use serde_json::{Value, json};

use crate::harmed::{Harm, Harmed};
use crate::lived::{Lived, at};

async fn limited() -> (Lived, Key) {
    let lived = Lived::of("acme").await;
    let key = keys::limits(Pool::MAIN, &lived.tenant);
    let limits = r#"{"max_tokens_total":9000}"#.to_owned();
    let record = LimitsRecord { at: at(7), by: LimitsBy::Hand, counted_since: Some(at(6)), limits };
    lived.put(key.clone(), encode(&record)).await;
    (lived, key)
}

async fn in_cell(store: &dyn StateStore, key: &Key) -> Option<bytes::Bytes> {
    store.get(std::slice::from_ref(key)).await.unwrap().pop().flatten().map(|cell| cell.value)
}

async fn lines(store: &dyn StateStore) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut take = |line| {
        lines.push(serde_json::to_value(&line)?);
        Ok(())
    };
    export_store(store, &mut take).await.unwrap();
    lines
}

#[test]
fn it_is_known_exported_copied_and_kept_by_a_repair() {
    block_on(async {
        let (lived, key) = limited().await;
        let (sort, whose) = cell_sort(&key);
        assert_eq!((sort, whose.tenant.as_ref()), (CellSort::Limits, Some(&lived.tenant)));
        let verified = lived.verify().await;
        assert_eq!((verified.damaged, verified.unknown), (0, 0), "{verified:#?}");

        let exported = lines(&*lived.store).await;
        let line = exported.iter().find(|line| line["line"] == "limits").expect("it has a line");
        let limits = json!({ "max_tokens_total": 9000 });
        let expected =
            json!({ "line": "limits", "tenant": "acme", "at": at(7), "by": "hand", "limits": limits });
        assert_eq!(*line, expected);

        let written = in_cell(&*lived.store, &key).await;
        let copy = MemoryStore::new();
        copy_store(&*lived.store, &copy, |_, _| {}).await.unwrap();
        assert_eq!(in_cell(&copy, &key).await, written);
        // A store that is whole is not repaired.
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.cells.insert(lived.head(), Harm::Cut);
        let whole = MemoryStore::new();
        repair_store(&harmed, &whole, at(100), &mut |_| Ok(()), &mut |_, _| {}).await.unwrap();
        assert_eq!(in_cell(&whole, &key).await, written);
    });
}

#[test]
fn one_that_is_damaged_is_told_and_left_out_by_a_repair() {
    block_on(async {
        let (lived, key) = limited().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.cells.insert(key.clone(), Harm::Cut);

        let verified = verify_store(&harmed, |_| {}).await.unwrap();
        let told: Vec<_> =
            verified.damages.iter().map(|damage| (damage.damage, damage.place.path())).collect();
        assert_eq!(told, [(DamageSort::Record, Some(&key.path))]);
        // A record whose limits are none is damaged too.
        let limits = r#"{"max_tokens":1}"#.to_owned();
        let record = LimitsRecord { at: at(7), by: LimitsBy::Hand, counted_since: None, limits };
        lived.put(key.clone(), encode(&record)).await;
        assert_eq!(lived.verify().await.damaged, 1);

        let whole = MemoryStore::new();
        let repaired = repair_store(&harmed, &whole, at(100), &mut |_| Ok(()), &mut |_, _| {}).await.unwrap();
        assert_eq!(in_cell(&whole, &key).await, None);
        let told = repaired.changes.iter().filter(|change| change.place.path() == Some(&key.path));
        assert_eq!(told.map(|change| change.change).collect::<Vec<_>>(), [ChangeSort::LeftOut]);
    });
}
