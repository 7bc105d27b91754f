//! An attempt: polls the agent, commits what its machine appends, keeps its time.

mod stalling;

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use runtime_traits::agent::{Agent, AgentError, Ctx, Facts, FenceMark, Slot};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{AttemptEnding, DecidedBy, Entry, FailureKind, RunFailure, Stopped};
use runtime_traits::meter::AttemptMeter;
use runtime_traits::model::Spoken;
use runtime_traits::recovery::Failure;
use runtime_traits::resource::{Inside, Refused};
use runtime_traits::runtime::{RuntimeError, Want};
use runtime_traits::store::{Seq, StateError};

use super::admitting::Admitting;
use super::beside::{Beside, WithTasks};
use super::finish::accepted_of;
use super::hold_to::hold_to;
use super::inner::Inner;
use super::over_calls::settle_over;
use super::polls::Watched;
use super::port::Port;
use super::recovering::stall_bounds;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::Conversation;
use crate::engine::machine::asks::MAX_CONTENT;
use crate::engine::machine::{Kept, Over, RunMachine};

/// How long to wait before what could not be read is read again.
pub(super) const READ_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// After how long it is looked again whether an agent still has to wait: its share may be another one.
const HELD_AT_ONCE: Duration = Duration::from_secs(1);

type Commit = Pin<Box<dyn Future<Output = Result<(), StateError>> + Send>>;

/// What an attempt needs beside the log.
struct Read {
    input: Content,
    contents: HashMap<Digest, Content>,
    state: Option<Content>,
    conversation: Conversation,
    said: HashMap<Seq, Content>,
    history: Arc<[Spoken]>,
}

type Found = (Slot, Result<(AgentId, RunId), String>);

/// An attempt under way.
struct Attempt {
    inner: Arc<Inner>,
    slot: Arc<RunSlot>,
    machine: Arc<Mutex<RunMachine>>,
    agent: Option<WithTasks>,
    /// It asks to be worked. Until it may, its agent is not polled.
    entering: Option<BoxFuture<'static, Result<Inside, Refused>>>,
    /// Whether somebody was told that it waits to be worked.
    waits_to_enter: bool,
    /// Whether trials were told that it is worked, and then whether its replay was over.
    told_worked: Option<bool>,
    /// That it is worked, as long as the attempt is there.
    inside: Option<Inside>,
    /// What the agent came to, as long as calls of its block threads.
    ended: Option<Result<Content, RunFailure>>,
    /// How it failed, where something may be done about it. Its futures are still there, and are not polled any more.
    failing: Option<(Failure, RunFailure)>,
    /// How long the log was before its last poll.
    polled_from: usize,
    beside: Arc<Beside>,
    meter: Arc<dyn AttemptMeter>,
    watched: Arc<Watched>,
    /// Until when the agent is not polled, because it used its share of a processor.
    held: Option<Pin<Box<tokio::time::Sleep>>>,
    commit: Option<Commit>,
    /// Agents that steps call are looked up.
    finding: FuturesUnordered<BoxFuture<'static, Found>>,
    /// Steps ask to be let through.
    admitting: Admitting,
    sleep: Option<(UnixMillis, Pin<Box<tokio::time::Sleep>>)>,
    /// When it is to be looked whether something stalls: no later than that would be.
    watch: Option<(UnixMillis, Pin<Box<tokio::time::Sleep>>)>,
    /// Since when nothing moved, and how long the log was then.
    still: Option<(UnixMillis, usize)>,
}

impl Inner {
    /// Works a run whose log ends with the `Started` of this attempt, until the attempt or the run is over.
    pub(super) async fn work(self: Arc<Self>, slot: Arc<RunSlot>, log: Vec<Entry>, agent: Arc<dyn Agent>) {
        let remembers = agent.remembers();
        let mut read = self.read_for(&slot, &log, remembers).await;
        while let Err(RuntimeError::Store(error)) = &read
            && error.is_transient()
            && !self.ending.is_cancelled()
        {
            tracing::warn!(run = %slot.place.run, %error, "the run cannot be read yet; it is read again");
            tokio::time::sleep(READ_AGAIN_AFTER).await;
            read = self.read_for(&slot, &log, remembers).await;
        }
        let attempt = match read {
            Ok(read) => self.prepare(&slot, log, agent, read),
            Err(error) => Err(error),
        };
        match attempt {
            Ok(mut attempt) => {
                let result = poll_fn(|cx| attempt.poll(cx)).await;
                let machine = Arc::clone(&attempt.machine);
                drop(attempt);
                slot.is_not_worked();
                self.attempt_over(&slot, &machine, result).await;
            }
            Err(error) => {
                tracing::error!(run = %slot.place.run, %error, "the run cannot be worked; it stays open");
                slot.set_stage(Stage::Left(error));
            }
        }
    }

    /// What an attempt needs beside the log: its input, the contents kept beside it, what was said in the session, and
    /// the session's state.
    async fn read_for(&self, slot: &RunSlot, log: &[Entry], remembers: usize) -> Result<Read, RuntimeError> {
        let place = &slot.place;
        let partition = place.run.partition();
        let accepted = accepted_of(log)
            .ok_or_else(|| RuntimeError::Damaged { what: format!("the log of `{}`", place.run) })?;
        let input = self.resolve(&place.tenant, partition, &accepted.input).await?;
        let contents = self.contents(&place.tenant, partition, log).await?;
        let known = self.known_session(place).await?;
        let conversation = known.conversation;
        let said = Box::pin(self.said_in(place, log)).await?;
        let history = match conversation.head {
            Some(head) if remembers > 0 => Box::pin(self.history(place, head.last, remembers)).await?,
            _ => Arc::default(),
        };
        let state = match known.state {
            Some(payload) => Some(self.resolve(&place.tenant, partition, &payload).await?),
            None => None,
        };
        Ok(Read { input, contents, state, conversation, said, history })
    }

    fn prepare(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        log: Vec<Entry>,
        agent: Arc<dyn Agent>,
        read: Read,
    ) -> Result<Attempt, RuntimeError> {
        let place = &slot.place;
        let partition = place.run.partition();
        let Some(Entry { epoch, attempt, .. }) = log.last() else {
            return Err(RuntimeError::UnknownRun { run: place.run });
        };
        let fence = FenceMark { partition, epoch: *epoch, attempt: *attempt };
        let Read { input, contents, state, conversation, said, history } = read;
        let facts = Facts {
            tenant: place.tenant.clone(),
            agent: place.agent,
            session: place.session.clone(),
            run: place.run,
            fence,
        };
        let entries = log.len() as u64;
        let mut machine = RunMachine::begin(facts.clone(), log, contents, state, self.clock.now());
        machine.govern(self.governing.is_some());
        machine.conversing(conversation, said, history);
        let machine = Arc::new(Mutex::new(machine));
        slot.parking.is_over();
        slot.set_stage(Stage::Working(Arc::clone(&machine)));
        slot.committed(entries);
        // From here on whoever pauses, or limits, finds the machine. What was wanted before is read under the lock under
        // which it is changed, so that no change is missed and none is undone.
        self.in_agent(place, |agent| {
            let mut machine = lock(&machine);
            machine.pause(agent.want == Want::Paused);
            machine.bound(stall_bounds(self.config.stall, agent.care.as_deref()));
            hold_to(&mut machine, agent.limits.as_deref());
        });
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let meter = self.meter.attempt(&place.tenant, &place.agent, &place.run);
        let workers = self.control.workers().clone();
        let beside = Beside::new(Arc::clone(slot), Arc::clone(&meter), self.tasks.clone(), workers);
        let port = Port {
            facts,
            machine: Arc::clone(&machine),
            slot: Arc::clone(slot),
            clock,
            entropy,
            beside: Arc::clone(&beside),
            inner: Arc::clone(self),
        };
        let ctx = Ctx::new(Arc::new(port));
        let work = async move { agent.run(ctx, input).await };
        let watched = Watched::new(Arc::clone(slot));
        let agent = Some(WithTasks::new(work, Arc::clone(&beside)));
        let (inner, slot) = (Arc::clone(self), Arc::clone(slot));
        let finding = FuturesUnordered::new();
        let admitting = Admitting::default();
        let (counted, priority) = {
            let machine = lock(&machine);
            (machine.counted_as(), machine.priority())
        };
        let entering = inner.entering(&slot, &counted, priority);
        Ok(Attempt {
            inner,
            slot,
            machine,
            agent,
            entering,
            waits_to_enter: false,
            told_worked: None,
            inside: None,
            ended: None,
            failing: None,
            polled_from: 0,
            beside,
            meter,
            watched,
            held: None,
            commit: None,
            finding,
            admitting,
            sleep: None,
            watch: None,
            still: None,
        })
    }
}

/// How an agent's end looks in the log, and whether something may be done about it; its panic is a failure of its run and of nothing else.
fn ended(
    result: std::thread::Result<Result<Content, AgentError>>,
) -> (Result<Content, RunFailure>, Option<Failure>) {
    match result {
        Ok(Ok(output)) if output.bytes.len() > MAX_CONTENT => {
            let message = format!("the output has {} bytes, too many", output.bytes.len());
            (Err(RunFailure { kind: FailureKind::Agent, message }), None)
        }
        Ok(Ok(output)) => (Ok(output), None),
        Ok(Err(error)) => {
            let kind = if error.is_at_limit() { FailureKind::Limit } else { FailureKind::Agent };
            let failure = (!error.is_permanent()).then_some(Failure::Failed);
            (Err(RunFailure { kind, message: error.message().to_owned() }), failure)
        }
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let message = format!("the agent panicked: {said}");
            (Err(RunFailure { kind: FailureKind::Panicked, message }), Some(Failure::Panicked))
        }
    }
}

impl Attempt {
    /// Moves on as far as it goes. Ready when the attempt is over and all of it is committed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StateError>> {
        loop {
            let now = self.inner.clock.now();
            self.poll_entering(cx);
            self.tell_worked(now);
            self.mind_memory(now);
            if self.is_held(now, cx) {
                self.tick(now);
            } else {
                self.poll_agent(now, cx);
            }
            let admitted = self.admitting.poll(&self.inner, &self.slot, &self.machine, now, cx);
            let signalled = self.slot.signal.poll(cx) | self.poll_finding(cx) | admitted;
            match self.poll_commit(cx) {
                Poll::Ready(Err(error)) => {
                    self.drop_agent();
                    // Whatever was under way is given up: nothing stays held for it.
                    settle_over(&self.inner, &self.slot, &self.machine, now);
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(())) => continue,
                Poll::Pending => {}
            }
            let (over, settled) = {
                let machine = lock(&self.machine);
                (machine.over(), machine.durable() == machine.log().len())
            };
            if over != Over::No && settled && self.commit.is_none() {
                return Poll::Ready(Ok(()));
            }
            if !signalled && self.poll_time(now, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Looks the agents up that steps call. Whether one was found, or found not to be there.
    fn poll_finding(&mut self, cx: &mut Context<'_>) -> bool {
        for (slot, call) in lock(&self.machine).take_seeking() {
            let (inner, tenant) = (Arc::clone(&self.inner), self.slot.place.tenant.clone());
            let find = inner.place_call(tenant, call.agent);
            self.finding.push(Box::pin(async move { (slot, find.await) }));
        }
        let mut found = false;
        while !self.finding.is_empty() {
            let Poll::Ready(Some((slot, place))) = self.finding.poll_next_unpin(cx) else { break };
            let mut machine = lock(&self.machine);
            machine.pass(self.inner.clock.now());
            machine.placed(slot, place);
            found = true;
        }
        found
    }

    /// Asks that the run be worked. One that is to end before it may has nothing to end.
    fn poll_entering(&mut self, cx: &mut Context<'_>) {
        let Some(entering) = &mut self.entering else { return };
        let entered = entering.as_mut().poll(cx);
        let mut machine = lock(&self.machine);
        match entered {
            Poll::Ready(Ok(inside)) => self.inside = Some(inside),
            Poll::Ready(Err(refused)) => {
                machine.pass(self.inner.clock.now());
                if machine.is_live() {
                    let (kind, message) = (FailureKind::Limit, refused.to_string());
                    machine.tell_with_next(refused.no_room(self.inner.clock.now()));
                    machine.finish(Err(RunFailure { kind, message }));
                } else {
                    machine.end_attempt(AttemptEnding::Drained);
                }
            }
            Poll::Pending if machine.is_ending() => machine.stop_cancelled(Stopped::Complete),
            Poll::Pending if self.inner.is_draining() => machine.end_attempt(AttemptEnding::Drained),
            Poll::Pending => {
                drop(machine);
                if !std::mem::replace(&mut self.waits_to_enter, true) {
                    self.inner.tell_entering(&self.slot);
                }
                return;
            }
        }
        drop(machine);
        self.entering = None;
    }

    /// Tells trials since when the run is worked: from its beginning, and then anew from where it does what it has not done before.
    fn tell_worked(&mut self, now: UnixMillis) {
        if self.entering.is_some() || self.told_worked == Some(true) {
            return;
        }
        let is_live = lock(&self.machine).is_live();
        if self.told_worked != Some(is_live) {
            self.told_worked = Some(is_live);
            self.inner.trials.worked(&self.slot.place.run, now);
        }
    }

    /// Cancels the run of an agent that is above its memory, if the agent is to be held to it so, and the run is worked.
    fn mind_memory(&mut self, now: UnixMillis) {
        if self.entering.is_some() {
            // It has done nothing yet: what is alive is others'.
            return;
        }
        let Some(excess) = self.meter.excess() else { return };
        let (live, max) = (excess.live, excess.max);
        let reason = format!("the agent has {live} bytes alive, and its memory is {max}");
        // A thread that works for it does not end with the attempt, and says so in the receipt of a cancel.
        let may_end = !self.beside.is_blocking();
        if may_end && self.inner.recovers(&self.slot, &self.machine, &Failure::Memory, &reason, None) {
            return self.drop_agent();
        }
        let mut machine = lock(&self.machine);
        machine.pass(now);
        machine.cancel(DecidedBy::Policy, reason, Duration::ZERO);
        drop(machine);
        self.tick(now);
    }

    /// Tells the time to an agent that is not polled now.
    fn tick(&mut self, now: UnixMillis) {
        let mut machine = lock(&self.machine);
        self.abandon(&mut machine, now);
        machine.tick(now);
        let over = machine.over();
        drop(machine);
        if over != Over::No {
            self.drop_agent();
        }
    }

    /// Ends a cancelled run whose time is up while a call of it blocks a thread: no future can be dropped to end that.
    fn abandon(&self, machine: &mut RunMachine, now: UnixMillis) {
        if machine.is_cancel_due(now) && self.beside.is_blocking() {
            machine.stop_cancelled(Stopped::Abandoned);
        }
    }

    /// Whether the agent's next poll has to wait. What somebody asked to end never waits, nor what has to be over now: the agent
    /// may have what it waited for.
    fn is_held(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> bool {
        let cannot_wait = {
            let machine = lock(&self.machine);
            machine.is_ending() || machine.is_due(now)
        };
        if self.agent.is_none() || cannot_wait {
            self.held = None;
            return false;
        }
        loop {
            if let Some(held) = &mut self.held {
                if held.as_mut().poll(cx).is_pending() {
                    return true;
                }
                self.held = None;
            }
            let Some(wait) = self.meter.wait() else { return false };
            let wait = wait.clamp(Duration::from_millis(1), HELD_AT_ONCE);
            self.held = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }

    /// Polls the agent and its tasks once, in the agent's name.
    fn poll_once(&mut self, cx: &mut Context<'_>) {
        let Some(agent) = self.agent.as_mut().filter(|_| self.failing.is_none()) else { return };
        if self.inner.recovering.is_some() {
            self.polled_from = lock(&self.machine).log().len();
        }
        let (mut polled, meter) = (Poll::Pending, &self.meter);
        let poll = || meter.poll(&mut || polled = agent.poll_unpin(cx));
        let (polls, now) = (&self.inner.polls, self.inner.clock.now());
        let panic = catch_unwind(AssertUnwindSafe(|| polls.watch(&self.watched, now, poll))).err();
        let result = match (panic, polled) {
            (Some(panic), _) => Err(panic),
            (None, Poll::Ready(result)) => Ok(result),
            (None, Poll::Pending) => return,
        };
        let (told, failure) = ended(result);
        if let (Err(told), Some(failure)) = (&told, failure)
            && self.inner.has_remedies(&self.slot.place)
        {
            self.failing = Some((failure, told.clone()));
            return;
        }
        // Its futures end before its result is taken, so that what it left open is recorded first.
        self.drop_agent();
        self.ended = Some(told);
    }

    fn poll_agent(&mut self, now: UnixMillis, cx: &mut Context<'_>) {
        loop {
            if self.entering.is_none() {
                self.poll_once(cx);
            }
            // What blocks threads in its name ends before the attempt does.
            if !self.beside.is_blocking()
                && let Some((failure, told)) = self.failing.take()
            {
                let recovers = self.inner.recovers(
                    &self.slot,
                    &self.machine,
                    &failure,
                    &told.message,
                    Some(self.polled_from),
                );
                // What it left open is recorded first, unless the attempt is over: then its next one goes on with that.
                self.drop_agent();
                self.ended = Some(Err(told)).filter(|_| !recovers);
            }
            if !self.beside.is_blocking()
                && let Some(result) = self.ended.take()
            {
                let mut machine = lock(&self.machine);
                machine.pass(self.inner.clock.now());
                machine.finish(result);
            }
            let (again, over) = {
                let mut machine = lock(&self.machine);
                self.abandon(&mut machine, now);
                (machine.turn(now), machine.over())
            };
            if over != Over::No {
                self.drop_agent();
            }
            if !again || self.agent.is_none() || self.entering.is_some() || self.is_held(now, cx) {
                return;
            }
        }
    }

    /// Ends the agent's futures, in its name. A panic in one of their destructors harms nothing else.
    fn drop_agent(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        let (mut agent, meter) = (Some(agent), &self.meter);
        let (polls, now) = (&self.inner.polls, self.inner.clock.now());
        let dropping = || meter.poll(&mut || drop(agent.take()));
        let dropped = catch_unwind(AssertUnwindSafe(|| polls.watch(&self.watched, now, dropping)));
        if dropped.is_err() {
            tracing::warn!(run = %self.slot.place.run, "a destructor of the agent panicked");
        }
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StateError>> {
        if self.commit.is_none() {
            let Some(outgoing) = lock(&self.machine).take_batch() else { return Poll::Pending };
            let (inner, slot, machine) = (&self.inner, &self.slot, &self.machine);
            self.commit =
                Some(Box::pin(Arc::clone(inner).write(Arc::clone(slot), Arc::clone(machine), outgoing)));
        }
        let Some(commit) = &mut self.commit else { return Poll::Pending };
        let result = std::task::ready!(commit.as_mut().poll(cx));
        self.commit = None;
        Poll::Ready(result)
    }

    /// Waits for the next moment at which something happens by itself: a timer, a deadline, parking, giving up a
    /// replay. Ready when it has come.
    fn poll_time(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> Poll<()> {
        let config = &self.inner.config;
        // It does something, though its machine waits.
        let busy = self.entering.is_some() || self.held.is_some() || self.beside.is_blocking();
        let (wake_at, still_for, length, stall) = {
            let mut machine = lock(&self.machine);
            let kept = if self.entering.is_some() {
                Kept::Outside
            } else if self.held.is_some() {
                Kept::Held { since: now }
            } else if busy || self.agent.is_none() {
                Kept::Busy
            } else {
                Kept::No
            };
            machine.is_kept(kept, now);
            if (self.inner.is_draining() || machine.is_leaving())
                && !busy
                && let Some(how) = machine.may_drain()
            {
                machine.end_attempt(how);
                return Poll::Ready(());
            }
            let still_for = if busy {
                None
            } else if machine.may_park() {
                Some(self.inner.trials.park_after(&self.slot.place.run, config.park_after))
            } else if !machine.is_live() && self.commit.is_none() {
                Some(config.replay_stall)
            } else {
                None
            };
            (machine.wake_at(), still_for, machine.log().len(), machine.stalls())
        };
        if let Some(stall) = stall
            && self.looks_for_stall(&stall, now, cx)
        {
            return Poll::Ready(());
        }
        let still = still_for.and_then(|for_how_long| self.still_until(now, for_how_long, length));
        if still.is_some_and(|until| until <= now) {
            self.still = None;
            let mut machine = lock(&self.machine);
            if machine.is_live() {
                machine.end_attempt(AttemptEnding::Parked)
            } else {
                machine.stuck()
            }
            return Poll::Ready(());
        }
        let asks = self.admitting.wake_at(self.inner.config.park_after);
        let Some(next) = wake_at.into_iter().chain(still).chain(asks).min() else {
            self.sleep = None;
            return Poll::Pending;
        };
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != next) {
            let pause = next.since(now).max(Duration::from_millis(1));
            self.sleep = Some((next, Box::pin(tokio::time::sleep(pause))));
        }
        let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
        std::task::ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }

    fn still_until(&mut self, now: UnixMillis, for_how_long: Duration, length: usize) -> Option<UnixMillis> {
        let since = match self.still {
            Some((since, then)) if then == length => since,
            _ => {
                self.still = Some((now, length));
                now
            }
        };
        Some(since.after(for_how_long))
    }
}
