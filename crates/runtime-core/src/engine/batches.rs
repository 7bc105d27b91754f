//! Entries and the cells that ride in their batch (replay rule 9).

use std::time::Duration;

use bytes::Bytes;
use runtime_codec::{
    Due, EndedRun, IdemRecord, Mail, OpenRun, OutboxMail, StateRecord, encode, encode_entry,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Payload;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{
    Accepted, Author, Ended, Entry, EntryKind, Head, Message, Outcome, UnknownCause, Usage, WaitId, WaitOn,
};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Seq, Then, When};

use super::announced::Told;
use super::keys;
use super::machine::payload_of;
use super::machine::said::said_in;
use super::mail::{over, own_usage};
use super::spent::MOST_AT_ONCE;

/// How long an idempotency key is kept after its run's outcome.
pub const KEY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many cells of open timers are removed in the batch of a run's end.
const MOST_TIMERS: usize = 60;

/// Where a run belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub tenant: Tenant,
    /// Which agent.
    pub agent: AgentId,
    /// In which conversation.
    pub session: SessionName,
    /// Which run.
    pub run: RunId,
}

/// Where the messages of a session end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The end of the conversation, if it has begun.
    pub head: Option<Head>,
    /// The number that the session's next message will get.
    pub next: Seq,
}

impl Default for Conversation {
    fn default() -> Self {
        Self { head: None, next: Seq::FIRST }
    }
}

/// The end of a run, and what its log says of what rides with it.
#[derive(Clone, Debug)]
pub struct End<'a> {
    /// The run's log, its end included.
    pub log: &'a [Entry],
    /// Its first entry.
    pub accepted: &'a Accepted,
    /// Its end.
    pub ended: &'a Ended,
    /// When it ended.
    pub at: UnixMillis,
    /// The session's state as the run leaves it, if it set it.
    pub state: Option<Payload>,
    /// The session's state before that.
    pub before: Option<Payload>,
    /// How long the run's log is kept; `None`: nobody lets it go.
    pub keep: Option<Duration>,
}

/// Conditions and writes of a batch.
#[derive(Debug, Default)]
pub struct Writes {
    /// The conditions.
    pub when: Vec<When>,
    /// The writes.
    pub then: Vec<Then>,
    /// Whether something of it leaves for another partition.
    pub sends: bool,
    /// By how many bytes what is stored of the session changes with it.
    pub grown: i64,
    /// What is announced of it.
    pub told: Told,
}

impl Writes {
    /// These conditions and writes; nothing of them leaves.
    pub fn of(when: Vec<When>, then: Vec<Then>) -> Self {
        Self { when, then, ..Self::default() }
    }

    /// The first batch of a run: its log begins, it is open, and its key is taken.
    pub fn accept(place: &Place, accepted: &Accepted, entries: &[Entry]) -> Self {
        let mut writes = Self::append(place, entries);
        writes.open(place);
        let Place { tenant, agent, session, run } = place;
        if let Some(key) = &accepted.idempotency_key {
            let cell = keys::idem(tenant, agent, session, key);
            writes.when.push(When::Absent(cell.clone()));
            writes.then.push(Then::Put(cell, encode(&IdemRecord { run: *run, digest: accepted.digest })));
        }
        writes
    }

    /// Adds that the run is open: recovery finds it from here on.
    pub fn open(&mut self, place: &Place) {
        let Place { tenant, agent, session, run } = place;
        let open = OpenRun { tenant: tenant.clone(), agent: *agent, session: session.clone() };
        self.then.push(Then::Put(keys::open(run), encode(&open)));
    }

    /// Appends entries to a run's log. Moments at which a wait ends by itself become cells in the same batch.
    pub fn append(place: &Place, entries: &[Entry]) -> Self {
        let run = &place.run;
        let log = keys::run_log(run);
        // The last batch of a run without steps has ten writes at most and two conditions.
        let mut writes =
            Self { when: Vec::with_capacity(2), then: Vec::with_capacity(10), ..Self::default() };
        let Some(first) = entries.first() else {
            return writes;
        };
        writes.when.push(When::Next(log.clone(), first.seq));
        let encoded: Vec<Bytes> = entries.iter().map(encode_entry).collect();
        writes.grown += length(&encoded);
        writes.then.push(Then::Append(log, encoded));
        for entry in entries {
            if let EntryKind::WaitOpened(opened) = &entry.kind
                && let (WaitOn::Time(_), Some(at)) = (&opened.on, opened.wake_at)
            {
                let cell = keys::due(run.partition(), at, &wake(run, opened.wait));
                writes.then.push(Then::Put(cell, encode(&Due::Wake { run: *run })));
            }
        }
        writes
    }

    /// Removes the `due/` cells of waits that are over: each a wait's number and the moment it was set for.
    pub fn undue(&mut self, run: &RunId, waits: impl IntoIterator<Item = (WaitId, UnixMillis)>) {
        for (wait, at) in waits {
            self.then.push(Then::Delete(keys::due(run.partition(), at, &wake(run, wait))));
        }
    }

    /// The cells that ride with `Ended`: messages, head, state, usage, and that the run is no longer open.
    /// Returns where the conversation then ends. A run that never began adds nothing to it: then there is none given.
    pub fn end(
        &mut self,
        place: &Place,
        end: End<'_>,
        conversation: Option<Conversation>,
    ) -> Option<Conversation> {
        let Place { tenant, agent, session, run } = place;
        let End { log, accepted, ended, at, ref state, ref before, keep } = end;
        let mut after = conversation;
        if let Some(conversation) = conversation {
            if ended.outcome == Outcome::RolledBack {
                // What it said stays, and comes after nothing.
                let next = said_in(log).map_or(conversation.next, |(_, end)| end);
                after = Some(Conversation { next, ..conversation });
            } else {
                after = Some(self.messages(place, &end, conversation));
                if let Some(value) = state.clone() {
                    let cell = keys::state(tenant, agent, session);
                    let record = encode(&StateRecord { value });
                    self.grown += record.len() as i64 - before.as_ref().map_or(0, state_bytes);
                    self.then.push(Then::Put(cell, record));
                }
            }
        }
        if let Some((parent, mail)) = over(*run, accepted, &ended.outcome, ended.usage) {
            self.send(run.partition(), parent.partition(), mail);
        }
        let cell = keys::ended(tenant, agent, run);
        self.then.push(Then::Put(cell, encode(&EndedRun { session: session.clone(), at })));
        self.then.push(Then::Delete(keys::open(run)));
        if let Some(keep) = keep {
            // Not before its key is forgotten, which has to find it.
            let keep = if accepted.idempotency_key.is_some() { keep.max(KEY_KEPT) } else { keep };
            let sweep =
                Due::Sweep { tenant: tenant.clone(), agent: *agent, session: session.clone(), run: *run };
            let cell =
                keys::due(run.partition(), at.after(keep), &format!("sweep/{}", run.unique().simple()));
            self.then.push(Then::Put(cell, encode(&sweep)));
        }
        if let Some(key) = &accepted.idempotency_key {
            let key = keys::idem(tenant, agent, session, key);
            let forget = Due::ForgetKey { cell: key.path.as_bytes().to_vec() };
            let cell =
                keys::due(run.partition(), at.after(KEY_KEPT), &format!("key/{}", run.unique().simple()));
            self.then.push(Then::Put(cell, encode(&forget)));
        }
        self.usage(place, own_usage(log, ended.usage));
        after
    }

    fn messages(&mut self, place: &Place, end: &End<'_>, conversation: Conversation) -> Conversation {
        let End { log, accepted, ended, at, .. } = end;
        let at = *at;
        let said = said_in(log);
        let Place { tenant, agent, session, run } = place;
        let log = keys::messages(tenant, agent, session);
        let before = conversation.head.map(|head| head.last);
        let next = said.map_or(conversation.next, |(_, end)| end);
        let message = |author, content: &Payload, after| {
            encode(&Message { author, content: content.clone(), run: *run, at, after })
        };
        let mut messages = Vec::with_capacity(2);
        if said.is_none() {
            messages.push(message(Author::Caller, &accepted.input, before));
        }
        if let Outcome::Completed(output) = &ended.outcome {
            // The number of the message before it.
            let after = Seq(next.0 + messages.len() as u64 - 1);
            messages.push(message(Author::Agent, output, Some(after)));
        }
        let end = Seq(next.0 + messages.len() as u64);
        let own = end.0 - said.map_or(next, |(first, _)| first).0;
        let count = conversation.head.map_or(0, |head| head.messages) + own;
        let head = Head { last: Seq(end.0 - 1), messages: count, run: *run, at };
        // What was said in this very batch has a condition of its own.
        let said_now = self.when.iter().any(|when| matches!(when, When::Next(of, _) if *of == log));
        if !said_now {
            self.when.push(When::Next(log.clone(), next));
        }
        if !messages.is_empty() {
            self.grown += length(&messages);
            self.then.push(Then::Append(log, messages));
        }
        self.then.push(Then::Put(keys::head(tenant, agent, session), encode(&head)));
        Conversation { head: Some(head), next: end }
    }

    /// Adds messages that a run says while it is worked, with their numbers.
    pub fn say(&mut self, place: &Place, messages: &[(Seq, Message)]) {
        let Some((first, _)) = messages.first() else { return };
        let log = keys::messages(&place.tenant, &place.agent, &place.session);
        self.when.push(When::Next(log.clone(), *first));
        let messages: Vec<Bytes> = messages.iter().map(|(_, message)| encode(message)).collect();
        self.grown += length(&messages);
        self.then.push(Then::Append(log, messages));
    }

    /// Adds what leaves for another partition.
    pub fn send(&mut self, from: Partition, to: Partition, mail: Mail) {
        self.sends = true;
        self.then.push(Then::Append(keys::outbox(from), vec![encode(&OutboxMail { to, mail })]));
    }

    /// Takes another batch of the same session in.
    pub fn join(&mut self, other: Self) {
        self.when.extend(other.when);
        self.then.extend(other.then);
        self.sends |= other.sends;
        self.grown += other.grown;
        self.told.join(other.told);
    }

    /// Counts by how many bytes the session of `place`, and its agent, change with this batch.
    #[must_use]
    pub fn booked(mut self, place: &Place, at: UnixMillis) -> Self {
        let by = std::mem::take(&mut self.grown);
        self.book(&place.tenant, &place.agent, &place.session, by, at);
        self
    }

    /// Counts by how many bytes a session, and its agent, change.
    pub fn book(&mut self, tenant: &Tenant, agent: &AgentId, session: &SessionName, by: i64, at: UnixMillis) {
        if by != 0 {
            let day = day_of(at);
            self.then.push(Then::Add(keys::size(tenant, agent, day), by));
            self.then.push(Then::Add(keys::session_size(tenant, agent, session, day), by));
        }
    }

    fn usage(&mut self, place: &Place, usage: Usage) {
        let sums = [
            ("input-tokens", usage.input_tokens),
            ("output-tokens", usage.output_tokens),
            ("model-calls", u64::from(usage.model_calls)),
            ("tool-calls", u64::from(usage.tool_calls)),
            ("estimated-tokens", usage.estimated_tokens),
        ];
        for (what, sum) in sums.into_iter().filter(|(_, sum)| *sum > 0) {
            let by = sum.min(MOST_AT_ONCE) as i64;
            self.then.push(Then::Add(keys::usage(&place.tenant, &place.agent, what), by));
        }
    }
}

/// The day of a moment, in UTC.
pub fn day_of(at: UnixMillis) -> u64 {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    at.0 / DAY
}

/// How many bytes the cell of a session's state has.
pub fn state_bytes(value: &Payload) -> i64 {
    encode(&StateRecord { value: value.clone() }).len() as i64
}

/// How many bytes entries of a log have.
pub fn length(entries: &[Bytes]) -> i64 {
    entries.iter().map(|entry| entry.len() as i64).sum()
}

fn wake(run: &RunId, wait: WaitId) -> String {
    format!("wake/{}/{}", run.unique().simple(), wait.0)
}

/// The waits on time that `entries` close, with the moments that `log` set for them.
pub fn closed_timers<'a>(
    log: &'a [Entry],
    entries: &'a [Entry],
) -> impl Iterator<Item = (WaitId, UnixMillis)> + use<'a> {
    entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::WaitClosed(closed) => timer_set_for(log, closed.wait).map(|at| (closed.wait, at)),
        _ => None,
    })
}

/// The waits on time that a log leaves open, with the moments that they were set for: as many as fit into the batch of
/// the run's end. The cells of others are removed when they fall due.
pub fn open_timers(log: &[Entry]) -> Vec<(WaitId, UnixMillis)> {
    let mut open: Vec<(WaitId, UnixMillis)> = Vec::new();
    for entry in log {
        match &entry.kind {
            EntryKind::WaitOpened(opened) if matches!(opened.on, WaitOn::Time(_)) => {
                open.extend(opened.wake_at.map(|at| (opened.wait, at)));
            }
            EntryKind::WaitClosed(closed) => open.retain(|(wait, _)| *wait != closed.wait),
            _ => {}
        }
    }
    open.truncate(MOST_TIMERS);
    open
}

fn timer_set_for(log: &[Entry], wait: WaitId) -> Option<UnixMillis> {
    let opened = log.get(usize::try_from(wait.0).ok()?.checked_sub(1)?)?;
    match &opened.kind {
        EntryKind::WaitOpened(opened) if matches!(opened.on, WaitOn::Time(_)) => opened.wake_at,
        _ => None,
    }
}

/// How many of `entries` go into one batch: with at most one cell for each, and those that ride with the run's end, they
/// are fewer than the 256 writes and less than the 1 MiB that a store takes.
///
/// `said` tells how many bytes the messages of an entry add.
pub fn fitting(entries: &[Entry], said: impl Fn(&Entry) -> u64) -> usize {
    const ENTRIES: usize = 64;
    const BYTES: u64 = 512 * 1024;
    let mut bytes = 0;
    let fits = entries.iter().take(ENTRIES).take_while(|entry| {
        bytes += 256 + inline_bytes(&entry.kind) + said(entry);
        bytes <= BYTES
    });
    let fits = fits.count().max(1);
    let joined = entries[fits - 1..].windows(2).take_while(|pair| are_one(&pair[0].kind, &pair[1].kind));
    fits + joined.count()
}

/// Whether an entry says nothing without the one that follows it.
fn are_one(entry: &EntryKind, next: &EntryKind) -> bool {
    match (entry, next) {
        (EntryKind::StepDecided(_), EntryKind::WaitClosed(_)) => true,
        (EntryKind::StepOpened(opened), _) => !opened.dispatched,
        (EntryKind::WaitOpened(opened), _) => matches!(opened.on, WaitOn::Diverged { .. }),
        (EntryKind::WaitClosed(_), EntryKind::StepSettled(_)) => true,
        (EntryKind::StepUnknown(unknown), EntryKind::WaitClosed(_)) => unknown.cause == UnknownCause::Dropped,
        _ => false,
    }
}

fn inline_bytes(kind: &EntryKind) -> u64 {
    let payload = match kind {
        EntryKind::StepOpened(opened) => Some(&opened.request),
        other => payload_of(other),
    };
    let words = match kind {
        EntryKind::StepSettled(settled) => {
            settled.result.as_ref().err().map_or(0, |failure| failure.message.len())
        }
        _ => 0,
    };
    let content = match payload {
        Some(Payload::Inline(content)) => content.bytes.len(),
        _ => 0,
    };
    (words + content) as u64
}
