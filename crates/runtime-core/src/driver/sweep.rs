//! Letting go: ended runs beyond the cap, and all that is stored of an agent that is deleted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use runtime_traits::bus::Happening;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::{AgentRef, RuntimeError, Want};
use runtime_traits::store::{Key, Revision, Seq, StateError, Then, When};
use tokio::sync::oneshot;

use super::commit::Patience;
use super::inner::Inner;
use super::load::read;
use super::register::parse_spec;
use super::run_slot::lock;
use crate::engine::batches::{Place, Writes};
use crate::engine::keys;

/// Ended runs above the cap that are let go together.
const SLACK: usize = 1_024;
/// The most that wait beyond these to be let go: then no further run is taken until some are.
const MOST_BEHIND: usize = 4_096;
/// How long a caller waits for that. Who still finds no room is refused.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);
/// Writes in one batch of a sweep.
const GROUP: usize = 200;
/// How often runs are tried to be let go that somebody else lets go as well.
const TRIES: u32 = 3;

/// Partitions in which runs are let go at once.
const SIDE_BY_SIDE: usize = 16;

/// The runs that ended in this process and may be let go, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ended {
    runs: VecDeque<Place>,
    /// How many are being let go.
    going: usize,
    /// Who waits until there is room, first come, first served: among many that are woken at once some would wait for ever.
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl Ended {
    /// How many more may end before too many wait to be let go, of which `cap` are kept.
    fn room(&self, cap: usize) -> usize {
        (cap + SLACK + MOST_BEHIND).saturating_sub(self.runs.len() + self.going)
    }

    /// Whether whoever comes now waits: for room, or behind those who wait for it.
    fn is_behind(&mut self, cap: usize) -> bool {
        // Who waited too long left its place; it did so in the order in which they came.
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
        self.room(cap) <= self.waiting.len()
    }

    /// These could not be let go, and are the first to go the next time.
    fn come_back(&mut self, places: &[Place]) {
        for place in places.iter().rev() {
            self.runs.push_front(place.clone());
        }
    }

    /// So many are gone: as many go on as there is room for.
    fn gone(&mut self, gone: usize, cap: usize) {
        self.going -= gone;
        let mut room = self.room(cap);
        while room > 0
            && let Some(next) = self.waiting.pop_front()
        {
            // Who went away takes no room.
            room -= usize::from(next.send(()).is_ok());
        }
    }
}

/// The runs that are being let go, as long as it is there.
struct Going<'a>(&'a Inner, usize);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        let mut ended = lock(&self.0.ended);
        let rest = ended.going;
        ended.gone(rest, self.1);
    }
}

impl Inner {
    /// Remembers that a run ended, if ended runs are capped.
    pub(super) fn note_ended(&self, place: &Place) {
        let Some(cap) = self.config.max_ended else { return };
        let mut ended = lock(&self.ended);
        ended.runs.push_back(place.clone());
        if ended.runs.len() >= cap + SLACK {
            self.sweep.notify_one();
        }
    }

    /// Whether too many ended runs wait to be let go, or somebody waits for that already.
    pub(super) fn is_behind(&self) -> bool {
        self.config.max_ended.is_some_and(|cap| lock(&self.ended).is_behind(cap))
    }

    /// Waits a moment while that is so, and then refuses: whoever takes runs faster than they go would fill the store.
    ///
    /// Letting go waits for no run, so that whoever is kept from beginning one keeps nobody from it.
    pub(super) async fn until_let_go(&self) -> Result<(), RuntimeError> {
        let Some(cap) = self.config.max_ended else { return Ok(()) };
        let room = {
            let mut ended = lock(&self.ended);
            if !ended.is_behind(cap) {
                return Ok(());
            }
            let (next, room) = oneshot::channel();
            ended.waiting.push_back(next);
            room
        };
        self.sweep.notify_one();
        tokio::select! {
            // Looked at first: who was not asked for so long may have found room all the same.
            biased;
            _ = room => Ok(()),
            () = self.ending.cancelled() => Err(RuntimeError::ShuttingDown),
            () = tokio::time::sleep(LET_GO_WITHIN) => {
                // Those before it may have gone away, and then nothing says so.
                let has_room = lock(&self.ended).room(cap) > 0;
                has_room.then_some(()).ok_or_else(|| RuntimeError::Busy {
                    what: "the list of ended runs that wait to be let go".to_owned(),
                    limit: (cap + SLACK + MOST_BEHIND) as u64,
                    retry_after: LET_GO_WITHIN,
                })
            }
        }
    }

    /// Lets ended runs go whenever there are more than the cap.
    pub(super) async fn keep_sweeping(self: Arc<Self>) {
        let Some(cap) = self.config.max_ended else { return };
        loop {
            tokio::select! {
                () = self.sweep.notified() => {}
                () = self.ending.cancelled() => return,
            }
            let over: Vec<Place> = {
                let mut ended = lock(&self.ended);
                let over = ended.runs.len().saturating_sub(cap);
                ended.going = over;
                ended.runs.drain(..over).collect()
            };
            let _going = Going(&self, cap);
            self.let_go(over, cap).await;
        }
    }

    async fn let_go(&self, runs: Vec<Place>, cap: usize) {
        let mut by_partition: BTreeMap<Partition, Vec<Place>> = BTreeMap::new();
        for place in runs {
            by_partition.entry(place.run.partition()).or_default().push(place);
        }
        // A batch is of one partition, where few of them lie, and each waits its turn behind the runs at work.
        let partitions = stream::iter(by_partition);
        partitions
            .for_each_concurrent(SIDE_BY_SIDE, async |(partition, places)| {
                let _names = self.home(partition).names.read().await;
                for places in places.chunks(GROUP / 6) {
                    let mut tries = TRIES;
                    // Some of it may be let go by what falls due just now: then the rest is looked at again.
                    while let Err(error) = self.let_these_go(partition, places).await {
                        tries -= 1;
                        if tries > 0 && matches!(error, RuntimeError::Store(StateError::Conflict { .. })) {
                            continue;
                        }
                        tracing::warn!(%partition, %error, "ended runs could not be let go; they stay for now");
                        if matches!(&error, RuntimeError::Store(error) if error.is_transient()) {
                            lock(&self.ended).come_back(places);
                        }
                        break;
                    }
                    // Whoever waits goes on with each group: after all of them it might have waited too long.
                    lock(&self.ended).gone(places.len(), cap);
                }
            })
            .await;
    }

    async fn let_these_go(&self, partition: Partition, places: &[Place]) -> Result<(), RuntimeError> {
        let mut writes = Writes::default();
        let mut sessions: HashMap<(&AgentId, &SessionName), (&Place, i64)> = HashMap::new();
        for place in places {
            let cell = keys::ended(&place.tenant, &place.agent, &place.run);
            let Some(written) = self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten() else {
                // It was let go before.
                continue;
            };
            let log = keys::run_log(&place.run);
            // What is counted is what goes, or nothing goes.
            let next = self.store.read(&log, Seq::FIRST, 0).await?.next;
            let bytes = self.bytes_before(&log, next).await?;
            writes.when.push(When::Revision(cell.clone(), written.revision));
            writes.when.push(When::Next(log.clone(), next));
            writes.then.push(Then::Delete(cell));
            writes.then.push(Then::Drop(log));
            writes.then.push(Then::Delete(keys::swept(&place.run)));
            sessions.entry((&place.agent, &place.session)).or_insert((place, 0)).1 += bytes;
        }
        for (place, bytes) in sessions.into_values() {
            // Counted from the head: what a run has said since then, it still needs.
            let head = self.session(place).await?.conversation.head;
            let keep = head.map_or(0, |head| head.last.0 + 1);
            let keep = Seq(keep.saturating_sub(self.config.keep_messages).max(1));
            let messages = keys::messages(&place.tenant, &place.agent, &place.session);
            let bytes = bytes + self.bytes_before(&messages, keep).await?;
            writes.then.push(Then::Trim(messages, keep));
            let Place { tenant, agent, session, .. } = place;
            writes.book(tenant, agent, session, -bytes, self.clock.now());
        }
        if !writes.then.is_empty() {
            self.commit_now(partition, writes).await?;
        }
        Ok(())
    }

    /// The revision of an idempotency key's cell, if the run for which it is `due` still has the key; and the run, which may
    /// be let go like the others once the cell is gone.
    pub(super) async fn forget_key(
        &self,
        cell: &Key,
        due: &Key,
    ) -> Result<Option<(Revision, Option<Place>)>, RuntimeError> {
        let Some(written) = self.store.get(std::slice::from_ref(cell)).await?.pop().flatten() else {
            return Ok(None);
        };
        let run = read::<runtime_codec::IdemRecord>(cell, &written)?.run;
        if keys::last_part(due) != Some(run.unique().simple().to_string().as_str()) {
            return Ok(None);
        }
        let place = keys::of_idem(cell).map(|(tenant, agent, session)| Place { tenant, agent, session, run });
        Ok(Some((written.revision, place)))
    }

    /// Frees an idempotency key whose run was let go. One whose run is still known, without its log, is damage: to
    /// take the key for free would do the run's work once more.
    pub(super) async fn free_key(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        cell: &Key,
        run: &RunId,
    ) -> Result<(), RuntimeError> {
        let known = [keys::open(run), keys::ended(tenant, agent, run), cell.clone()];
        let found = self.store.get(&known).await?;
        if found[0].is_some() || found[1].is_some() {
            return Err(RuntimeError::Damaged { what: format!("the log of `{run}`") });
        }
        let Some(written) = &found[2] else { return Ok(()) };
        let when = vec![When::Revision(cell.clone(), written.revision)];
        let writes = Writes::of(when, vec![Then::Delete(cell.clone())]);
        if read::<runtime_codec::IdemRecord>(cell, written)?.run != *run {
            return Ok(());
        }
        match self.commit_now(cell.partition, writes).await {
            // Somebody else freed it, and may have taken it: the acceptance sees to that.
            Ok(_) | Err(StateError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an agent with all that is stored of it.
    pub(super) async fn unregister(&self, tenant: &Tenant, agent: &AgentRef) -> Result<(), RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let _names = self.share_names(id.partition()).await?;
        let spec = keys::spec(tenant, &id);
        let record = self.record::<runtime_codec::SpecRecord>(&spec).await?;
        let record = record.ok_or_else(|| RuntimeError::UnknownAgent { agent: agent.to_string() })?;
        let name = parse_spec(&record)?.name;
        self.withdraw(tenant, &id, agent, &name).await?;
        self.unname(tenant, &id, &name).await?;
        lock(&self.attached).remove(&id);
        self.meter.forget(&id);
        if let Some(governing) = &self.governing {
            governing.governor().forget(&id);
        }
        self.purge(tenant, &id).await?;
        self.forget_withdrawal(&id).await
    }

    /// Takes an agent's name away, if it is still its own.
    pub(super) async fn unname(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        name: &Name,
    ) -> Result<(), RuntimeError> {
        let alias = keys::name(self.pool, tenant, name);
        let written = self.store.get(std::slice::from_ref(&alias)).await?.pop().flatten();
        if let Some(written) = written
            && read::<runtime_codec::NameRecord>(&alias, &written)?.agent == *agent
        {
            let when = vec![When::Revision(alias.clone(), written.revision)];
            let then = vec![Then::Delete(alias.clone())];
            self.commit_unfenced(alias.partition, Writes::of(when, then)).await?;
        }
        lock(&self.names).remove(&(tenant.clone(), name.folded()));
        Ok(())
    }

    /// Whether somebody began to delete the agent.
    pub(super) async fn is_withdrawn(&self, tenant: &Tenant, agent: &AgentId) -> Result<bool, RuntimeError> {
        let cell = keys::want(tenant, agent);
        Ok(self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten().is_none())
    }

    /// Takes back what somebody wants of an agent that is stopped and has no open run: from here on it takes none, and
    /// a crash leaves a cell that falls due and has the rest removed.
    async fn withdraw(
        &self,
        tenant: &Tenant,
        id: &AgentId,
        agent: &AgentRef,
        name: &Name,
    ) -> Result<(), RuntimeError> {
        let refused = |reason: &str| RuntimeError::WrongState {
            agent: agent.to_string(),
            action: "deleted".to_owned(),
            reason: reason.to_owned(),
        };
        let home = self.home(id.partition());
        let _admin = home.admin.lock(id).await;
        let cell = keys::want(tenant, id);
        let written = self.store.get(std::slice::from_ref(&cell)).await?.pop().flatten();
        // Somebody began to delete it, and did not come to the end.
        let Some(written) = written else { return Ok(()) };
        if read::<runtime_codec::WantRecord>(&cell, &written)?.want != Want::Stopped {
            return Err(refused("it is not stopped; stop it first"));
        }
        if lock(&home.state).runs.values().any(|run| run.place.agent == *id) {
            return Err(refused("it has open runs; cancel them or let them end first"));
        }
        let due = runtime_codec::Due::Unnamed { tenant: tenant.clone(), agent: *id, name: name.to_string() };
        let due_cell =
            keys::due(id.partition(), self.clock.now(), &format!("unnamed/{}", id.unique().simple()));
        let mut writes = Writes::of(
            vec![When::Revision(cell.clone(), written.revision)],
            vec![Then::Delete(cell), Then::Put(due_cell, runtime_codec::encode(&due))],
        );
        // From here on it is seen through, whatever crashes.
        let teller = self.teller(tenant, id, Patience::OfCaller).await?;
        teller.tell(&mut writes.told, &Happening::Deleted, None, self.clock.now());
        self.commit_now(id.partition(), writes).await?;
        lock(&home.state).agents.remove(&id.unique());
        Ok(())
    }
}
