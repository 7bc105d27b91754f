//! What an attempt appends goes to the store; what rides with the run's end goes along; the next run's turn comes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use runtime_codec::Mail;
use runtime_traits::content::Content;
use runtime_traits::error::Cause;
use runtime_traits::id::RunId;
use runtime_traits::log::{Accepted, AttemptEnded, AttemptEnding, Entry, EntryKind, Outcome, Phase, RunView};
use runtime_traits::runtime::{Finished, RuntimeError, Want};
use runtime_traits::store::{Seq, StateError};

use super::announce::Teller;
use super::attempt::READ_AGAIN_AFTER;
use super::commit::Patience;
use super::inner::{AgentSlot, Inner};
use super::parking::{LOOK_FOR_ROOM, waits_for_room};
use super::run_slot::{RunSlot, Stage, lock};
use super::succeed::Successor;
use super::trials::Gate;
use super::wake::{other_version, reason};
use crate::engine::batches::{End, Place, Writes, closed_timers, fitting, open_timers};
use crate::engine::claim::{Next, pause_of, start};
use crate::engine::machine::{Outgoing, Over, RunMachine, state_left};
use crate::engine::mail::{drop_children, dropped_children, start as start_of};
use crate::engine::session::{Known, Session};
use crate::engine::suspects::holds_session;

/// Sessions of one agent above which idle ones are no longer kept in memory.
const SESSIONS_KEPT: usize = 1_024;

impl Inner {
    /// Commits what a machine appended.
    pub(super) async fn write(
        self: Arc<Self>,
        slot: Arc<RunSlot>,
        machine: Arc<Mutex<RunMachine>>,
        outgoing: Outgoing,
    ) -> Result<(), StateError> {
        let place = &slot.place;
        let partition = place.run.partition();
        if !outgoing.blobs.is_empty() {
            Box::pin(self.write_blobs(place, &outgoing.blobs, Patience::OfRun)).await?;
        }
        let ended = match outgoing.entries.last() {
            Some(Entry { kind: EntryKind::Ended(ended), at, .. }) => Some((ended, *at)),
            _ => None,
        };
        let teller = self.teller(&place.tenant, &place.agent, Patience::OfRun).await?;
        let mut writes = Writes::append(place, &outgoing.entries);
        writes.say(place, &outgoing.messages);
        // Never the machine's lock and the partition's at once: others take them the other way round.
        let log = {
            let machine = lock(&machine);
            let log = machine.log();
            writes.undue(&place.run, closed_timers(log, &outgoing.entries));
            leave_for(&mut writes, place, log, &outgoing);
            teller.tell_run(&mut writes.told, place, log, &outgoing.entries);
            teller.tell_refused(&mut writes.told, &place.run, &outgoing);
            if ended.is_some() { log.to_vec() } else { Vec::new() }
        };
        let mut known = None;
        if let (Some((ended, at)), Some(accepted)) = (ended, accepted_of(&log)) {
            writes.undue(&place.run, open_timers(&log));
            let before = self.known_session(place).await.map_err(store_error)?;
            let keep = self.config.keep_runs;
            let end = End { log: &log, accepted, ended, at, state: state_left(&log), before: None, keep };
            known = Some(self.ride(&mut writes, &teller, place, end, before, outgoing.successor));
        }
        self.commit(partition, writes.booked(place, self.clock.now())).await?;
        if let Some((known, successor)) = known {
            self.in_session(place, |session| session.known = Some(known));
            if let Some(successor) = successor {
                self.seat_successor(place, successor);
            }
        }
        self.trials.committed(&place.run, &outgoing.entries);
        slot.recorded(&outgoing.entries);
        let durable = {
            let mut machine = lock(&machine);
            machine.committed();
            machine.durable() as u64
        };
        slot.committed(durable);
        Ok(())
    }

    /// Adds what rides with the end of a run that had begun, the begin of its successor with it.
    fn ride(
        &self,
        writes: &mut Writes,
        teller: &Teller<'_>,
        place: &Place,
        end: End<'_>,
        before: Known,
        successor: Option<(RunId, Content)>,
    ) -> (Known, Option<Successor>) {
        let end = End { before: before.state.clone(), ..end };
        let kept = match &end.ended.outcome {
            Outcome::RolledBack => before.state,
            _ => end.state.clone().or(before.state),
        };
        self.keep_use(writes, place, end.log);
        let after = writes.end(place, end.clone(), Some(before.conversation));
        let conversation = after.unwrap_or(before.conversation);
        let known = Known { conversation, state: kept };
        if let Some((run, input)) = successor {
            let (successor, log) = self.succeed(writes, place, &end, run, &input);
            teller.tell_run(&mut writes.told, &Place { run, ..place.clone() }, &log, &log);
            return (known, Some(successor));
        }
        if let Some(version) = self.begins_with(place)
            && let Some(Some(next)) = self.in_session(place, Session::promise_next)
        {
            let epoch = self.home(place.run.partition()).owner.get().map_or(0, |owner| owner.epoch);
            let next = Place { run: next, ..place.clone() };
            let begin = [self.started(Seq(2), 1, epoch, version)];
            writes.join(Writes::append(&next, &begin));
            teller.tell_run(&mut writes.told, &next, &begin, &begin);
        }
        (known, None)
    }

    /// The version of the kind with which the session's next run begins, if it may.
    pub(super) fn begins_with(&self, place: &Place) -> Option<u32> {
        if self.is_draining() || self.config.at_rest || self.trials.are_on() {
            return None;
        }
        let state = lock(&self.home(place.agent.partition()).state);
        let agent = state.agents.get(&place.agent.unique())?;
        (agent.want != Want::Stopped && agent.agent.is_some()).then_some(agent.kind_version)
    }

    /// An attempt ended and all of it is committed, or the store refused it.
    pub(super) async fn attempt_over(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        machine: &Mutex<RunMachine>,
        result: Result<(), StateError>,
    ) {
        if let Err(error) = result {
            tracing::error!(run = %slot.place.run, %error, "the store refused the run's log; it stays open");
            return slot.set_stage(Stage::Left(error.into()));
        }
        let (over, log) = {
            let mut machine = lock(machine);
            self.keep_asks(slot, machine.take_waited(), machine.counted_as(), machine.priority());
            (machine.over(), machine.take_log())
        };
        match over {
            Over::Run => self.run_over(slot, &log).await,
            Over::Attempt | Over::No => self.attempt_parked(slot, &log),
        }
    }

    /// A run has its outcome, which is committed.
    pub(super) async fn run_over(self: &Arc<Self>, slot: &Arc<RunSlot>, log: &[Entry]) {
        let place = &slot.place;
        let mut finished = self.finished_of(place, log).await;
        while let Err(RuntimeError::Store(error)) = &finished
            && error.is_transient()
            && !self.ending.is_cancelled()
        {
            tracing::warn!(run = %place.run, %error, "the run's output cannot be read yet; it is read again");
            tokio::time::sleep(READ_AGAIN_AFTER).await;
            finished = self.finished_of(place, log).await;
        }
        let stage = match finished {
            Ok(finished) => Stage::Ended(Arc::new(finished)),
            Err(error) => Stage::Left(error),
        };
        if !self.leave(slot, stage) {
            return;
        }
        if let Some(governing) = &self.governing {
            let goes_on = matches!(log.last().map(|entry| &entry.kind), Some(EntryKind::Ended(ended))
                if matches!(ended.outcome, Outcome::Continued(_)));
            // What a run took counts for the one that goes on from it.
            if !goes_on {
                let counted = accepted_of(log).map_or(place.run, |accepted| accepted.counted_as(place.run));
                governing.governor().run_over(&counted);
            }
        }
        // A run with a key is kept as long as its key, and may be let go when that is forgotten.
        if accepted_of(log).is_some_and(|accepted| accepted.idempotency_key.is_none()) {
            self.note_ended(place);
        }
        self.begin_next(place);
    }

    async fn finished_of(&self, place: &Place, log: &[Entry]) -> Result<Finished, RuntimeError> {
        let Some(EntryKind::Ended(ended)) = log.last().map(|entry| &entry.kind) else {
            return Err(RuntimeError::UnknownRun { run: place.run });
        };
        let output = match &ended.outcome {
            Outcome::Completed(output) => {
                Some(self.resolve(&place.tenant, place.run.partition(), output).await?)
            }
            _ => None,
        };
        Ok(Finished {
            run: place.run,
            agent: place.agent,
            session: place.session.clone(),
            outcome: ended.outcome.clone(),
            output,
            usage: ended.usage,
        })
    }

    fn attempt_parked(self: &Arc<Self>, slot: &Arc<RunSlot>, log: &[Entry]) {
        let reason = reason(log);
        let view = RunView::of(slot.place.run, log).filter(|_| !self.is_draining());
        let Some(view) = view else { return slot.set_stage(Stage::Parked(reason)) };
        debug_assert_eq!(view.phase, Phase::Parked, "an attempt that is over ends with AttemptEnded");
        self.park(slot, reason, self.looks_at(slot, &view, log));
        self.release(slot, log.last().map_or(&[], std::slice::from_ref));
    }

    /// Takes a run out of memory. `false`: somebody else did.
    pub(super) fn leave(&self, slot: &Arc<RunSlot>, stage: Stage) -> bool {
        let place = &slot.place;
        let was_there = {
            let runs = &mut lock(&self.home(place.run.partition()).state).runs;
            let is_this = runs.get(&place.run).is_some_and(|there| Arc::ptr_eq(there, slot));
            is_this && runs.remove(&place.run).is_some()
        };
        if was_there {
            self.leave_session(place);
            self.trials.forget(&place.run);
            self.open_runs.fetch_sub(1, Ordering::Relaxed);
            slot.set_stage(stage);
        }
        was_there
    }

    fn leave_session(&self, place: &Place) {
        let mut state = lock(&self.home(place.agent.partition()).state);
        let Some(agent) = state.agents.get_mut(&place.agent.unique()) else { return };
        agent.session(&place.session).leave(&place.run);
        // An agent with many sessions keeps the idle ones in the store only.
        if let Some(sessions) = &mut agent.sessions
            && sessions.len() > SESSIONS_KEPT
        {
            sessions.retain(|_, session| !session.is_idle());
        }
    }

    /// Does something with an agent, if it is in memory.
    pub(super) fn in_agent<T>(&self, place: &Place, act: impl FnOnce(&mut AgentSlot) -> T) -> Option<T> {
        let mut state = lock(&self.home(place.agent.partition()).state);
        state.agents.get_mut(&place.agent.unique()).map(|agent| act(agent))
    }

    /// Does something with the session of a run whose agent is in memory.
    pub(super) fn in_session<T>(&self, place: &Place, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.in_agent(place, |agent| act(agent.session(&place.session)))
    }

    /// Where the session's conversation ends and what its last run left; read once.
    pub(super) async fn known_session(&self, place: &Place) -> Result<Known, RuntimeError> {
        if let Some(known) = self.in_session(place, |session| session.known.clone()).flatten() {
            return Ok(known);
        }
        let known = Box::pin(self.session(place)).await?;
        self.in_session(place, |session| session.known = Some(known.clone()));
        Ok(known)
    }

    /// Begins the next run of a session, if it is its turn and its agent may.
    pub(super) fn begin_next(self: &Arc<Self>, place: &Place) {
        // A promised run has begun: its log says so, whatever is wanted of the agent since.
        let promised = self.in_session(place, |session| session.has_promised()).unwrap_or(false);
        if self.begins_with(place).is_none() && (!promised || self.is_draining()) {
            return;
        }
        let Some(Some(next)) = self.in_session(place, Session::begin_next) else { return };
        let Some(slot) = self.run_slot(&next) else { return };
        slot.set_stage(Stage::Moving);
        self.spawn_work(Arc::clone(self).begin(slot));
    }

    /// Gives a run that waited for its turn its first attempt. Its `Started` may be there already.
    pub(super) fn begin(self: Arc<Self>, slot: Arc<RunSlot>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let run = slot.place.run;
            let mut result = self.begin_once(&slot).await;
            while let Err(RuntimeError::Store(error)) = &result
                && error.is_transient()
                && !self.ending.is_cancelled()
            {
                tracing::warn!(%run, %error, "the run cannot begin yet; it is tried again");
                tokio::time::sleep(READ_AGAIN_AFTER).await;
                result = self.begin_once(&slot).await;
            }
            if let Err(error) = result {
                tracing::error!(%run, %error, "the run cannot begin; it stays open");
                slot.set_stage(Stage::Left(error));
            }
        })
    }

    async fn begin_once(self: &Arc<Self>, slot: &Arc<RunSlot>) -> Result<(), RuntimeError> {
        let (log, view) = self.run_log(&slot.place.run).await?;
        if matches!(view.phase, Phase::Queued | Phase::Parked) {
            // A copy begins where an attempt has ended.
            self.go_on(slot, log, &view, Vec::new(), Next::Start).await
        } else {
            self.resume(slot, log, &view).await
        }
    }

    /// Works a run whose log ends with its attempt's `Started`.
    async fn resume(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        log: Vec<Entry>,
        view: &RunView,
    ) -> Result<(), RuntimeError> {
        let revision = accepted_of(&log).map_or(0, |accepted| accepted.spec_rev);
        match self.agent_for(&slot.place.tenant, &slot.place.agent, revision).await? {
            // Another version of its kind was registered since its begin was promised.
            Some((_, version)) if start(&log, version).waits_for.is_some() => {
                let ended = AttemptEnded { how: AttemptEnding::Drained, counted: false };
                self.go_on(slot, log, view, vec![EntryKind::AttemptEnded(ended)], Next::Start).await?;
            }
            Some((agent, _)) => Arc::clone(self).work(Arc::clone(slot), log, agent).await,
            None => {
                let deadline = self.deadline_of(&slot.place, &log);
                self.park(slot, "a process that hosts its kind".to_owned(), deadline);
            }
        }
        Ok(())
    }

    /// Appends what was decided about a run without an attempt, and does what then comes.
    pub(super) async fn go_on(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        mut log: Vec<Entry>,
        view: &RunView,
        kinds: Vec<EntryKind>,
        mut next: Next,
    ) -> Result<(), RuntimeError> {
        if next == Next::Start && self.config.at_rest {
            next = Next::Wait { until: None };
        }
        // Whatever came meanwhile: the pause after an attempt that failed is kept to.
        if next == Next::Start
            && let Some(until) = pause_of(view).filter(|until| *until > self.clock.now())
        {
            next = Next::Wait { until: Some(until) };
        }
        let place = &slot.place;
        let partition = place.run.partition();
        let epoch = self.own(partition).await?.epoch;
        let (at, known) = (self.clock.now(), log.len());
        let append = |log: &mut Vec<Entry>, kinds: Vec<EntryKind>| {
            for kind in kinds {
                let ends = matches!(kind, EntryKind::Ended(_));
                let children = if ends { drop_children(log) } else { Vec::new() };
                for kind in children.into_iter().chain([kind]) {
                    let seq = Seq(log.len() as u64 + 1);
                    log.push(Entry { seq, at, attempt: view.attempt, epoch, kind });
                }
            }
        };
        append(&mut log, kinds);
        let (mut agent, mut waits_for, mut gate) = (None, None, Gate::Begins(0));
        if next == Next::Start {
            let revision = accepted_of(&log).map_or(0, |accepted| accepted.spec_rev);
            let deadline = self.deadline_of(place, &log);
            agent = self.agent_for(&place.tenant, &place.agent, revision).await?;
            if let Some((_, version)) = &agent {
                let start = start(&log, *version);
                append(&mut log, start.entries);
                if let Some(needed) = start.waits_for {
                    waits_for = Some(other_version(needed, *version));
                    next = Next::Wait { until: deadline };
                } else {
                    gate = self.trials.gate(&place.run, &log);
                    let seq = Seq(log.len() as u64 + 1);
                    match gate {
                        Gate::Begins(with) => {
                            log.push(self.tried(seq, view.attempt + 1, epoch, *version, with));
                        }
                        Gate::ToBeTried(_) | Gate::Held => {
                            waits_for = gate.reason().map(ToOwned::to_owned);
                            next = Next::Wait { until: deadline };
                        }
                    }
                }
            }
        }
        // One without which its session went on leaves the conversation to others.
        let holds = view.attempt > 0 && holds_session(&log[..known]);
        self.append(slot, &log, known, holds).await.inspect_err(|_| {
            if matches!(gate, Gate::Begins(1..)) {
                self.trials.leave(&place.run);
            }
        })?;
        match (next, agent) {
            (Next::Over, _) => self.run_over(slot, &log).await,
            (Next::Start, Some((agent, _))) => {
                self.trials.started(&place.run, self.clock.now());
                // Not awaited here: whoever decides about a run does not wait for its work.
                let (inner, slot) = (Arc::clone(self), Arc::clone(slot));
                self.spawn_work(async move { inner.work(slot, log, agent).await });
            }
            (Next::Start, None) => {
                let deadline = self.deadline_of(place, &log);
                self.park(slot, "a process that hosts its kind".to_owned(), deadline);
            }
            (Next::Wait { until }, _) => {
                let looks = waits_for.is_none() && waits_for_room(view);
                let look = looks.then(|| self.clock.now().after(LOOK_FOR_ROOM));
                let next = until.into_iter().chain(look).chain(self.deadline_of(place, &log)).min();
                self.park(slot, waits_for.unwrap_or_else(|| reason(&log)), next);
                self.parked_at_gate(slot, gate);
                self.release(slot, &log[known..]);
            }
            (Next::Queue, _) => slot.set_stage(Stage::Queued),
        }
        Ok(())
    }

    /// Appends the entries of `log` from `known` on, in as many batches as they need. What rides with the end rides
    /// with the last.
    async fn append(
        &self,
        slot: &RunSlot,
        log: &[Entry],
        known: usize,
        holds: bool,
    ) -> Result<(), RuntimeError> {
        let place = &slot.place;
        let teller = self.teller(&place.tenant, &place.agent, Patience::OfRun).await?;
        let mut done = known;
        while done < log.len() {
            let upto = done + fitting(&log[done..], |_| 0);
            let entries = &log[done..upto];
            let mut writes = Writes::append(place, entries);
            teller.tell_run(&mut writes.told, place, log, entries);
            writes.undue(&place.run, closed_timers(log, entries));
            for run in dropped_children(log, entries) {
                writes.send(place.run.partition(), run.partition(), Mail::Cancel { run });
            }
            let mut after = None;
            if let (Some(Entry { kind: EntryKind::Ended(ended), at, .. }), Some(accepted)) =
                (entries.last(), accepted_of(log))
            {
                writes.undue(&place.run, open_timers(log));
                let keep = self.config.keep_runs;
                let end = End { log, accepted, ended, at: *at, state: state_left(log), before: None, keep };
                if holds {
                    let before = self.known_session(place).await?;
                    let (known, _) = self.ride(&mut writes, &teller, place, end, before, None);
                    after = Some(known);
                } else {
                    // It is not its turn: the conversation is another run's to write.
                    self.keep_use(&mut writes, place, log);
                    writes.end(place, end, None);
                }
            }
            self.commit(place.run.partition(), writes.booked(place, self.clock.now())).await?;
            if let Some(known) = after {
                self.in_session(place, |session| session.known = Some(known));
            }
            done = upto;
            slot.committed(done as u64);
        }
        Ok(())
    }

    /// Begins the first run of every session of an agent, where none is at work.
    pub(super) async fn begin_all(
        self: &Arc<Self>,
        tenant: &runtime_traits::Tenant,
        agent: &runtime_traits::AgentId,
    ) -> Result<(), RuntimeError> {
        let (places, parked) = {
            let state = lock(&self.home(agent.partition()).state);
            let of = || state.runs.values().filter(|slot| slot.place.agent == *agent);
            let places: Vec<Place> = of().map(|slot| slot.place.clone()).collect();
            let parked: Vec<_> =
                of().filter(|slot| matches!(slot.stage(), Stage::Parked(_))).cloned().collect();
            (places, parked)
        };
        self.with_agent(tenant, agent, |_, _| ()).await?;
        for place in places {
            self.begin_next(&place);
        }
        // A run that waited for its kind goes on when the kind is here.
        for slot in parked {
            self.look_now(&slot);
        }
        Ok(())
    }
}

pub(super) fn accepted_of(log: &[Entry]) -> Option<&Accepted> {
    match &log.first()?.kind {
        EntryKind::Accepted(accepted) => Some(accepted),
        _ => None,
    }
}

/// Adds what leaves for other partitions with these entries: runs that are asked for, and runs no longer wanted.
fn leave_for(writes: &mut Writes, place: &Place, log: &[Entry], outgoing: &Outgoing) {
    let from = place.run.partition();
    if let (Some(accepted), Some(last)) = (accepted_of(log), outgoing.entries.last()) {
        for calling in &outgoing.calls {
            writes.send(from, calling.agent.partition(), start_of(place, accepted, calling, last.at));
        }
    }
    for run in dropped_children(log, &outgoing.entries) {
        writes.send(from, run.partition(), Mail::Cancel { run });
    }
}

/// What kept the session from being read, as an error of the store.
pub(super) fn store_error(error: RuntimeError) -> StateError {
    match error {
        RuntimeError::Store(error) => error,
        error => StateError::Damaged { what: Cause::of(&error).to_string() },
    }
}
