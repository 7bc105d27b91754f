//! One attempt of one run, by the replay rule.
//!
//! The machine holds the whole log and a cursor into it. Replay and live work are one mechanism: what the log says is
//! *given out* to the agent in log order, one result at a time, and the agent runs to its next pause before the next
//! result is given. So `join!` and `select!` see in a replay what they saw before. What the agent asks for beyond the
//! recorded log waits until all of it has been given out, and only then appends.

pub mod admit;
mod again;
pub mod asks;
mod diverge;
mod give;
mod outgoing;
pub mod outside;
mod reading;
mod restarting;
pub mod said;
mod slot;
mod standing;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use runtime_traits::agent::Facts;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{
    AttemptEnding, CancelRequested, Chain, DecidedBy, Ended, Entry, EntryKind, FailureKind, Outcome, Price,
    Receipt, RunFailure, RunView, StepDecided, StepKey, StepUnknown, Stopped, UnknownCause, Usage, Verdict,
    WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::model::Spoken;
use runtime_traits::name::Name;
use runtime_traits::recovery::StallBounds;
use runtime_traits::resource::NoRoom;
use runtime_traits::store::Seq;

use super::batches::Conversation;
use super::claim::unknown_steps;
use super::mail::drop_children;
pub use outgoing::Outgoing;
pub use reading::{blob_of, blobs_of, names_of, payload_of, shortened, state_left, too_late};
pub use standing::{Kept, Stall};

use admit::{Asking, EndedCall, MostSteps};
use asks::MAX_CONTENT;
use outside::Calling;
use reading::{is_urgent, payload_digest};
use said::Said;
use slot::{Phase, Recorded, SlotState};

/// The most entries of a run's log. A run that needs more fails; the rest of the room is for its end.
pub const MAX_ENTRIES: usize = 10_000;
const ROOM_TO_END: usize = 64;

/// One attempt of one run.
#[derive(Debug)]
pub struct RunMachine {
    facts: Facts,
    now: UnixMillis,
    log: Vec<Entry>,
    /// Entries before this are committed.
    durable: usize,
    /// Entries before this are committed or on their way.
    sent: usize,
    /// Entries before this have been given out.
    given: usize,
    /// Entries before this were there when the attempt began.
    history: usize,
    slots: Vec<SlotState>,
    /// The slots that have not come to their end.
    open: BTreeSet<usize>,
    by_key: HashMap<StepKey, usize>,
    recorded: HashMap<StepKey, Recorded>,
    timers: HashMap<WaitId, StepKey>,
    recorded_timers: HashMap<StepKey, WaitId>,
    /// The waits whose ends were there when the attempt began.
    closed_waits: HashSet<WaitId>,
    counts: HashMap<(Vec<Name>, Name), u32>,
    draws: HashMap<Vec<Name>, u64>,
    contents: HashMap<Digest, Content>,
    said: Said,
    history_of_session: Arc<[Spoken]>,
    /// Steps whose agents are to be looked up.
    seeking: Vec<usize>,
    /// Steps that wait to be let through, since somebody asked last.
    admitting: Vec<usize>,
    /// The calls that found no room, and for which the attempt ended.
    waited: Vec<Asking>,
    /// What was refused because of a limit, with the entry that says so.
    refused: Vec<(Seq, NoRoom)>,
    /// Calls that are over, and what they took.
    over_calls: Vec<EndedCall>,
    /// Whether somebody holds agents to limits.
    governed: bool,
    /// The runs before this one, which share its limits.
    chain: Option<Chain>,
    /// The most steps of the run.
    most_steps: Option<MostSteps>,
    /// Calls whose steps are not committed yet.
    calling: Vec<Calling>,
    continuing: Option<(RunId, Content)>,
    /// Something of the news has to leave soon, though nothing here waits for it.
    hurry: bool,
    unwritten: Vec<Content>,
    state: Option<Content>,
    states_set: usize,
    states_recorded: Vec<Digest>,
    states_given: usize,
    seen_at: UnixMillis,
    /// When the agent's own code last did or was given something.
    touched: UnixMillis,
    /// How long it may stand still.
    bounds: StallBounds,
    kept: Kept,
    cancelled: bool,
    cancel_wakers: Vec<Waker>,
    cancel_by: Option<UnixMillis>,
    deadline: Option<UnixMillis>,
    /// When it has taken the time that its agent's limits give a run.
    time_over: Option<UnixMillis>,
    paused: bool,
    /// Its agent is built anew: it begins no step, and gives its place up as soon as none is under way.
    leaving: bool,
    over: Over,
    usage: Usage,
    price: Price,
}

/// Whether the attempt goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It does.
    No,
    /// The attempt is over, the run is not.
    Attempt,
    /// The run has its outcome.
    Run,
}

impl RunMachine {
    /// Begins an attempt over a log that ends with this attempt's `Started` and is committed, with the contents that
    /// its payloads refer to and the session's state as of the run's begin.
    pub fn begin(
        facts: Facts,
        log: Vec<Entry>,
        contents: HashMap<Digest, Content>,
        state: Option<Content>,
        now: UnixMillis,
    ) -> Self {
        let committed = log.len();
        let (deadline, chain) = match log.first().map(|entry| &entry.kind) {
            Some(EntryKind::Accepted(accepted)) => (accepted.deadline, accepted.chain),
            _ => (None, None),
        };
        let said = Said::of(facts.run, &log, Conversation::default(), HashMap::new());
        let mut machine = Self {
            facts,
            now,
            durable: committed,
            sent: committed,
            given: 0,
            history: committed,
            slots: Vec::new(),
            open: BTreeSet::new(),
            by_key: HashMap::new(),
            recorded: HashMap::new(),
            timers: HashMap::new(),
            recorded_timers: HashMap::new(),
            closed_waits: HashSet::new(),
            counts: HashMap::new(),
            draws: HashMap::new(),
            contents,
            said,
            history_of_session: Arc::default(),
            seeking: Vec::new(),
            admitting: Vec::new(),
            waited: Vec::new(),
            refused: Vec::new(),
            over_calls: Vec::new(),
            governed: false,
            chain,
            most_steps: None,
            calling: Vec::new(),
            continuing: None,
            hurry: false,
            unwritten: Vec::new(),
            state,
            states_set: 0,
            states_recorded: Vec::new(),
            states_given: 0,
            seen_at: now,
            touched: now,
            bounds: StallBounds::default(),
            kept: Kept::No,
            cancelled: false,
            cancel_wakers: Vec::new(),
            cancel_by: None,
            deadline,
            time_over: None,
            paused: false,
            leaving: false,
            over: Over::No,
            usage: Usage::default(),
            price: Price::default(),
            log,
        };
        machine.index_history();
        machine.pass_begin();
        machine
    }

    /// Tells what is said in the session: where it goes on, what this run has said before, and what was said before this
    /// run.
    pub fn conversing(
        &mut self,
        conversation: Conversation,
        said: HashMap<Seq, Content>,
        history: Arc<[Spoken]>,
    ) {
        self.said = Said::of(self.facts.run, &self.log, conversation, said);
        self.history_of_session = history;
    }

    /// What was said in the session before this run.
    pub fn history(&self) -> Arc<[Spoken]> {
        Arc::clone(&self.history_of_session)
    }

    /// Lets the run go on as `run`, with this input, once its agent ends.
    pub fn continue_as(&mut self, run: RunId, input: Content) {
        self.continuing = Some((run, input));
    }

    /// Folds what the log of earlier attempts knows of each step.
    fn index_history(&mut self) {
        let mut deciding = HashMap::new();
        for at in 0..self.log.len() {
            let entry = &self.log[at];
            match &entry.kind {
                EntryKind::StepOpened(opened) => {
                    self.recorded.insert(opened.key.clone(), Recorded::opened(opened, entry.at));
                }
                EntryKind::StepDispatched(dispatched) => {
                    if let Some(recorded) = self.recorded.get_mut(&dispatched.key) {
                        recorded.dispatched(dispatched.try_no, entry.at);
                        recorded.reserves = dispatched.holds(recorded.reserves);
                        recorded.broke_off(&mut self.usage, &mut self.price, dispatched);
                        recorded.repeat = false;
                    }
                }
                EntryKind::StepSettled(settled) => {
                    self.recorded
                        .entry(settled.key.clone())
                        .or_insert_with(|| Recorded::pure(settled.digest, entry.at))
                        .end(&mut self.usage, &mut self.price, settled.usage, settled.price);
                }
                EntryKind::StepUnknown(unknown) => {
                    if let Some(recorded) = self.recorded.get_mut(&unknown.key) {
                        recorded.unknown(&mut self.usage, &mut self.price, unknown);
                        recorded.closed |= unknown.cause != UnknownCause::Crash;
                    }
                }
                EntryKind::StepDecided(decided) => {
                    if let Some(recorded) = self.recorded.get_mut(&decided.key) {
                        recorded.repeat = decided.verdict == Verdict::Repeat;
                        recorded.closed |= !recorded.repeat;
                        recorded.deciding = None;
                    }
                }
                // A pause between two attempts is nothing that the agent asked for.
                EntryKind::WaitOpened(WaitOpened { on, .. }) if on.is_restart() => {}
                EntryKind::WaitOpened(WaitOpened { wait, on: WaitOn::Time(key), .. }) => {
                    self.timers.insert(*wait, key.clone());
                    self.recorded_timers.insert(key.clone(), *wait);
                }
                EntryKind::WaitOpened(WaitOpened { wait, on: WaitOn::Decision(key), .. }) => {
                    if let Some(recorded) = self.recorded.get_mut(key) {
                        recorded.deciding = Some(*wait);
                        deciding.insert(*wait, key.clone());
                    }
                }
                EntryKind::WaitOpened(WaitOpened { wait, on, .. })
                    if matches!(
                        on,
                        WaitOn::Approval(_) | WaitOn::Answer(_) | WaitOn::Child { .. } | WaitOn::Budget(_)
                    ) =>
                {
                    let key = on.step().cloned();
                    if let Some(key) = key
                        && let Some(recorded) = self.recorded.get_mut(&key)
                    {
                        recorded.waiting = Some(*wait);
                        deciding.insert(*wait, key);
                    }
                }
                EntryKind::WaitClosed(closed) => {
                    self.closed_waits.insert(closed.wait);
                    let key = deciding.remove(&closed.wait);
                    if let Some(recorded) = key.and_then(|key| self.recorded.get_mut(&key)) {
                        recorded.deciding = None;
                        recorded.waiting = None;
                    }
                }
                EntryKind::StateSet(set) => self.states_recorded.push(payload_digest(&set.value)),
                EntryKind::CancelRequested(cancel) => {
                    let by = entry.at.after(Duration::from_millis(cancel.within_millis));
                    self.cancel_by = Some(self.cancel_by.map_or(by, |old| old.min(by)));
                }
                _ => {}
            }
        }
    }

    /// The log, with what is not committed yet.
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// The log of an attempt that is over.
    pub fn take_log(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.log)
    }

    /// How many entries are committed.
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// Whether the attempt goes on.
    pub fn over(&self) -> Over {
        self.over
    }

    /// Whether all that was recorded before this attempt has been given out.
    pub fn is_live(&self) -> bool {
        self.given >= self.history
    }

    /// The session's state as the run leaves it, if the run set it.
    pub fn state_left(&self) -> Option<Payload> {
        state_left(&self.log)
    }

    /// Tells the time, and nothing takes effect yet: what is appended from here on is stamped with it.
    pub fn pass(&mut self, now: UnixMillis) {
        self.now = now.max(self.now);
    }

    /// Tells the time. Deadlines and timers that have passed take effect.
    pub fn tick(&mut self, now: UnixMillis) {
        self.pass(now);
        if self.over != Over::No {
            return;
        }
        if self.cancel_by.is_some_and(|by| by <= self.now) {
            return self.stop_cancelled(Stopped::Dropped);
        }
        if let Some(outcome) = self.too_late() {
            self.give_up_steps(UnknownCause::TimedOut);
            return self.end(outcome);
        }
        if self.is_live() {
            self.fire_timers();
        }
    }

    /// When `tick` has to be called next.
    pub fn wake_at(&self) -> Option<UnixMillis> {
        if self.over != Over::No {
            return None;
        }
        let slots =
            self.open.iter().filter_map(|slot| self.slots[*slot].wake_at()).filter(|_| self.is_live());
        slots.chain(self.cancel_by).chain(self.deadline).chain(self.time_over).min()
    }

    /// The batch taken last is committed.
    pub fn committed(&mut self) {
        self.durable = self.sent;
    }

    /// Somebody wants the run to end: it may end by itself within `within`. Of two such wishes the more urgent rules.
    pub fn cancel(&mut self, by: DecidedBy, reason: String, within: Duration) {
        let until = self.now.after(within);
        if self.over != Over::No || self.cancel_by.is_some_and(|before| before <= until) {
            return;
        }
        let within_millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.cancel_by = Some(until);
        self.append(EntryKind::CancelRequested(CancelRequested {
            by,
            reason: shortened(reason),
            within_millis,
        }));
    }

    /// Ends the run as if it had not been.
    pub fn roll_back(&mut self) {
        if self.over == Over::No {
            self.give_up_steps(UnknownCause::Cancelled);
            self.end(Outcome::RolledBack);
        }
    }

    /// Ends a cancelled run whose agent did not end by itself.
    pub fn stop_cancelled(&mut self, stopped: Stopped) {
        if self.over == Over::No {
            self.give_up_steps(UnknownCause::Cancelled);
            let view = RunView::of(self.facts.run, &self.log);
            let unknown = view.as_ref().map(unknown_steps).unwrap_or_default();
            self.end(Outcome::Cancelled(Receipt { stopped, unknown }));
        }
    }

    /// Holds back all steps that have not begun, or lets them begin. Those that wait to be let through give up their places.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.ask_no_more();
        }
    }

    /// Whether no step may begin.
    fn is_held(&self) -> bool {
        self.paused || self.leaving
    }

    /// Records a verdict on a step that waits for one. `false`: it does not wait.
    pub fn decide(&mut self, key: &StepKey, by: DecidedBy, verdict: Verdict) -> bool {
        let over = self.over != Over::No;
        let Some(recorded) = self.recorded.get_mut(key).filter(|_| !over) else {
            return false;
        };
        let Some(wait) = recorded.deciding.take() else {
            return false;
        };
        recorded.repeat = verdict == Verdict::Repeat;
        recorded.closed = !recorded.repeat;
        let digest = recorded.digest;
        if let Some(slot) = self.by_key.get(key) {
            // What was decided comes in the order of the log.
            self.slots[*slot].phase = Phase::Recorded;
        }
        self.append(EntryKind::StepDecided(StepDecided {
            key: key.clone(),
            by: by.clone(),
            verdict,
            digest,
        }));
        let answer = Payload::Inline(Content::text(""));
        self.append(EntryKind::WaitClosed(WaitClosed { wait, by, answer }));
        true
    }

    /// The agent has ended.
    pub fn finish(&mut self, result: Result<Content, RunFailure>) {
        if self.over != Over::No {
            return;
        }
        while self.give() {}
        if !self.is_live() {
            return self.diverge("the code ends here".to_owned());
        }
        if self.cancel_by.is_some() {
            return self.stop_cancelled(Stopped::Complete);
        }
        let outcome = match (result, self.continuing.clone()) {
            (Ok(_), Some((run, input))) => self.continued(run, &input),
            (Ok(output), None) => Outcome::Completed(self.keep(&output)),
            (Err(RunFailure { kind, message }), _) => {
                let message = shortened(message);
                Outcome::Failed(RunFailure { kind, message })
            }
        };
        self.end(outcome);
    }

    /// The outcome of a run that goes on in a successor with this input.
    fn continued(&mut self, run: RunId, input: &Content) -> Outcome {
        let len = input.bytes.len();
        if len == 0 || len > MAX_CONTENT {
            let message =
                format!("the run cannot go on with an input of {len} bytes; it takes 1 to {MAX_CONTENT}");
            return Outcome::Failed(RunFailure { kind: FailureKind::Agent, message });
        }
        self.keep(input);
        Outcome::Continued(run)
    }

    /// The agent can go no further, and recorded results are left that it has not asked for.
    pub fn stuck(&mut self) {
        if self.over == Over::No && !self.is_live() {
            self.diverge("the code asks for nothing else".to_owned());
        }
    }

    /// Whether the run waits, for nothing that this process does, and for something that the log names: that ends the
    /// wait of a parked run. A pause does not, nor an older dispatch that may still be under way.
    pub fn may_park(&self) -> bool {
        self.is_still(SlotState::is_waiting)
    }

    /// How the attempt may end at once when no more work is wanted: it waits, for room under a limit as well, or a pause holds
    /// all that it could begin.
    pub fn may_drain(&self) -> Option<AttemptEnding> {
        if self.may_park() {
            return Some(AttemptEnding::Parked);
        }
        let held = |slot: &SlotState| self.is_held() && slot.is_to_begin();
        let held = self.is_still(|slot| slot.is_waiting() || slot.is_asking() || held(slot));
        // Drained and not parked: no end of a wait in the log tells of the pause's, nor may one of room.
        held.then_some(AttemptEnding::Drained)
    }

    /// Whether nothing is under way, and all that the agent asked for is `so`.
    fn is_still(&self, so: impl Fn(&SlotState) -> bool) -> bool {
        self.over == Over::No
            && self.is_live()
            && self.cancel_by.is_none()
            && self.sent == self.durable
            && !self.log[self.sent..].iter().any(|entry| is_urgent(&entry.kind))
            && !self.open.is_empty()
            && self.open.iter().all(|slot| so(&self.slots[*slot]))
    }

    /// Records that nobody knows how the steps under way will end.
    fn give_up_steps(&mut self, cause: UnknownCause) {
        for at in self.open.iter().copied().collect::<Vec<_>>() {
            if self.slots[at].between.asks_after().is_some() {
                // Its work may be polled by somebody whom nobody else tells that the attempt is over.
                self.slots[at].wake();
            }
            let waits =
                self.recorded.get(&self.slots[at].key).is_some_and(|recorded| recorded.waiting.is_some());
            if let Some(try_no) = self.slots[at].dispatched_try().filter(|_| !waits) {
                let (usage, price) = self.book_given_up(at, try_no);
                let price = Some(price);
                let key = self.slots[at].key.clone();
                self.slots[at].phase = Phase::Gone;
                self.slots[at].wake();
                self.append(EntryKind::StepUnknown(StepUnknown { key, try_no, cause, usage, price }));
            }
        }
    }

    fn log_full(&mut self) {
        let message = format!("the run's log is full: {MAX_ENTRIES} entries");
        self.end_for(FailureKind::LogFull, message);
    }

    fn end(&mut self, outcome: Outcome) {
        drop_children(&self.log).into_iter().for_each(|kind| self.append(kind));
        let (usage, price) = (self.usage, self.price);
        self.append(EntryKind::Ended(Ended { outcome, usage, price }));
        self.over = Over::Run;
    }

    fn next_seq(&self) -> Seq {
        Seq(self.log.len() as u64 + 1)
    }

    fn append(&mut self, kind: EntryKind) {
        let entry = Entry {
            seq: self.next_seq(),
            at: self.now,
            attempt: self.facts.fence.attempt,
            epoch: self.facts.fence.epoch,
            kind,
        };
        self.log.push(entry);
    }

    /// Refers to content; what does not fit into the log is written before the batch that names it.
    fn keep(&mut self, content: &Content) -> Payload {
        let payload = Payload::of(content);
        if let Payload::Blob { hash, .. } = &payload
            && self.contents.insert(*hash, content.clone()).is_none()
        {
            self.unwritten.push(content.clone());
        }
        payload
    }
}
