//! Acceptance: what is refused is refused at once, with its reason; what is accepted is never lost.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use runtime_codec::IdemRecord;
use runtime_traits::agent::Agent;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Accepted, Entry, EntryKind, StepKey};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{AgentRef, RunRequest, RuntimeError, SessionPolicy, Want};
use runtime_traits::store::{Seq, StateError};

use super::child::Overtaken;
use super::commit::Patience;
use super::finish::accepted_of;
use super::id_map::IdMap;
use super::inner::{AgentSlot, Inner};
use super::queued::{full_queue, queue_is_full};
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::{Place, Writes};
use crate::engine::keys;

/// Where a run comes from, if it is not simply a caller's.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// Its id, where somebody gave it one.
    pub(super) run: Option<RunId>,
    pub(super) parent: Option<(RunId, StepKey)>,
    pub(super) copied_from: Option<RunId>,
    pub(super) deadline: Option<UnixMillis>,
    pub(super) principal: Option<String>,
    pub(super) trace: Option<String>,
    /// Whether the mail that asks for it was overtaken.
    pub(super) overtaken: Option<Overtaken>,
    /// What is written in the batch of its acceptance, for whoever asks.
    pub(super) beside: Option<Box<Writes>>,
}

/// A run that has its place in the order of its session, and is not committed yet.
struct Reserved {
    slot: Arc<RunSlot>,
    accepted: Box<Accepted>,
    input: Content,
    /// It may begin with its acceptance.
    begins: Option<(Arc<dyn Agent>, u32)>,
    /// What is at work before it.
    behind: Option<RunId>,
    overtaken: Option<Overtaken>,
    beside: Option<Box<Writes>>,
}

impl Inner {
    /// Accepts a run, or finds the one that the same key gave. The flag: it was there before.
    pub(super) async fn submit(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentRef,
        request: RunRequest,
        lend: bool,
    ) -> Result<(Arc<RunSlot>, bool), RuntimeError> {
        self.check(&request)?;
        self.check_awake(agent)?;
        let id = self.find(tenant, agent).await?;
        if request.policy == Some(SessionPolicy::Answer) {
            if request.idempotency_key.is_some() {
                return Err(RuntimeError::AnswerWithKey);
            }
            // A caller that goes away leaves nothing half done.
            let answer = Arc::clone(self).answer_with(tenant.clone(), id, request.clone());
            if let Some(answered) = Box::pin(self.whole(answer)).await? {
                return Ok((answered, false));
            }
        }
        loop {
            if let Some(run) = self.repeated(tenant, &id, &request).await? {
                return Ok((run, true));
            }
            Box::pin(self.check_room(tenant, agent, &id, &request.session)).await?;
            if !self.waits_at_limits(&id) {
                Box::pin(self.check_limits(tenant, agent, &id)).await?;
            }
            if self.is_behind() {
                Box::pin(self.until_let_go()).await?;
            }
            let reserved = self.reserve(tenant, agent, &id, &request, Origin::default()).await?;
            let slot = Arc::clone(&reserved.slot);
            // A task, not the caller, sees the run through: a caller that goes away changes nothing. Who waits for the
            // outcome lends its own task until the run has to wait for the first time, for that may be its end.
            let mut work = Box::pin(self.tasks.track_future(Arc::clone(self).accept(reserved)));
            let over = lend && poll_fn(|cx| Poll::Ready(lend_to(work.as_mut(), cx))).await;
            if over {
                // Whoever runs one agent after the other lets other tasks have their turn.
                tokio::task::coop::consume_budget().await;
            } else {
                self.spawn_work(work);
            }
            match slot.until_accepted().await {
                None => return Ok((slot, false)),
                // The same key was taken at the same time: the next look finds its run.
                Some(RuntimeError::Store(StateError::Conflict { .. }))
                    if request.idempotency_key.is_some() => {}
                Some(error) => return Err(error),
            }
        }
    }

    /// Accepts a run that comes from somewhere; it is worked in a task of its own.
    pub(super) async fn submit_of(
        self: &Arc<Self>,
        tenant: &Tenant,
        agent: &AgentRef,
        request: RunRequest,
        origin: Origin,
    ) -> Result<Arc<RunSlot>, RuntimeError> {
        self.check(&request)?;
        let id = self.find(tenant, agent).await?;
        Box::pin(self.check_room(tenant, agent, &id, &request.session)).await?;
        if !self.waits_at_limits(&id) {
            Box::pin(self.check_limits(tenant, agent, &id)).await?;
        }
        let reserved = self.reserve(tenant, agent, &id, &request, origin).await?;
        let slot = Arc::clone(&reserved.slot);
        self.spawn_work(Arc::clone(self).accept(reserved));
        match slot.until_accepted().await {
            None => Ok(slot),
            Some(error) => Err(error),
        }
    }

    pub(super) fn check(&self, request: &RunRequest) -> Result<(), RuntimeError> {
        if self.is_draining() {
            return Err(RuntimeError::ShuttingDown);
        }
        self.check_input(&request.input)?;
        let labels: usize = request.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        if labels > Payload::INLINE_LIMIT {
            let (size, limit) = (labels as u64, Payload::INLINE_LIMIT as u64);
            return Err(RuntimeError::TooLarge { what: "the labels".to_owned(), size, limit });
        }
        Ok(())
    }

    pub(super) fn check_input(&self, input: &Content) -> Result<(), RuntimeError> {
        let size = input.bytes.len();
        if size == 0 {
            return Err(RuntimeError::EmptyInput);
        }
        if size > self.config.max_input {
            let limit = self.config.max_input as u64;
            return Err(RuntimeError::TooLarge { what: "the input".to_owned(), size: size as u64, limit });
        }
        Ok(())
    }

    /// Refuses what a runtime at rest does not do: to take a run.
    pub(super) fn check_awake(&self, agent: &AgentRef) -> Result<(), RuntimeError> {
        if self.config.at_rest {
            let (action, reason) = ("run".to_owned(), "this runtime is at rest and works nothing".to_owned());
            return Err(RuntimeError::WrongState { agent: agent.to_string(), action, reason });
        }
        Ok(())
    }

    /// Takes a place among the open runs.
    pub(super) fn count_open(&self) -> Result<(), RuntimeError> {
        let limit = self.config.max_open;
        let room = |open| (open < limit).then_some(open + 1);
        let counted = self.open_runs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        counted.map(|_| ()).map_err(|_| RuntimeError::Busy {
            what: "the runtime's list of open runs".to_owned(),
            limit,
            retry_after: Duration::from_secs(1),
        })
    }

    /// The run that the same key gave before.
    async fn repeated(
        &self,
        tenant: &Tenant,
        agent: &AgentId,
        request: &RunRequest,
    ) -> Result<Option<Arc<RunSlot>>, RuntimeError> {
        let Some(key) = &request.idempotency_key else { return Ok(None) };
        let cell = keys::idem(tenant, agent, &request.session, key);
        let Some(record) = self.record::<IdemRecord>(&cell).await? else { return Ok(None) };
        if record.digest != request.input.digest() {
            return Err(RuntimeError::KeyReused { key: key.as_str().to_owned(), run: record.run });
        }
        if let Some(slot) = self.run_slot(&record.run) {
            return Ok(Some(slot));
        }
        let (log, view) = match self.run_log(&record.run).await {
            Err(RuntimeError::UnknownRun { .. }) => {
                self.free_key(tenant, agent, &cell, &record.run).await?;
                return Ok(None);
            }
            read => read?,
        };
        let finished = self.finished(tenant, &view, &log).await?;
        let place = Place {
            tenant: tenant.clone(),
            agent: *agent,
            session: request.session.clone(),
            run: record.run,
        };
        let finished = finished.ok_or(RuntimeError::UnknownRun { run: record.run })?;
        Ok(Some(RunSlot::new(place, Stage::Ended(Arc::new(finished)))))
    }

    /// Gives a run its place in its session's order.
    async fn reserve(
        self: &Arc<Self>,
        tenant: &Tenant,
        called: &AgentRef,
        agent: &AgentId,
        request: &RunRequest,
        origin: Origin,
    ) -> Result<Reserved, RuntimeError> {
        let now = self.clock.now();
        let mint = || RunId::mint(agent.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let run = origin.run.unwrap_or_else(mint);
        let place = Place { tenant: tenant.clone(), agent: *agent, session: request.session.clone(), run };
        let mut accepted = Box::new(Accepted {
            agent: *agent,
            spec_rev: 0,
            session: request.session.clone(),
            policy: request.policy.unwrap_or(SessionPolicy::Enqueue),
            input: Payload::of(&request.input),
            digest: request.input.digest(),
            idempotency_key: request.idempotency_key.clone(),
            parent: origin.parent,
            copied_from: origin.copied_from,
            principal: origin.principal,
            trace: origin.trace,
            deadline: origin.deadline.or(request.deadline.map(|within| now.after(within))),
            priority: i32::from(request.priority),
            chain: None,
            labels: request.labels.clone(),
        });
        let (overtaken, beside) = (origin.overtaken, origin.beside);
        let parent = accepted.parent.as_ref().map(|(parent, _)| *parent);
        let ancestors = self.ancestors(parent);
        let slot = RunSlot::called_by(parent, place, Stage::Accepting);
        let max_queued = self.config.max_queued;
        let mut queue_full = None;
        let reserved = self
            .with_agent(tenant, agent, |found, runs| {
                // Mail that is taken twice at once asks for one run.
                if runs.contains_key(&run) {
                    return Err(StateError::Conflict { condition: 0 }.into());
                }
                if let Some(busy) = found.session(&request.session).busy_with()
                    && ancestors.contains(&busy)
                {
                    let session = request.session.to_string();
                    let waits_for = Some("this very call".to_owned());
                    return Err(RuntimeError::SessionBusy { session, run: busy, waits_for });
                }
                if found.want == Want::Stopped {
                    return Err(RuntimeError::NotStarted { agent: called.to_string(), want: found.want });
                }
                queue_full = full_queue(agent, found, runs, &request.session);
                admit(found, runs, request, queue_full, max_queued)?;
                self.count_open()?;
                let hosted = found.agent.clone().map(|agent| (agent, found.kind_version));
                let session = found.session(&request.session);
                let behind = session.at_work();
                // While suspects are tried nothing else begins.
                let begins = session.admit(run, hosted.is_some() && !self.trials.are_on());
                runs.insert(run, Arc::clone(&slot));
                accepted.spec_rev = found.revision;
                let begins = hosted.filter(|_| begins);
                let input = request.input.clone();
                Ok(Reserved { slot, accepted, input, begins, behind, overtaken, beside })
            })
            .await?;
        if let Some(most) = queue_full {
            self.tell_queue_full(tenant, agent, most);
        }
        reserved
    }

    /// The open runs that wait for a run which this one asks for.
    pub(super) fn ancestors(&self, parent: Option<RunId>) -> Vec<RunId> {
        let mut ancestors = Vec::new();
        let mut next = parent;
        while let Some(run) = next
            && !ancestors.contains(&run)
        {
            ancestors.push(run);
            next = self.run_slot(&run).and_then(|slot| slot.parent);
        }
        ancestors
    }

    /// Commits the acceptance, and works the run if it is its turn.
    async fn accept(self: Arc<Self>, reserved: Reserved) {
        let Reserved { slot, accepted, input, begins, behind, overtaken, beside } = reserved;
        // Looked at only now that a wish to end it finds it: one that was taken before found nothing.
        if overtaken.is_some_and(|overtaken| overtaken.load(Ordering::SeqCst))
            && let Err(error) = self.check_wanted(&slot, &accepted).await
        {
            self.leave(&slot, Stage::Left(error));
            return self.begin_next(&slot.place);
        }
        match self
            .commit_acceptance(&slot, accepted, &input, begins.as_ref().map(|(_, version)| *version), beside)
            .await
        {
            Err(error) => {
                self.leave(&slot, Stage::Left(error.into()));
                self.begin_next(&slot.place);
            }
            Ok(log) => match begins {
                Some((agent, _)) => {
                    slot.committed(2);
                    self.work(slot, log, agent).await;
                }
                None => {
                    slot.committed(1);
                    if let Some(deadline) = self.deadline_of(&slot.place, &log) {
                        self.timers.add(deadline, slot.place.run);
                    }
                    // Its turn may come at once: then somebody else has moved it on.
                    self.in_session(&slot.place, |session| session.accepted(&slot.place.run));
                    slot.set_queued();
                    self.begin_next(&slot.place);
                    if let (Some(accepted), Some(behind)) = (accepted_of(&log), behind) {
                        self.displace(&slot.place, accepted.policy, behind).await;
                    }
                }
            },
        }
    }

    async fn commit_acceptance(
        &self,
        slot: &RunSlot,
        accepted: Box<Accepted>,
        input: &Content,
        begins: Option<u32>,
        beside: Option<Box<Writes>>,
    ) -> Result<Vec<Entry>, StateError> {
        let place = &slot.place;
        let partition = place.run.partition();
        let epoch = self.own(partition).await?.epoch;
        if let Payload::Blob { .. } = accepted.input {
            Box::pin(self.write_blobs(place, std::slice::from_ref(input), Patience::OfCaller)).await?;
        }
        let at = self.clock.now();
        let kind = EntryKind::Accepted(accepted);
        // A run without steps has three entries.
        let mut log = Vec::with_capacity(3);
        log.push(Entry { seq: Seq::FIRST, at, attempt: 0, epoch, kind });
        if let Some(kind_version) = begins {
            log.push(self.started(Seq(2), 1, epoch, kind_version));
        }
        let EntryKind::Accepted(accepted) = &log[0].kind else { return Ok(log) };
        let teller = self.teller(&place.tenant, &place.agent, Patience::OfCaller).await?;
        let mut writes = Writes::accept(place, accepted, &log).booked(place, at);
        teller.tell_run(&mut writes.told, place, &log, &log);
        if let Some(beside) = beside {
            writes.join(*beside);
        }
        self.commit_now(partition, writes).await?;
        Ok(log)
    }
}

thread_local! {
    /// Whether a caller's task is lent on this thread.
    static LENT: Cell<bool> = const { Cell::new(false) };
}

/// Polls a run's work once in its caller's task. `true`: it is over. An agent that runs agents does not get deeper and
/// deeper into one stack by that: its own runs get tasks.
fn lend_to(work: Pin<&mut impl Future<Output = ()>>, cx: &mut Context<'_>) -> bool {
    /// Ends it also when the work panics.
    struct Lent;
    impl Drop for Lent {
        fn drop(&mut self) {
            LENT.set(false);
        }
    }
    if LENT.replace(true) {
        return false;
    }
    let _lent = Lent;
    work.poll(cx).is_ready()
}

/// Whether the session takes another run.
fn admit(
    agent: &mut AgentSlot,
    runs: &IdMap<RunId, Arc<RunSlot>>,
    request: &RunRequest,
    queue_full: Option<u32>,
    max_queued: usize,
) -> Result<(), RuntimeError> {
    if let Some(most) = queue_full {
        return Err(queue_is_full(most));
    }
    let session = agent.session(&request.session);
    let Some(run) = session.busy_with() else { return Ok(()) };
    let waits_for = runs.get(&run).and_then(|slot| waits_for(slot));
    let refuses = match request.policy {
        Some(SessionPolicy::Reject) => true,
        Some(SessionPolicy::Enqueue | SessionPolicy::Interrupt | SessionPolicy::Rollback) => false,
        // What waits for an answer was given the input before.
        Some(SessionPolicy::Answer) | None => waits_for.is_some(),
    };
    if refuses {
        return Err(RuntimeError::SessionBusy { session: request.session.to_string(), run, waits_for });
    }
    if session.queued() >= max_queued {
        let what = format!("the queue of session `{}`", request.session);
        return Err(RuntimeError::Busy {
            what,
            limit: max_queued as u64,
            retry_after: Duration::from_secs(1),
        });
    }
    Ok(())
}

/// What a run waits for, in words, if it does.
pub(super) fn waits_for(slot: &RunSlot) -> Option<String> {
    match slot.stage() {
        Stage::Parked(reason) => Some(reason),
        Stage::Working(machine) => {
            let machine = lock(&machine);
            machine.may_park().then(|| super::wake::reason(machine.log()))
        }
        _ => None,
    }
}
