//! Schedules: one that nothing fires is found and mended; one that cannot be read is told.

use runtime_codec::{Due, ScheduleRecord, decode, encode, keys};
use runtime_state::{ChangeSort, MemoryStore, repair_store, verify_store};
use runtime_testkit::block_on;
use runtime_traits::name::Name;
use runtime_traits::schedule::{Schedule, ScheduledBy, Timing};
use runtime_traits::store::{Key, StateStore};

use crate::lived::{Lived, at};

fn name() -> Name {
    Name::new("morning").unwrap()
}

/// A store with a schedule, and the schedule's cells.
async fn scheduled() -> (Lived, Key, Key) {
    let lived = Lived::in_memory().await;
    let schedule = Schedule::new(name(), Timing::cron("@daily"), "go");
    let record = ScheduleRecord {
        schedule: serde_json::to_string(&schedule).unwrap(),
        by: ScheduledBy::Hand,
        declared_at: at(1),
        id: 7,
        since: at(1),
        upto: at(1),
        paused: false,
        next: Some(at(90_000)),
        fired: 0,
        missed: 0,
        last: vec![],
    };
    let cell = keys::schedule(&lived.tenant, &lived.agent, &name());
    let due = keys::due_schedule(&lived.agent, at(90_000), &name());
    let fires =
        Due::Schedule { tenant: lived.tenant.clone(), agent: lived.agent, name: "morning".to_owned() };
    lived.put(cell.clone(), encode(&record)).await;
    lived.put(due.clone(), encode(&fires)).await;
    (lived, cell, due)
}

async fn repaired(lived: &Lived) -> (MemoryStore, Vec<ChangeSort>) {
    let store = MemoryStore::new();
    let repaired =
        repair_store(&*lived.store, &store, at(100), &mut |_| Ok(()), &mut |_, _| {}).await.unwrap();
    assert_eq!(verify_store(&store, |_| {}).await.unwrap().damaged, 0);
    // What is stored of the agent is counted anew, as with every repair.
    let of_schedules = repaired.changes.iter().filter(|change| change.place.to_string().contains("schedule"));
    (store, of_schedules.map(|change| change.change).collect())
}

async fn due_in(store: &dyn StateStore, due: &Key) -> Option<Due> {
    let cell = store.get(std::slice::from_ref(due)).await.unwrap().pop().flatten()?;
    Some(decode(&cell.value).unwrap())
}

#[test]
fn a_schedule_that_nothing_fires_is_damage_and_is_fired_again_once_repaired() {
    block_on(async {
        let (lived, cell, due) = scheduled().await;
        assert_eq!(lived.verify().await.damaged, 0);
        lived.delete(due.clone()).await;
        let verified = lived.verify().await;
        assert_eq!(verified.damaged, 1, "{verified:#?}");
        assert_eq!(verified.damages[0].place.to_string(), format!("cell {}", cell.path));
        assert_eq!(verified.damages[0].what, "nothing fires the schedule `morning`");

        let (store, changes) = repaired(&lived).await;
        assert_eq!(changes, [ChangeSort::Mended]);
        assert!(
            matches!(due_in(&store, &due).await, Some(Due::Schedule { agent, .. }) if agent == lived.agent)
        );
        assert!(store.get(&[cell]).await.unwrap()[0].is_some());
    });
}

#[test]
fn a_due_cell_of_a_schedule_that_cannot_be_read_follows_from_its_path() {
    block_on(async {
        let (lived, _, due) = scheduled().await;
        lived.put(due.clone(), "no record").await;
        assert_eq!(lived.verify().await.damaged, 1);

        let (store, changes) = repaired(&lived).await;
        assert_eq!(changes, [ChangeSort::Mended]);
        assert!(matches!(due_in(&store, &due).await, Some(Due::Schedule { name, .. }) if name == "morning"));
    });
}

#[test]
fn a_schedule_that_cannot_be_read_is_told_and_left_out() {
    block_on(async {
        let (lived, cell, _) = scheduled().await;
        lived.put(cell.clone(), "no record").await;
        assert_eq!(lived.verify().await.damaged, 1);

        let (store, changes) = repaired(&lived).await;
        assert_eq!(changes, [ChangeSort::LeftOut]);
        assert!(store.get(&[cell]).await.unwrap()[0].is_none());
    });
}
