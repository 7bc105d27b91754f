//! Looking for damage while somebody writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use runtime_codec::{OpenRun, encode, keys};
use runtime_state::Scrubber;
use runtime_testkit::block_on;
use runtime_traits::id::RunId;
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount};
use runtime_traits::store::{Seq, StateStore, Then};
use uuid::Uuid;

use crate::harmed::{Harm, Harmed};
use crate::lived::{HERE, Lived, newer};

#[derive(Default)]
struct Counted(AtomicU64);

#[async_trait]
impl Pace for Counted {
    async fn read(&self, values: u64) {
        self.0.fetch_add(values, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Ears(Mutex<Vec<Finding>>);

impl Heard for Ears {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap().push(finding);
    }

    fn read(&self, _so_far: ScrubCount) {}
}

async fn pass(store: Arc<dyn StateStore>, pace: Arc<dyn Pace>) -> (ScrubCount, Vec<Finding>) {
    let ears = Arc::new(Ears::default());
    let count = Scrubber::new(store).pass(pace, Arc::clone(&ears) as Arc<dyn Heard>).await.unwrap();
    let found = std::mem::take(&mut *ears.0.lock().unwrap());
    (count, found)
}

#[test]
fn what_is_damaged_is_told_by_agent_and_session_and_every_value_is_paid_for() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(2)), Harm::Cut);
        let pace = Arc::new(Counted::default());
        let (count, found) = pass(Arc::new(harmed), Arc::clone(&pace) as Arc<dyn Pace>).await;
        assert!(pace.0.load(Ordering::Relaxed) >= count.cells + count.entries);
        assert_eq!(found.len() as u64, count.damaged);
        let told = found.iter().find(|finding| finding.place.contains("entry 2 of log t/")).unwrap();
        assert_eq!((told.agent, told.session.as_ref()), (Some(lived.agent), Some(&lived.session)));
    });
}

#[test]
fn what_is_found_last_is_told_and_what_is_newer_is_no_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let head = runtime_traits::log::Head {
            last: Seq(6),
            messages: 6,
            run: lived.ended[2],
            at: crate::lived::at(3),
        };
        lived.put(lived.head(), newer(&head)).await;
        let (count, found) = pass(Arc::clone(&lived.store), Arc::new(Counted::default())).await;
        assert_eq!((count.damaged, found), (0, vec![]));

        // The log of the open run is the last one that is read.
        lived.delete(lived.head()).await;
        lived.write(HERE, vec![Then::Drop(lived.messages()), Then::Delete(keys::open(&lived.open))]).await;
        let (count, found) = pass(Arc::clone(&lived.store), Arc::new(Counted::default())).await;
        assert!(found.iter().any(|finding| finding.run == Some(lived.open)), "{found:?}");
        assert_eq!(found.len() as u64, count.damaged);
    });
}

/// Between two pages somebody accepts a run, ends another one and goes on with the conversation.
struct Busy {
    lived: Lived,
    log: Mutex<Vec<Bytes>>,
    turns: AtomicU64,
}

#[async_trait]
impl Pace for Busy {
    async fn read(&self, _values: u64) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let Lived { tenant, agent, session, .. } = &self.lived;
        let run = |turn: u64| RunId::from_parts(HERE, Uuid::from_u128(0xffff_0000 + u128::from(turn)));
        let entries = self.log.lock().unwrap().clone();
        let open = OpenRun { tenant: tenant.clone(), agent: *agent, session: session.clone() };
        let mut then = vec![
            Then::Append(keys::run_log(&run(turn)), entries[..2].to_vec()),
            Then::Put(keys::open(&run(turn)), encode(&open)),
        ];
        if let Some(before) = turn.checked_sub(1) {
            let over = keys::ended(tenant, agent, &run(before));
            let record = runtime_codec::EndedRun { session: session.clone(), at: crate::lived::at(9) };
            then.extend([
                Then::Append(keys::run_log(&run(before)), entries[2..].to_vec()),
                Then::Delete(keys::open(&run(before))),
                Then::Put(over, encode(&record)),
            ]);
        }
        if let Some(before) = turn.checked_sub(3) {
            then.push(Then::Delete(keys::ended(tenant, agent, &run(before))));
            then.push(Then::Drop(keys::run_log(&run(before))));
        }
        self.lived.write(HERE, then).await;
    }
}

#[test]
fn what_is_written_meanwhile_is_no_damage() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let store = Arc::clone(&lived.store);
        let log = keys::run_log(&lived.ended[0]);
        let entries = store.read(&log, Seq(1), 3).await.unwrap().entries;
        let busy = Busy { lived, log: Mutex::new(entries), turns: AtomicU64::new(0) };
        let (count, found) = pass(store, Arc::new(busy)).await;
        assert_eq!((count.damaged, found), (0, vec![]));
        assert!(count.cells > 20);
    });
}
