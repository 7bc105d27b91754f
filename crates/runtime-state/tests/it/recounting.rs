//! What a repair leaves to be done and to be counted: counters say what is there, and runs that it ended go as others do.

use std::sync::Arc;
use std::time::Duration;

use runtime_codec::{ContentMark, Due, decode, encode, keys};
use runtime_state::{MemoryStore, repair_store};
use runtime_testkit::block_on;
use runtime_testkit::recount::{counted, recount};
use runtime_traits::RunId;
use runtime_traits::store::{Key, Seq, StateStore};

use crate::harmed::{Harm, Harmed};
use crate::lived::{HERE, Lived, at};

const DAY: u64 = 24 * 60 * 60 * 1_000;

async fn repaired(from: &dyn StateStore) -> MemoryStore {
    let store = MemoryStore::new();
    repair_store(from, &store, at(100), &mut |_| Ok(()), &mut |_, _| {}).await.unwrap();
    store
}

/// A store whose counters are right: over three days, as a runtime makes them.
async fn counted_right() -> Lived {
    let lived = Lived::in_memory().await;
    let (tenant, agent, session) = (&lived.tenant, &lived.agent, &lived.session);
    let mark = ContentMark {
        at: at(1),
        len: lived.large.bytes.len() as u64,
        of: Some((lived.agent, lived.session.clone())),
    };
    lived.put(keys::mark(tenant, HERE, &lived.large.digest()), encode(&mark)).await;
    let all: i64 = recount(&*lived.store).await.values().sum();
    for (day, by) in [(keys::DAYS_BEFORE, 7), (20_000, 11), (20_001, all - 18)] {
        lived.put(keys::size(tenant, agent, day), by.to_string()).await;
        lived.put(keys::session_size(tenant, agent, session, day), by.to_string()).await;
    }
    assert_eq!(counted(&*lived.store).await, recount(&*lived.store).await);
    lived
}

#[test]
fn counters_say_what_the_new_store_has_whatever_was_damaged() {
    block_on(async {
        let lived = counted_right().await;
        let (tenant, agent, session) = (&lived.tenant, &lived.agent, &lived.session);
        let entries = [
            (lived.messages(), Seq(3)),
            (keys::run_log(&lived.open), Seq(3)),
            (keys::run_log(&lived.open), Seq(1)),
            (keys::run_log(&lived.ended[1]), Seq(2)),
        ];
        let cells = [
            keys::state(tenant, agent, session),
            keys::mark(tenant, HERE, &lived.large.digest()),
            keys::size(tenant, agent, 20_001),
            keys::session_size(tenant, agent, session, 20_000),
            keys::session_size(tenant, agent, session, keys::DAYS_BEFORE),
            keys::blob(tenant, HERE, &lived.large.digest(), 0),
            keys::open(&lived.open),
        ];
        let entry = |place| {
            let mut harmed = Harmed::over(Arc::clone(&lived.store));
            harmed.entries.insert(place, Harm::Cut);
            harmed
        };
        let cell = |key: Key| {
            let mut harmed = Harmed::over(Arc::clone(&lived.store));
            harmed.cells.insert(key, Harm::Unreadable);
            harmed
        };
        for harmed in entries.into_iter().map(entry).chain(cells.into_iter().map(cell)) {
            let store = repaired(&harmed).await;
            let what = format!("{:?} {:?}", harmed.entries, harmed.cells);
            assert_eq!(counted(&store).await, recount(&store).await, "{what}");
            // What is right stays, so that what grew lately is still known.
            let today = keys::size(tenant, agent, 20_001);
            let is_damaged = harmed.cells.contains_key(&today);
            assert!(is_damaged || store.get(&[today]).await.unwrap()[0].is_some(), "{what}");
        }
    });
}

#[test]
fn a_store_of_which_nothing_was_counted_is_counted() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(3)), Harm::Unreadable);
        let store = repaired(&harmed).await;
        assert_eq!(counted(&store).await, recount(&store).await);
        assert!(!counted(&store).await.is_empty());
    });
}

async fn due(store: &dyn StateStore, after: Duration, what: &str, run: &RunId) -> Option<Due> {
    let cell = keys::due(HERE, at(100).after(after), &format!("{what}/{}", run.unique().simple()));
    let cell = store.get(&[cell]).await.unwrap().pop().flatten()?;
    Some(decode(&cell.value).unwrap())
}

#[test]
fn the_log_of_a_run_that_a_repair_ended_is_let_go_as_others_are() {
    block_on(async {
        // Of one its end is lost, of another all but that there was one.
        for lost in [3, 1] {
            let lived = Lived::in_memory().await;
            let mut harmed = Harmed::over(Arc::clone(&lived.store));
            harmed.entries.insert((keys::run_log(&lived.open), Seq(lost)), Harm::Unreadable);
            let store = repaired(&harmed).await;
            let (tenant, agent, session) = (lived.tenant.clone(), lived.agent, lived.session.clone());
            let sweep = Due::Sweep { tenant, agent, session, run: lived.open };
            let month = Duration::from_millis(30 * DAY);
            assert_eq!(due(&store, month, "sweep", &lived.open).await, Some(sweep), "entry {lost}");
        }
    });
}

#[test]
fn the_begin_of_a_copy_that_nobody_ended_is_no_open_run_of_the_repaired_store() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let (tenant, agent, session) = (lived.tenant.clone(), lived.agent, lived.session.clone());
        let cell = keys::due(HERE, at(500), &format!("sweep/{}", lived.open.unique().simple()));
        lived.put(cell.clone(), encode(&Due::Sweep { tenant, agent, session, run: lived.open })).await;
        lived.delete(keys::open(&lived.open)).await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(3)), Harm::Unreadable);
        let store = repaired(&harmed).await;
        let kept = store.get(&[keys::open(&lived.open), cell]).await.unwrap();
        assert!(kept[0].is_none(), "what was never accepted is not worked");
        assert!(kept[1].is_some(), "and goes in time");
    });
}

#[test]
fn what_is_to_be_done_for_a_run_is_known_from_its_path_and_its_log() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let (tenant, agent, session) = (lived.tenant.clone(), lived.agent, lived.session.clone());
        let cell =
            |what: &str, run: &RunId| keys::due(HERE, at(500), &format!("{what}/{}", run.unique().simple()));
        let key = runtime_traits::IdempotencyKey::new("once").unwrap();
        let forgotten = keys::idem(&tenant, &agent, &session, &key).path.as_bytes().to_vec();
        let dues = [
            (cell("sweep", &lived.ended[0]), Due::Sweep { tenant, agent, session, run: lived.ended[0] }),
            (cell("key", &lived.open), Due::ForgetKey { cell: forgotten }),
            (cell("wake", &lived.open), Due::Wake { run: lived.open }),
        ];
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        for (key, due) in &dues {
            lived.put(key.clone(), encode(due)).await;
            harmed.cells.insert(key.clone(), Harm::Cut);
        }
        let store = repaired(&harmed).await;
        for (key, due) in dues {
            let found = store.get(std::slice::from_ref(&key)).await.unwrap().pop().flatten().unwrap();
            assert_eq!(decode::<Due>(&found.value).unwrap(), due, "{key}");
        }
    });
}
