//! Runs that were over for long: their logs are let go, and a stub of each stays.

use runtime_codec::{Due, SweptRun, encode};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Accepted, Ended, Entry, EntryKind, Outcome, Price, RunView};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::{Finished, Joined, RuntimeError, SessionPolicy, SweptLog};
use runtime_traits::store::{Key, Revision, Seq, Then, When};

use super::inner::Inner;
use super::load::PAGE;
use super::run_slot::lock;
use crate::engine::batches::{Place, Writes, length};
use crate::engine::keys;

impl Inner {
    /// Lets the log of a run go: first its stub is written, then the log goes piece by piece. What is returned is to be
    /// committed and ends it; each batch before that is conditional on the `due` cell and writes it anew.
    pub(super) async fn sweep_run(
        &self,
        place: &Place,
        due: &Key,
        mut revision: Revision,
    ) -> Result<Writes, RuntimeError> {
        let Place { tenant, agent, session, run } = place;
        let partition = run.partition();
        let (log, stub) = (keys::run_log(run), keys::swept(run));
        let again = encode(&Due::Sweep {
            tenant: tenant.clone(),
            agent: *agent,
            session: session.clone(),
            run: *run,
        });
        let mut writes = Writes::default();
        let mut is_half = false;
        if self.record::<SweptRun>(&stub).await?.is_none() {
            match self.run_log(run).await {
                Ok((entries, view)) => match stub_of(place, &view, self.clock.now()) {
                    Some(swept) => writes.then.push(Then::Put(stub, encode(&swept))),
                    // It is open: its end leaves another cell.
                    None if self.is_open(run).await? => return Ok(ended(due, revision)),
                    // Its end may be what is not recognised: no copy that was cut off is over.
                    None if has_unrecognised(&entries) || self.is_over(place).await? => {
                        let what = format!("the end of `{run}` in `{log}`");
                        return Err(RuntimeError::Damaged { what });
                    }
                    // A copy that was never complete leaves nothing.
                    None => is_half = true,
                },
                // Let go by somebody else, or a copy that was cut off before its log began.
                Err(RuntimeError::UnknownRun { .. }) => {
                    self.let_half_go(place).await?;
                    return Ok(ended(due, revision));
                }
                Err(error) => return Err(error),
            }
        }
        loop {
            let tail = self.store.read(&log, Seq::FIRST, PAGE).await?;
            let upto = Seq(tail.first.0 + tail.entries.len() as u64);
            let is_last = upto >= tail.next;
            writes.when.push(When::Revision(due.clone(), revision));
            if is_last {
                writes.then.push(Then::Drop(log.clone()));
                writes.then.push(Then::Delete(due.clone()));
                writes.then.extend(self.stale_use(tenant, agent).await?);
            } else {
                writes.then.push(Then::Trim(log.clone(), upto));
                writes.then.push(Then::Put(due.clone(), again.clone()));
            }
            writes.book(tenant, agent, session, -length(&tail.entries), self.clock.now());
            if is_last {
                if is_half {
                    self.let_half_go(place).await?;
                }
                return Ok(writes);
            }
            revision = self.commit(partition, std::mem::take(&mut writes)).await?.revision;
        }
    }

    /// Lets the conversation go of a copy that was never complete, as long as nothing of its session counts yet: then all
    /// messages there are the copy's. Where a run is open in the session, they may be that run's.
    async fn let_half_go(&self, place: &Place) -> Result<(), RuntimeError> {
        let Place { tenant, agent, session, run } = place;
        let messages = keys::messages(tenant, agent, session);
        let head = keys::head(tenant, agent, session);
        let tail = self.store.read(&messages, Seq::FIRST, 0).await?;
        if tail.first >= tail.next
            || self.store.get(std::slice::from_ref(&head)).await?.iter().any(Option::is_some)
        {
            return Ok(());
        }
        // Looked at behind the messages: one that says something later changes their number.
        let is_it = |of: &Place| of.agent == *agent && of.session == *session;
        if lock(&self.home(run.partition()).state).runs.values().any(|slot| is_it(&slot.place)) {
            return Ok(());
        }
        let bytes = self.bytes_before(&messages, tail.next).await?;
        let when = vec![When::Absent(head), When::Next(messages.clone(), tail.next)];
        let mut writes = Writes::of(when, vec![Then::Trim(messages, tail.next)]);
        writes.book(tenant, agent, session, -bytes, self.clock.now());
        // At once: another half in the same session must not count it again.
        self.commit(run.partition(), writes).await?;
        Ok(())
    }

    /// Why there is no log of a run: there is no such run, it was let go, or the entries that were `found` are not the begin
    /// of one.
    pub(super) async fn without_log(&self, run: &RunId, found: bool) -> Result<RuntimeError, RuntimeError> {
        let Some(stub) = self.record::<SweptRun>(&keys::swept(run)).await? else {
            let log = keys::run_log(run);
            // Somebody may have let it go meanwhile.
            if found && !self.store.read(&log, Seq::FIRST, 1).await?.entries.is_empty() {
                return Ok(RuntimeError::Damaged { what: format!("the acceptance of `{run}` in `{log}`") });
            }
            return Ok(RuntimeError::UnknownRun { run: *run });
        };
        let SweptRun { agent, session, ended_at: ended, swept_at: swept, .. } = stub;
        let outcome = word(&stub.outcome).to_owned();
        Ok(RuntimeError::RunSwept(Box::new(SweptLog { run: *run, agent, session, outcome, ended, swept })))
    }

    /// What is known of a run, by its log or by its stub.
    pub(super) async fn run_view(&self, run: &RunId) -> Result<RunView, RuntimeError> {
        match self.run_log(run).await {
            Ok((_, view)) => Ok(view),
            Err(error @ RuntimeError::RunSwept { .. }) => {
                let stub = self.record::<SweptRun>(&keys::swept(run)).await?;
                stub.and_then(|stub| view_of(*run, stub)).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The outcome of a run whose log is gone, where that does not need its output.
    pub(super) async fn join_swept(
        &self,
        tenant: &Tenant,
        run: &RunId,
        swept: RuntimeError,
    ) -> Result<Joined, RuntimeError> {
        let stub = self.record::<SweptRun>(&keys::swept(run)).await?;
        match stub.filter(|stub| stub.tenant == *tenant) {
            Some(SweptRun { agent, session, outcome, usage, .. })
                if !matches!(outcome, Outcome::Completed(_)) =>
            {
                Ok(Joined::Ended(Finished { run: *run, agent, session, outcome, output: None, usage }))
            }
            _ => Err(swept),
        }
    }

    async fn is_open(&self, run: &RunId) -> Result<bool, RuntimeError> {
        let open = self.store.get(&[keys::open(run)]).await?.pop().flatten();
        Ok(open.is_some() || self.run_slot(run).is_some())
    }

    async fn is_over(&self, place: &Place) -> Result<bool, RuntimeError> {
        let ended = keys::ended(&place.tenant, &place.agent, &place.run);
        Ok(self.store.get(&[ended]).await?.iter().any(Option::is_some))
    }

    /// Whether the tenant has the agent.
    pub(super) async fn has_agent(&self, tenant: &Tenant, agent: &AgentId) -> Result<bool, RuntimeError> {
        Ok(self.store.get(&[keys::spec(tenant, agent)]).await?.iter().all(Option::is_some))
    }
}

/// The end of a cell that fell due and has nothing more to do.
fn ended(due: &Key, revision: Revision) -> Writes {
    Writes::of(vec![When::Revision(due.clone(), revision)], vec![Then::Delete(due.clone())])
}

fn has_unrecognised(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.kind, EntryKind::Unrecognised { .. }))
}

/// What is kept of a run; `None`: it is not over.
fn stub_of(place: &Place, view: &RunView, now: UnixMillis) -> Option<SweptRun> {
    let outcome = match view.outcome.clone()? {
        Outcome::Completed(_) => Outcome::Completed(nothing()),
        other => other,
    };
    Some(SweptRun {
        tenant: place.tenant.clone(),
        agent: place.agent,
        session: place.session.clone(),
        accepted_at: view.accepted_at,
        ended_at: view.last_at,
        swept_at: now,
        attempt: view.attempt,
        entries: view.entries,
        outcome,
        usage: view.usage,
    })
}

/// The view of a run of which only a stub is left: that of a log of its first and its last entry.
fn view_of(run: RunId, stub: SweptRun) -> Option<RunView> {
    let SweptRun {
        agent, session, accepted_at, ended_at, swept_at, attempt, entries, outcome, usage, ..
    } = stub;
    let ended = Ended { outcome, usage, price: Price::default() };
    let entry = |seq, at, kind| Entry { seq: Seq(seq), at, attempt, epoch: 0, kind };
    let log = [
        entry(1, accepted_at, EntryKind::Accepted(Box::new(accepted(agent, session)))),
        entry(entries.max(2), ended_at, EntryKind::Ended(ended)),
    ];
    let mut view = RunView::of(run, &log)?;
    (view.attempt, view.entries, view.usage, view.swept_at) = (attempt, entries, usage, Some(swept_at));
    Some(view)
}

/// An acceptance of which only this is known.
fn accepted(agent: AgentId, session: SessionName) -> Accepted {
    let input = nothing();
    let Payload::Inline(content) = &input else { unreachable!("nothing is kept beside the log") };
    let digest = content.digest();
    Accepted {
        agent,
        spec_rev: 0,
        session,
        policy: SessionPolicy::Enqueue,
        input,
        digest,
        idempotency_key: None,
        parent: None,
        copied_from: None,
        principal: None,
        trace: None,
        deadline: None,
        priority: 0,
        chain: None,
        labels: Default::default(),
    }
}

fn nothing() -> Payload {
    Payload::Inline(Content::text(""))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed(_) => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled(_) => "was cancelled",
        Outcome::RolledBack => "was rolled back",
        Outcome::Continued(_) => "went on as another run",
    }
}
