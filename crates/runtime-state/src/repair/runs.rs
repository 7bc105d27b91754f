//! Runs: their logs up to the damage, and an end for those that cannot go on.

use std::time::Duration;

use runtime_codec::{
    Due, EndedRun, IdemRecord, LogSort, Mail, OpenRun, OutboxMail, Whose, decode, decode_entry, encode,
    encode_entry, keys, named_by_entry,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{
    Accepted, Ended, Entry, EntryKind, FailureKind, Outcome, Price, RunFailure, RunView, StepFailure,
    StepFailureKind, Usage,
};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Seq, Tail};

use super::RepairError;
use super::cells::place_of;
use super::notes::ChangeSort;
use super::part::Part;
use crate::verify::damage::{DamagedPlace, Fault};
use crate::verify::entries::EachEntry;
use crate::verify::logs::RunOrder;

/// How long an idempotency key is kept after its run's outcome.
const KEY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the log of a run that a repair ended is kept: as long as runtimes keep them unless they are told otherwise.
const LOG_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Stands where a content stood that is lost.
pub(super) const LOST: &str = "[this content was damaged; it is in the quarantine of the repair]";

/// What a run's log has.
pub(super) struct RunState {
    pub(super) accepted: Option<Accepted>,
    /// How many entries come before the damage.
    whole: u64,
    fault: Option<(Seq, Fault)>,
    /// The outcome, wherever it stands.
    pub(super) ended: Option<(UnixMillis, Ended)>,
    /// Whether the outcome stands among the whole entries.
    is_ended_whole: bool,
    usage: Usage,
    attempt: u32,
    epoch: u64,
}

impl Part<'_, '_> {
    /// Reads a run's log to its end. `None`: there is nothing of it.
    pub(super) async fn inspect(&mut self, run: &RunId, whose: &Whose) -> Option<RunState> {
        let log = keys::run_log(run);
        let Tail { first, next, .. } = self.from.read(&log, Seq::FIRST, 0).await.ok()?;
        if next <= first {
            return None;
        }
        let mut state = RunState {
            accepted: None,
            whole: 0,
            fault: (first > Seq::FIRST).then(|| (first, Fault::dangling("its begin is missing"))),
            ended: None,
            is_ended_whole: false,
            usage: Usage::default(),
            attempt: 0,
            epoch: 0,
        };
        let mut order = RunOrder::default();
        let mut view: Option<RunView> = None;
        let mut entries = EachEntry::of(LogExtent { log, first, next });
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                let checked = match read {
                    Ok(bytes) => self.entry(seq, &bytes, &mut order, whose).await,
                    Err(error) => Err(Fault::from(&error)),
                };
                match checked {
                    Ok(entry) => state.take(entry, run, &mut view),
                    Err(fault) => {
                        state.fault.get_or_insert((seq, fault));
                    }
                }
            }
        }
        if let Some(view) = view {
            state.usage = view.usage;
        }
        Some(state)
    }

    /// An entry, with a notice in place of an input or an output that is lost.
    async fn entry(
        &mut self,
        seq: Seq,
        bytes: &[u8],
        order: &mut RunOrder,
        whose: &Whose,
    ) -> Result<Entry, Fault> {
        let mut entry = decode_entry(seq, bytes).map_err(Fault::from)?;
        if let Some(fault) = order.take(seq, &entry.kind) {
            return Err(fault);
        }
        let Some(content) = named_by_entry(&entry.kind) else { return Ok(entry) };
        let tenant = match (&whose.tenant, &order.of) {
            (Some(tenant), _) => tenant.clone(),
            (None, Some((agent, _))) => self.look.tenant_of(agent),
            (None, None) => Default::default(),
        };
        let Some(fault) = self.look.contents.check(&tenant, &content).await else { return Ok(entry) };
        match &mut entry.kind {
            EntryKind::Accepted(accepted) => accepted.input = Payload::Inline(Content::text(LOST)),
            EntryKind::Ended(ended) => ended.outcome = failed("its output is lost"),
            _ => return Err(fault),
        }
        Ok(entry)
    }

    /// An open run: it goes on, if its log is whole. Otherwise it ends.
    pub(super) async fn open_run(
        &mut self,
        key: Key,
        cell: Cell,
        open: OpenRun,
        whose: Whose,
    ) -> Result<(), RepairError> {
        let Some(run) = whose.run else { return Ok(()) };
        let OpenRun { tenant, agent, session } = open;
        let whose = Whose {
            tenant: Some(tenant.clone()),
            agent: Some(agent),
            session: Some(session.clone()),
            run: Some(run),
        };
        self.look.note(&whose);
        if self.is_lost(&tenant, &agent).await {
            self.retold.insert(run);
            return self.leave_out(key, &whose, "nothing declares its agent any more", Some(cell.value));
        }
        let Some(state) = self.inspect(&run, &whose).await else {
            return self.retell(run, &whose, session, "its log is lost").await;
        };
        let Some(accepted) = &state.accepted else {
            return self.retell(run, &whose, session, "the begin of its log is lost").await;
        };
        if (accepted.agent, &accepted.session) != (agent, &session) {
            // The log says whose it is; its cell is made when its turn comes.
            self.changed(ChangeSort::Mended, place_of(&key), &whose, "its log says that it is another one's");
            return self.keep_aside(place_of(&key), &whose, "its log is another one's", Some(cell.value));
        }
        if state.fault.is_none() && state.ended.is_none() {
            return self.make(key, cell.value).await;
        }
        self.end_cells(&run, &whose, &state).await
    }

    /// The cells of a run that is over, or has to be.
    async fn end_cells(&mut self, run: &RunId, whose: &Whose, state: &RunState) -> Result<(), RepairError> {
        let (Some(accepted), Some(tenant)) = (&state.accepted, &whose.tenant) else { return Ok(()) };
        let at = state.ended.as_ref().map_or(self.now, |(at, _)| *at);
        let cell = keys::ended(tenant, &accepted.agent, run);
        let ended = EndedRun { session: accepted.session.clone(), at };
        self.make(cell, encode(&ended)).await?;
        if state.ended.is_none() {
            self.sweep_later(run, tenant, &accepted.agent, &accepted.session).await?;
        }
        if let Some(key) = &accepted.idempotency_key {
            let key = keys::idem(tenant, &accepted.agent, &accepted.session, key);
            self.forget_later(run, &key).await?;
        }
        Ok(())
    }

    /// The log of a run that a repair ended is let go as any other.
    async fn sweep_later(
        &mut self,
        run: &RunId,
        tenant: &Tenant,
        agent: &AgentId,
        session: &SessionName,
    ) -> Result<(), RepairError> {
        let sweep = Due::Sweep { tenant: tenant.clone(), agent: *agent, session: session.clone(), run: *run };
        let what = format!("sweep/{}", run.unique().simple());
        self.make(keys::due(self.partition, self.now.after(LOG_KEPT), &what), encode(&sweep)).await
    }

    /// An idempotency key of a run that a repair ended is forgotten as any other.
    async fn forget_later(&mut self, run: &RunId, key: &Key) -> Result<(), RepairError> {
        let forget = Due::ForgetKey { cell: key.path.as_bytes().to_vec() };
        let what = format!("key/{}", run.unique().simple());
        let due = keys::due(self.partition, self.now.after(KEY_KEPT), &what);
        self.make(due, encode(&forget)).await
    }

    /// Makes the log of a run of which only is known that it was there, and that it failed.
    pub(super) async fn retell(
        &mut self,
        run: RunId,
        whose: &Whose,
        session: SessionName,
        why: &str,
    ) -> Result<(), RepairError> {
        let (Some(tenant), Some(agent)) = (whose.tenant.clone(), whose.agent) else { return Ok(()) };
        self.retold.insert(run);
        let input = Content::text(LOST);
        let accepted = Accepted {
            agent,
            spec_rev: self.declared(&tenant, &agent).await.map_or(1, |(record, _)| record.revision),
            session: session.clone(),
            policy: SessionPolicy::Enqueue,
            digest: input.digest(),
            input: Payload::Inline(input),
            idempotency_key: None,
            parent: None,
            copied_from: None,
            principal: None,
            trace: None,
            deadline: None,
            priority: 0,
            chain: None,
            labels: [("repaired".to_owned(), why.to_owned())].into(),
        };
        let entry = |seq, kind| Entry { seq: Seq(seq), at: self.now, attempt: 0, epoch: 0, kind };
        let ended = Ended { outcome: failed(why), usage: Usage::default(), price: Price::default() };
        let entries = [entry(1, EntryKind::Accepted(Box::new(accepted))), entry(2, EntryKind::Ended(ended))];
        let log = keys::run_log(&run);
        for entry in entries {
            self.append(&log, entry.seq, encode_entry(&entry)).await?;
        }
        self.kept.logs += 1;
        let ended = EndedRun { session: session.clone(), at: self.now };
        let cell = keys::ended(&tenant, &agent, &run);
        if !matches!(self.from.get(std::slice::from_ref(&cell)).await.as_deref(), Ok([Some(_)])) {
            self.make(cell, encode(&ended)).await?;
        }
        self.sweep_later(&run, &tenant, &agent, &session).await?;
        let whose = Whose { session: Some(session), run: Some(run), ..whose.clone() };
        if let Some(key) = self.key_of(&run, &whose).await {
            self.forget_later(&run, &key).await?;
        }
        let what = format!("{why}: the run has failed");
        self.changed(ChangeSort::Ended, DamagedPlace::Log { path: log.path }, &whose, what);
        Ok(())
    }

    /// The cell of the idempotency key that gave the run.
    async fn key_of(&self, run: &RunId, whose: &Whose) -> Option<Key> {
        let under = keys::of_agent(whose.tenant.as_ref()?, "idem", whose.agent.as_ref()?);
        let mut after = None;
        loop {
            let page = self.from.scan(&under, after.as_ref(), 64).await.ok()?;
            for (key, cell) in &page {
                if decode::<IdemRecord>(&cell.value).is_ok_and(|record| record.run == *run) {
                    return Some(key.clone());
                }
            }
            after = Some(page.last()?.0.clone());
        }
    }

    /// Whether there is nothing of a run's log.
    pub(super) async fn has_no_log(&self, run: &RunId) -> bool {
        match self.from.read(&keys::run_log(run), Seq::FIRST, 0).await {
            Ok(Tail { first, next, .. }) => next <= first,
            Err(_) => true,
        }
    }

    /// The log of a run.
    pub(super) async fn run_log(&mut self, extent: LogExtent, whose: Whose) -> Result<(), RepairError> {
        let Some(run) = whose.run else { return Ok(()) };
        if self.retold.contains(&run) {
            return self.keep_log_aside(extent, &whose, "the log begins anew").await;
        }
        if extent.next <= extent.first || self.look.is_swept(&run).await {
            return Ok(());
        }
        let place = DamagedPlace::Log { path: extent.log.path.clone() };
        let state = self.inspect(&run, &whose).await;
        let Some((accepted, state)) = state.and_then(|state| Some((state.accepted.clone()?, state))) else {
            self.changed(ChangeSort::LeftOut, place, &whose, "nothing says what it was");
            return self.keep_log_aside(extent, &whose, "nothing says what it was").await;
        };
        let tenant = self.look.tenant_of(&accepted.agent);
        let whose = Whose {
            tenant: Some(tenant.clone()),
            agent: Some(accepted.agent),
            session: Some(accepted.session.clone()),
            run: Some(run),
        };
        if self.is_lost(&tenant, &accepted.agent).await {
            self.changed(ChangeSort::LeftOut, place, &whose, "nothing declares its agent any more");
            return self.keep_log_aside(extent, &whose, "nothing declares its agent any more").await;
        }
        self.see_to_cell(&run, &whose, &accepted, &state).await?;
        self.copy_run(extent, &run, &whose, &accepted, state).await
    }

    /// A run is open or over: if nothing says which, its log does.
    async fn see_to_cell(
        &mut self,
        run: &RunId,
        whose: &Whose,
        accepted: &Accepted,
        state: &RunState,
    ) -> Result<(), RepairError> {
        let tenant = self.look.tenant_of(&accepted.agent);
        let ended = keys::ended(&tenant, &accepted.agent, run);
        let open = keys::open(run);
        if self.made.contains(&open) || self.made.contains(&ended) {
            return Ok(());
        }
        if matches!(self.from.get(std::slice::from_ref(&ended)).await.as_deref(), Ok([Some(_)])) {
            return Ok(());
        }
        let place = DamagedPlace::Log { path: keys::run_log(run).path };
        if state.fault.is_none() && state.ended.is_none() {
            // The begin of a copy was never accepted. It goes when its cell falls due.
            if self.look.is_passing(run, false).await {
                return Ok(());
            }
            self.changed(ChangeSort::Mended, place, whose, "nothing said that it is open; its log does");
            let record = OpenRun { tenant, agent: accepted.agent, session: accepted.session.clone() };
            return self.make(open, encode(&record)).await;
        }
        self.changed(ChangeSort::Mended, place, whose, "nothing said that it is over; its log does");
        self.end_cells(run, whose, state).await
    }

    async fn copy_run(
        &mut self,
        extent: LogExtent,
        run: &RunId,
        whose: &Whose,
        accepted: &Accepted,
        state: RunState,
    ) -> Result<(), RepairError> {
        self.kept.logs += 1;
        let log = extent.log.clone();
        let mut order = RunOrder::default();
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: log.path.clone(), seq: seq.0 };
                if seq.0 > state.whole {
                    let (why, bytes) = match read {
                        Ok(bytes) => ("it stands behind damage".to_owned(), Some(bytes)),
                        Err(error) => (Fault::from(&error).what, None),
                    };
                    self.keep_aside(place, whose, &why, bytes)?;
                    continue;
                }
                let Ok(bytes) = read else { continue };
                match self.entry(seq, &bytes, &mut order, whose).await {
                    Ok(entry) => {
                        let written = encode_entry(&entry);
                        let is_notice = decode_entry(seq, &bytes).is_ok_and(|before| before != entry);
                        if is_notice {
                            self.keep_aside(
                                place.clone(),
                                whose,
                                "a content that it names is lost",
                                Some(bytes.clone()),
                            )?;
                            self.changed(ChangeSort::Mended, place, whose, "a content that it names is lost");
                        }
                        // What older versions wrote stays as they wrote it.
                        self.append(&log, seq, if is_notice { written } else { bytes }).await?;
                    }
                    Err(fault) => self.keep_aside(place, whose, &fault.what, Some(bytes))?,
                }
            }
        }
        match state.fault.clone() {
            Some((seq, fault)) => self.end_run(&log, run, whose, accepted, state, seq, &fault).await,
            None => Ok(()),
        }
    }

    /// Ends a log before its damage: with the outcome that it had, or as failed.
    #[expect(clippy::too_many_arguments, reason = "what is known of the run, and of the damage")]
    async fn end_run(
        &mut self,
        log: &Log,
        run: &RunId,
        whose: &Whose,
        accepted: &Accepted,
        state: RunState,
        seq: Seq,
        fault: &Fault,
    ) -> Result<(), RepairError> {
        let place = DamagedPlace::Entry { path: log.path.clone(), seq: seq.0 };
        let kept = state.whole;
        if state.is_ended_whole {
            let what = format!("{}: what stands after the end is left out", fault.what);
            self.changed(ChangeSort::Cut, place, whose, what);
            return Ok(());
        }
        let (at, ended, sort, how) = match state.ended {
            Some((at, ended)) => (at, ended, ChangeSort::Cut, "the outcome is kept"),
            None => {
                let why = format!(
                    "its log was damaged at entry {}, and what it did after that is not known",
                    seq.0
                );
                let ended = Ended { outcome: failed(&why), usage: state.usage, price: Price::default() };
                (self.now, ended, ChangeSort::Ended, "the run has failed")
            }
        };
        let is_forced = sort == ChangeSort::Ended;
        let what = format!("{}; the {kept} entries before it are kept, and {how}", fault.what);
        self.changed(sort, place, whose, what);
        if is_forced {
            self.tell_caller(run, accepted, &ended).await?;
        }
        let kind = EntryKind::Ended(ended);
        let entry = Entry { seq: Seq(kept + 1), at, attempt: state.attempt, epoch: state.epoch, kind };
        self.append(log, entry.seq, encode_entry(&entry)).await
    }

    /// The step of another run that waits for this one hears that it failed.
    async fn tell_caller(
        &mut self,
        run: &RunId,
        accepted: &Accepted,
        ended: &Ended,
    ) -> Result<(), RepairError> {
        let (Some((parent, step)), Outcome::Failed(failure)) = (&accepted.parent, &ended.outcome) else {
            return Ok(());
        };
        let failure = StepFailure { kind: StepFailureKind::Work, message: failure.message.clone() };
        let (parent, step, usage) = (*parent, step.clone(), ended.usage);
        let mail = Mail::Over { parent, step, run: *run, result: Err(failure), usage };
        let mail = OutboxMail { to: parent.partition(), mail };
        let seq = self.outbox;
        self.outbox = seq.next();
        self.append(&keys::outbox(self.partition), seq, encode(&mail)).await
    }

    /// The highest epoch that the logs of the partition name: the next owner has to have a higher one.
    pub(super) async fn highest_epoch(&self) -> u64 {
        let mut highest = 1;
        let mut logs = crate::pages::Logs::of(self.partition);
        while let Ok(Some(page)) = logs.next(self.from).await {
            for extent in page {
                if runtime_codec::log_sort(&extent.log).0 != LogSort::Run {
                    continue;
                }
                let mut entries = EachEntry::of(extent);
                while let Some(page) = entries.next(self.from).await {
                    let epochs = page
                        .into_iter()
                        .filter_map(|(seq, read)| Some(decode_entry(seq, &read.ok()?).ok()?.epoch));
                    highest = epochs.fold(highest, u64::max);
                }
            }
        }
        highest
    }
}

impl RunState {
    fn take(&mut self, entry: Entry, run: &RunId, view: &mut Option<RunView>) {
        if let EntryKind::Ended(ended) = &entry.kind {
            self.ended.get_or_insert_with(|| (entry.at, ended.clone()));
        }
        if self.fault.is_some() {
            return;
        }
        self.whole = entry.seq.0;
        self.is_ended_whole |= matches!(entry.kind, EntryKind::Ended(_));
        if entry.attempt > 0 || self.attempt == 0 {
            (self.attempt, self.epoch) = (entry.attempt, entry.epoch);
        }
        match view {
            Some(view) => view.apply(&entry),
            None => *view = RunView::of(*run, [&entry]),
        }
        if let EntryKind::Accepted(accepted) = entry.kind {
            self.accepted = Some(*accepted);
        }
    }
}

fn failed(why: &str) -> Outcome {
    let message = format!("{why} (the store was repaired)");
    Outcome::Failed(RunFailure { kind: FailureKind::Decided, message })
}
