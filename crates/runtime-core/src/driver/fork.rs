//! Copies of runs: a new run in a new session, which goes on from a point at which no step was open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{Due, StateRecord, encode};
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Accepted, Author, Entry, EntryKind, Head, Message};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::{AgentRef, ForkRequest, RuntimeError, Want};
use runtime_traits::store::{Log, Seq, StateError, Then, When};

use super::commit::Patience;
use super::finish::accepted_of;
use super::inner::Inner;
use super::load::read;
use super::queued::{full_queue, queue_is_full};
use super::run_slot::{RunSlot, Stage};
use crate::engine::batches::{Place, Writes, closed_timers, fitting, length, state_bytes};
use crate::engine::fork::{copied, cut, drawn_by};
use crate::engine::keys;
use crate::engine::machine::said::said_in;
use crate::engine::machine::state_left;
use crate::engine::session::Known;

/// The most messages before a run that its copy is given.
const HISTORY: usize = 1_000;
/// After this a copy that is not complete is taken for the leftover of a crash.
const COPIED_WITHIN: Duration = Duration::from_secs(60 * 60);
/// Messages in one batch.
const GROUP: usize = 48;

const SESSION_IN_USE: &str = "its new session is in use; name one that is not, or none";
const STATE_CHANGED: &str = "the session's state is no longer what it began with; give the copy another input, with which it \
     begins anew and without that state";
const NOT_KNOWN: &str = "what was said before it is no longer known; submit its input as a new run";

/// The conversation of a copy.
struct Conversation {
    /// What was said before the run, and what it said itself, with their numbers in the new session.
    messages: Vec<Message>,
    /// The end of what was said before the run.
    head: Option<Head>,
    /// By how much the numbers of the run's own messages differ.
    shift: i64,
    /// The number of the first one.
    first: Seq,
}

/// What there is of a session.
struct Now {
    state: Option<StateRecord>,
    head: Option<Head>,
    /// Whether the run is open.
    open: bool,
}

impl Inner {
    /// Copies a run into a new session, where it goes on. Once the copy is open it is worked, whatever comes: it is
    /// refused before that, or accepted.
    pub(super) async fn fork(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        request: ForkRequest,
    ) -> Result<RunId, RuntimeError> {
        if self.is_draining() {
            return Err(RuntimeError::ShuttingDown);
        }
        if let Some(input) = &request.input {
            self.check_input(input)?;
        }
        if !self.checked(run.partition()) {
            return Err(RuntimeError::UnknownRun { run: *run });
        }
        let _names = self.share_names(run.partition()).await?;
        let (log, _) = self.tenant_log(tenant, run).await?;
        let Some(accepted) = accepted_of(&log) else { return Err(RuntimeError::UnknownRun { run: *run }) };
        self.check_awake(&AgentRef::Id(accepted.agent))?;
        if self.is_behind() {
            Box::pin(self.until_let_go()).await?;
        }
        let fork = RunId::mint(run.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let session = match &request.session {
            Some(session) => session.clone(),
            None => SessionName::new(format!("fork-{}", fork.unique().simple()))?,
        };
        let of = Place {
            tenant: tenant.clone(),
            agent: accepted.agent,
            session: accepted.session.clone(),
            run: *run,
        };
        let called = AgentRef::Id(of.agent);
        Box::pin(self.check_room(tenant, &called, &of.agent, &session)).await?;
        Box::pin(self.check_limits(tenant, &called, &of.agent)).await?;
        let slot = self.take_session(&of, Place { session, run: fork, ..of.clone() }).await?;
        let written = self.copy(&of, &slot.place, &log, request).await;
        // What is there now was written beside whoever knew the session.
        self.in_session(&slot.place, |session| session.known = None);
        match written {
            Ok(entries) => {
                slot.committed(entries);
                self.begin_copy(slot);
                Ok(fork)
            }
            Err(error) => {
                self.let_copy_go(&slot.place).await;
                self.leave(&slot, Stage::Left(error.clone()));
                self.begin_next(&slot.place);
                Err(error)
            }
        }
    }

    /// Puts the copy to work in a session that nobody uses: from here on whatever comes into it comes behind the copy.
    async fn take_session(self: &Arc<Self>, of: &Place, to: Place) -> Result<Arc<RunSlot>, RuntimeError> {
        let slot = RunSlot::new(to, Stage::Accepting);
        let to = &slot.place;
        let mut queue_full = None;
        let taken = self.with_agent(&to.tenant, &to.agent, |agent, runs| {
            if agent.want == Want::Stopped {
                return Err(RuntimeError::NotStarted { agent: to.agent.to_string(), want: agent.want });
            }
            if !agent.session(&to.session).is_idle() {
                return Err(cannot(of, SESSION_IN_USE));
            }
            queue_full = full_queue(&to.agent, agent, runs, &to.session);
            if let Some(most) = queue_full {
                return Err(queue_is_full(most));
            }
            self.count_open()?;
            agent.session(&to.session).admit(to.run, true);
            runs.insert(to.run, Arc::clone(&slot));
            Ok(())
        });
        let taken = taken.await?;
        if let Some(most) = queue_full {
            self.tell_queue_full(&to.tenant, &to.agent, most);
        }
        taken?;
        Ok(slot)
    }

    /// Begins a copy that is open. A runtime that ends leaves it to the next one.
    fn begin_copy(self: &Arc<Self>, slot: Arc<RunSlot>) {
        if self.is_draining() {
            return slot.set_stage(Stage::Parked("its next attempt".to_owned()));
        }
        slot.set_stage(Stage::Moving);
        self.spawn_work(Arc::clone(self).begin(slot));
    }

    /// Writes a copy, with its conversation and its session's state. How many entries it has.
    async fn copy(
        &self,
        of: &Place,
        to: &Place,
        log: &[Entry],
        request: ForkRequest,
    ) -> Result<u64, RuntimeError> {
        let Known { conversation: there, state: was } = self.session(to).await?;
        let (Some(accepted), None) = (accepted_of(log), there.head) else {
            return Err(cannot(of, SESSION_IN_USE));
        };
        let upto = match &request.input {
            Some(_) => Seq::FIRST,
            None => cut(log, request.upto.unwrap_or(Seq(u64::MAX))),
        };
        let kept = &log[..usize::try_from(upto.0).unwrap_or(usize::MAX).min(log.len())];
        let goes_on = kept.len() > 1;
        let now = self.now_of(of).await?;
        let before = self.said_before(of, log, &now).await?;
        let state = state_before(of, log, now, goes_on)?;
        let conversation = self.conversation_of(of, to, before, said_in(kept), there.next).await?;
        let mut begin = Accepted {
            session: to.session.clone(),
            idempotency_key: None,
            parent: None,
            copied_from: Some(if goes_on { drawn_by(of.run, log) } else { of.run }),
            deadline: None,
            // A run of its own, with what a run may take.
            chain: None,
            ..accepted.clone()
        };
        // All that a copy is refused for has been looked at: from here on only the store can refuse it.
        let epoch = self.own(to.run.partition()).await?.epoch;
        if let Some(input) = &request.input {
            self.begin_with(to, &mut begin, input).await?;
        }
        let mut last = Writes::default();
        if let Some(head) = &conversation.head {
            last.then.push(Then::Put(keys::head(&to.tenant, &to.agent, &to.session), encode(head)));
        }
        if let Some(state) = state {
            let record = encode(&state);
            last.grown += record.len() as i64 - was.as_ref().map_or(0, state_bytes);
            last.then.push(Then::Put(keys::state(&to.tenant, &to.agent, &to.session), record));
        }
        let entries = copied(kept, begin, conversation.shift, self.clock.now(), epoch);
        self.write_copy(to, &conversation, &entries, last).await?;
        Ok(entries.len() as u64)
    }

    async fn begin_with(
        &self,
        to: &Place,
        begin: &mut Accepted,
        input: &Content,
    ) -> Result<(), RuntimeError> {
        (begin.input, begin.digest) = (Payload::of(input), input.digest());
        if let Payload::Blob { .. } = begin.input {
            let input = std::slice::from_ref(input);
            self.write_blobs(to, input, Patience::OfCaller).await?;
        }
        Ok(())
    }

    /// What is stored of a run's session now, read at once: the run may end meanwhile.
    async fn now_of(&self, of: &Place) -> Result<Now, RuntimeError> {
        let Place { tenant, agent, session, run } = of;
        let cells =
            [keys::state(tenant, agent, session), keys::head(tenant, agent, session), keys::open(run)];
        let mut found = self.store.get(&cells).await?.into_iter();
        let mut next = || found.next().flatten();
        let (state, head, open) = (next(), next(), next());
        Ok(Now {
            state: state.map(|state| read(&cells[0], &state)).transpose()?,
            head: head.map(|head| read(&cells[1], &head)).transpose()?,
            open: open.is_some(),
        })
    }

    /// What was said up to `before`, and what the run `said` itself, as messages from the number `first` on.
    async fn conversation_of(
        &self,
        of: &Place,
        to: &Place,
        before: Option<Seq>,
        said: Option<(Seq, Seq)>,
        first: Seq,
    ) -> Result<Conversation, RuntimeError> {
        let mut messages: Vec<Message> = Vec::new();
        let mut last: Option<Seq> = None;
        if let Some(before) = before {
            for (_, message) in self.chain(of, before, HISTORY).await? {
                messages.push(Message { after: last, ..message });
                last = Some(last.map_or(first, Seq::next));
            }
        }
        let count = messages.len() as u64;
        let head = last.map(|last| Head { last, messages: count, run: of.run, at: self.clock.now() });
        let own = first.0 + count;
        let shift = own as i64 - said.map_or(own, |(first, _)| first.0) as i64;
        if let Some((from, end)) = said {
            let said = self.messages_in(of, from, end).await?;
            if said.len() as u64 != end.0 - from.0 {
                return Err(RuntimeError::Damaged { what: format!("what `{}` said", of.run) });
            }
            for (_, message) in said {
                messages.push(Message { after: last, run: to.run, ..message });
                last = Some(last.map_or(first, Seq::next));
            }
        }
        Ok(Conversation { messages, head, shift, first })
    }

    /// The last message of the conversation before a run.
    async fn said_before(&self, of: &Place, log: &[Entry], now: &Now) -> Result<Option<Seq>, RuntimeError> {
        let own = match (said_in(log), now.head) {
            (Some((first, _)), _) => self.messages_in(of, first, first.next()).await?,
            (None, None) => return Ok(None),
            (None, Some(head)) if now.open => return Ok(Some(head.last)),
            // A run that is over has said something; those after it are left out with it.
            (None, Some(head)) => self.chain(of, head.last, HISTORY).await?,
        };
        let mut own = own.into_iter().map(|(_, message)| message);
        let first = own.find(|message| message.run == of.run && message.author == Author::Caller);
        first.map(|message| message.after).ok_or_else(|| cannot(of, NOT_KNOWN))
    }

    /// Writes a copy. It is open with its last batch, with which its last messages and `last` ride: a copy that is cut off
    /// was never accepted. One that is not large is one batch: it is there or has left nothing.
    async fn write_copy(
        &self,
        to: &Place,
        conversation: &Conversation,
        log: &[Entry],
        last: Writes,
    ) -> Result<(), RuntimeError> {
        let partition = to.run.partition();
        let messages = keys::messages(&to.tenant, &to.agent, &to.session);
        let groups = conversation.messages.chunks(GROUP).zip(0..).map(|(group, at)| {
            let when = When::Next(messages.clone(), Seq(conversation.first.0 + at * GROUP as u64));
            let group: Vec<Bytes> = group.iter().map(encode).collect();
            let grown = length(&group);
            Writes { grown, ..Writes::of(vec![when], vec![Then::Append(messages.clone(), group)]) }
        });
        let mut groups: Vec<Writes> = groups.collect();
        // Cut off in the middle, it is let go by what falls due then.
        let due = if groups.len() > 1 || fitting(log, |_| 0) < log.len() {
            let Place { tenant, agent, session, run } = to.clone();
            let at = self.clock.now().after(COPIED_WITHIN);
            let cell = keys::due(partition, at, &format!("sweep/{}", run.unique().simple()));
            let put = Then::Put(cell.clone(), encode(&Due::Sweep { tenant, agent, session, run }));
            self.commit_now(partition, Writes::of(vec![When::Absent(cell.clone())], vec![put])).await?;
            Some(cell)
        } else {
            None
        };
        let mut with_last = groups.pop().unwrap_or_default();
        with_last.join(last);
        for writes in groups {
            self.commit_now(partition, writes.booked(to, self.clock.now())).await?;
        }
        let teller = self.teller(&to.tenant, &to.agent, Patience::OfCaller).await?;
        let mut done = 0;
        while done < log.len() {
            let upto = done + fitting(&log[done..], |_| 0);
            let entries = &log[done..upto];
            let mut writes = Writes::append(to, entries);
            writes.undue(&to.run, closed_timers(log, entries));
            if upto == log.len() {
                // What it holds of the other run did not happen in this one.
                teller.tell_run(&mut writes.told, to, log, &log[..1]);
                writes.open(to);
                writes.then.extend(due.iter().cloned().map(Then::Delete));
                writes.join(std::mem::take(&mut with_last));
            }
            self.commit_now(partition, writes.booked(to, self.clock.now())).await?;
            done = upto;
        }
        Ok(())
    }

    /// Lets go what was written of a copy that was refused, if it was more than one batch. As nothing of the session's
    /// conversation counts yet, all messages there are such. A store that is away keeps them: they are nobody's predecessor,
    /// and no run of theirs is open.
    async fn let_copy_go(&self, to: &Place) {
        let messages = keys::messages(&to.tenant, &to.agent, &to.session);
        let log = keys::run_log(&to.run);
        let (written, began) = match self.copied_so_far(&messages, &log).await {
            Ok((Seq::FIRST, Seq::FIRST)) => return,
            Ok(found) => found,
            Err(error) => return tracing::warn!(run = %to.run, %error, "half a copy is left in the store"),
        };
        let head = keys::head(&to.tenant, &to.agent, &to.session);
        let when = vec![
            When::Absent(keys::open(&to.run)),
            When::Absent(head),
            When::Next(messages.clone(), written),
            When::Next(log.clone(), began),
        ];
        let bytes = match self.copy_bytes(&messages, &log, written).await {
            Ok(bytes) => bytes,
            Err(error) => return tracing::warn!(run = %to.run, %error, "half a copy is left in the store"),
        };
        let mut then = vec![Then::Drop(log)];
        if written > Seq::FIRST {
            then.push(Then::Trim(messages, written));
        }
        let writes = Writes { grown: -bytes, ..Writes::of(when, then) }.booked(to, self.clock.now());
        if let Err(error) = self.commit_now(to.run.partition(), writes).await {
            tracing::warn!(run = %to.run, %error, "half a copy is left in the store");
        }
    }

    /// How many bytes of a copy are written.
    async fn copy_bytes(&self, messages: &Log, log: &Log, written: Seq) -> Result<i64, StateError> {
        let messages = self.bytes_before(messages, written).await?;
        Ok(messages + self.bytes_before(log, Seq(u64::MAX)).await?)
    }

    /// The next numbers of a copy's messages and of its log.
    async fn copied_so_far(&self, messages: &Log, log: &Log) -> Result<(Seq, Seq), StateError> {
        let messages = self.store.read(messages, Seq::FIRST, 1).await?.next;
        Ok((messages, self.store.read(log, Seq::FIRST, 1).await?.next))
    }
}

/// The session's state when the run began: what it is now, as long as nobody has set it since. It is set with the outcome
/// of a run only, so there was none where there is none now.
fn state_before(
    of: &Place,
    log: &[Entry],
    now: Now,
    goes_on: bool,
) -> Result<Option<StateRecord>, RuntimeError> {
    let over = matches!(log.last().map(|entry| &entry.kind), Some(EntryKind::Ended(_)));
    let was_last = over && now.head.is_some_and(|head| head.run == of.run);
    let is_same = now.open || (was_last && state_left(log).is_none());
    match now.state {
        Some(_) if !is_same && goes_on => Err(cannot(of, STATE_CHANGED)),
        Some(_) if !is_same => Ok(None),
        state => Ok(state),
    }
}

fn cannot(of: &Place, reason: &str) -> RuntimeError {
    RuntimeError::CannotFork { run: of.run, reason: reason.to_owned() }
}
