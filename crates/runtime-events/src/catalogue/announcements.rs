//! What happens to agents, in the types of the catalogue.

use runtime_traits::bus::{Announcer, Event, Happening, Pattern, Subject};
use runtime_traits::id::RunId;
use runtime_traits::log::{
    DecidedBy, Ended, Entry, EntryKind, FailureKind, Outcome, StepKey, Stopped, UnknownCause, Verdict, WaitOn,
};
use runtime_traits::name::SessionName;
use runtime_traits::resource::NoRoom;
use runtime_traits::runtime::Want;

use super::{
    AgentDeleted, AgentPaused, AgentRegistered, AgentRevised, AgentStarted, AgentStopped, Announced,
    BudgetExhausted, LimitReached, MemoryExceeded, RunAccepted, RunCancelled, RunCompleted, RunContinued,
    RunFailed, RunQuarantined, RunRequeued, RunRolledBack, RunStarted, ScheduleFired, ScheduleMissed,
    SnapshotRestored, SnapshotSaved, StepDecided, StepDispatched, StepSettled, StepUnknown, ThreadBlocked,
    WaitClosed, WaitOpened,
};

/// How many characters of what somebody said go into an event.
const SAID: usize = 1_024;

/// The [`Announcer`] that says what happens to agents in the types of the catalogue.
///
/// The source of an event is its agent, `agents/NAME`: so the order of all that happens to one agent is kept.
#[derive(Debug)]
pub struct Announcements {
    topics: Pattern,
}

impl Default for Announcements {
    fn default() -> Self {
        Self { topics: "agents/**".parse().expect("it is a pattern") }
    }
}

impl Announcer for Announcements {
    fn topics(&self) -> &Pattern {
        &self.topics
    }

    fn announce(&self, subject: &Subject<'_>, what: &Happening<'_>) -> Option<Event> {
        let (agent, agent_id) = (subject.name.to_string(), subject.id.to_string());
        let event = match *what {
            Happening::Registered { kind } => {
                AgentRegistered { agent, agent_id, kind: kind.to_string() }.event()
            }
            Happening::Revised { revision } => AgentRevised { agent, agent_id, revision }.event(),
            Happening::Wanted { want, generation } => match want {
                Want::Active => AgentStarted { agent, agent_id, generation }.event(),
                Want::Paused => AgentPaused { agent, agent_id, generation }.event(),
                Want::Stopped => AgentStopped { agent, agent_id, generation }.event(),
            },
            Happening::Deleted => AgentDeleted { agent, agent_id }.event(),
            Happening::Saved { state } => SnapshotSaved { agent, state_id: state.to_string() }.event(),
            Happening::Restored { state, in_place } => {
                SnapshotRestored { agent, state_id: state.to_string(), in_place }.event()
            }
            Happening::Blocks { poll } => {
                let steps = poll.steps.iter().map(StepKey::to_string).collect();
                let (since, lasts_ms) = (poll.since.0, poll.lasts_ms);
                ThreadBlocked { agent, run: poll.run.to_string(), steps, since, lasts_ms }.event()
            }
            Happening::OverMemory { excess } => {
                MemoryExceeded { agent, bytes: excess.live, allowed: excess.max }.event()
            }
            Happening::Fired { schedule, tick, run } => {
                let (schedule, run) = (schedule.to_string(), run.to_string());
                ScheduleFired { agent, schedule, tick: tick.0, run }.event()
            }
            Happening::Missed { schedule, from, upto, count, rule } => {
                let (schedule, rule) = (schedule.to_string(), rule.to_string());
                ScheduleMissed { agent, schedule, from: from.0, upto: upto.0, count, rule }.event()
            }
            Happening::NoRoom { run, no_room } => told_of(agent, run, no_room),
            Happening::Run { run, session, entry, ended_by } => {
                Telling { agent, run, session }.entry(entry, ended_by)?
            }
        };
        Some(event.from(&format!("agents/{}", subject.name)))
    }
}

fn told_of(agent: String, run: Option<&RunId>, no_room: &NoRoom) -> Event {
    let NoRoom { limit, whose, allowed, waits, until } = *no_room;
    let (run, whose) = (run.map(RunId::to_string), whose.to_string());
    if limit.is_budget() {
        BudgetExhausted { agent, run, budget: limit.to_string(), whose, allowed, waits }.event()
    } else {
        let (limit, until) = (limit.to_string(), until.map(|until| until.0));
        LimitReached { agent, run, limit, whose, allowed, waits, until }.event()
    }
}

/// The run whose entries are told.
struct Telling<'a> {
    agent: String,
    run: &'a RunId,
    session: &'a SessionName,
}

impl Telling<'_> {
    fn entry(self, entry: &Entry, ended_by: Option<&DecidedBy>) -> Option<Event> {
        let (run, session) = (self.run.to_string(), self.session.to_string());
        let agent = self.agent.clone();
        let step = |key: &StepKey| key.to_string();
        Some(match &entry.kind {
            EntryKind::Accepted(accepted) => {
                RunAccepted { agent, run, session, principal: accepted.principal.clone() }.event()
            }
            EntryKind::Started(_) => RunStarted { agent, run, session, attempt: entry.attempt }.event(),
            EntryKind::StepOpened(opened) if opened.dispatched => {
                StepDispatched { agent, run, step: step(&opened.key), try_no: 1 }.event()
            }
            EntryKind::StepDispatched(dispatched) => {
                StepDispatched { agent, run, step: step(&dispatched.key), try_no: dispatched.try_no }.event()
            }
            EntryKind::StepSettled(settled) => {
                StepSettled { agent, run, step: step(&settled.key), failed: settled.result.is_err() }.event()
            }
            EntryKind::StepUnknown(unknown) => {
                let cause = cause_of(unknown.cause).to_owned();
                StepUnknown { agent, run, step: step(&unknown.key), cause }.event()
            }
            EntryKind::StepDecided(decided) => {
                let (verdict, by) = (verdict_of(&decided.verdict).to_owned(), who(&decided.by));
                StepDecided { agent, run, step: step(&decided.key), verdict, by }.event()
            }
            EntryKind::WaitOpened(opened) if let WaitOn::Operator { why } = &opened.on => {
                RunQuarantined { agent, run, session, why: cut(why) }.event()
            }
            EntryKind::WaitOpened(opened) => {
                let (wait, on) = (opened.wait.0.to_string(), reason(&opened.on).to_owned());
                WaitOpened { agent, run, wait, on, wake_at: opened.wake_at.map(|at| at.0) }.event()
            }
            EntryKind::WaitClosed(closed) if closed.requeues() => {
                RunRequeued { agent, run, session, by: who(&closed.by) }.event()
            }
            EntryKind::WaitClosed(closed) => {
                WaitClosed { agent, run, wait: closed.wait.0.to_string(), by: who(&closed.by) }.event()
            }
            EntryKind::Ended(ended) => self.end(ended, ended_by),
            EntryKind::StepOpened(_)
            | EntryKind::StateSet(_)
            | EntryKind::AttemptEnded(_)
            | EntryKind::CancelRequested(_)
            | EntryKind::Cleared
            | EntryKind::Unrecognised { .. } => return None,
        })
    }

    fn end(self, ended: &Ended, by: Option<&DecidedBy>) -> Event {
        let (agent, run, session) = (self.agent, self.run.to_string(), self.session.to_string());
        match &ended.outcome {
            Outcome::Completed(_) => {
                let (input_tokens, output_tokens) = (ended.usage.input_tokens, ended.usage.output_tokens);
                RunCompleted { agent, run, session, input_tokens, output_tokens }.event()
            }
            Outcome::Failed(failure) => {
                let (kind, message) = (kind_of(failure.kind).to_owned(), cut(&failure.message));
                RunFailed { agent, run, session, kind, message }.event()
            }
            Outcome::Cancelled(receipt) => {
                let by = by.map_or_else(|| "policy".to_owned(), who);
                let complete = receipt.stopped != Stopped::Abandoned && receipt.unknown.is_empty();
                RunCancelled { agent, run, session, by, complete }.event()
            }
            Outcome::RolledBack => RunRolledBack { agent, run, session }.event(),
            Outcome::Continued(next) => {
                RunContinued { agent, run, session, successor: next.to_string() }.event()
            }
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SAID).collect()
}

fn who(by: &DecidedBy) -> String {
    match by {
        DecidedBy::Policy => "policy".to_owned(),
        DecidedBy::Reconcile => "reconcile".to_owned(),
        DecidedBy::Principal(name) => cut(name),
    }
}

const fn cause_of(cause: UnknownCause) -> &'static str {
    match cause {
        UnknownCause::Crash => "crash",
        UnknownCause::Cancelled => "cancelled",
        UnknownCause::Dropped => "dropped",
        UnknownCause::TimedOut => "timed_out",
    }
}

const fn verdict_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Repeat => "repeat",
        Verdict::Assume(_) => "assume",
        Verdict::Fail => "fail",
    }
}

const fn kind_of(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Agent => "agent",
        FailureKind::Panicked => "panicked",
        FailureKind::Deadline => "deadline",
        FailureKind::LogFull => "log_full",
        FailureKind::Decided => "decided",
        FailureKind::Limit => "limit",
    }
}

const fn reason(on: &WaitOn) -> &'static str {
    match on {
        WaitOn::Approval(_) => "approval",
        WaitOn::Answer(_) => "answer",
        WaitOn::Budget(_) => "budget",
        WaitOn::Child { .. } => "child",
        WaitOn::Time(_) => "time",
        WaitOn::Event(_) => "event",
        WaitOn::Decision(_) => "decision",
        WaitOn::Diverged { .. } => "diverged",
        WaitOn::Kind(_) => "kind",
        WaitOn::CodeVersion(_) => "code_version",
        WaitOn::Operator { .. } => "operator",
    }
}
