//! Durable events at `Disk`, against the store's own group commits of the same bytes.

use std::sync::Arc;

use bytes::Bytes;
use runtime_codec::{encode_event, keys};
use runtime_events::{EventBus, Retention};
use runtime_state::RedbStore;
use runtime_traits::store::{Batch, BatchId, Durability, StateStore, Then};
use runtime_traits::{Pool, UnixMillis};

use super::template::Template;
use crate::figures::contest::take_turns;
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::load::{Caller, per_second};
use crate::figures::plan::Plan;

const PUBLISHERS: u128 = 64;

struct Publisher {
    bus: EventBus,
    template: Template,
}

/// Appends the same bytes to the same logs, one batch for each event.
struct Writer {
    store: Arc<RedbStore>,
    template: Template,
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let ours = Arc::new(RedbStore::open(folder.path().join("bus.redb"))?);
    let bare = Arc::new(RedbStore::open(folder.path().join("bare.redb"))?);
    let week = Retention { age: Some(std::time::Duration::from_secs(7 * 86_400)), ..Retention::default() };
    let bus = EventBus::builder().keep("figures/**", week)?.build_over(ours);
    let mut turn = 0_u128;
    let publish = async || {
        turn += 1;
        let publishers: Result<Vec<_>, FiguresError> = (0..PUBLISHERS)
            .map(|nth| Ok(Publisher { bus: bus.clone(), template: template(nth, turn)? }))
            .collect();
        per_second(publishers?, plan.turn).await
    };
    let mut bare_turn = 0_u128;
    let commit = async || {
        bare_turn += 1;
        let writers: Result<Vec<_>, FiguresError> = (0..PUBLISHERS)
            .map(|nth| Ok(Writer { store: Arc::clone(&bare), template: template(nth, bare_turn)? }))
            .collect();
        per_second(writers?, plan.turn).await
    };
    let (value, baseline) = take_turns(plan.rounds, publish, commit).await?;
    Ok(vec![Figure {
        name: "bus-durable",
        value,
        unit: "events/s",
        baseline: Some(baseline),
        against: "`StateStore::commit` of the same bytes by as many writers (redb, `Disk`)",
        bar: Bar::RatioAtLeast(0.8),
        n: plan.rounds,
    }])
}

fn template(nth: u128, turn: u128) -> Result<Template, FiguresError> {
    Ok(Template::new(&format!("figures/durable/{nth}"))?.starting_at(turn << 96 | nth << 64))
}

impl Caller for Publisher {
    async fn call(&mut self) -> Result<(), FiguresError> {
        self.bus.publish(self.template.next()).await?;
        Ok(())
    }
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), FiguresError> {
        let event = self.template.next();
        let log = keys::topic(Pool::MAIN, &event.tenant, &event.topic);
        let entry: Bytes = encode_event(UnixMillis(1_800_000_000_000), &event);
        let batch = Batch {
            id: BatchId(u128::from_be_bytes(event.id.to_bytes())),
            partition: log.partition,
            fence: None,
            when: Vec::new(),
            then: vec![Then::Append(log, vec![entry])],
            durability: Durability::Disk,
        };
        self.store.commit(batch).await?;
        Ok(())
    }
}
