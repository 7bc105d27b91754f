//! Taking a store over: every open run goes on, waits visibly, or gets its outcome. Nothing has to be corrected first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, TryStreamExt, stream};
use runtime_codec::OpenRun;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::{Entry, Head, Outcome, Phase, RunView};
use runtime_traits::name::SessionName;
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Revision, StateError};

use super::finish::accepted_of;
use super::inner::Inner;
use super::load::read;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::Place;
use crate::engine::claim::{Claim, Next, claim};
use crate::engine::keys;
use crate::engine::suspects::{Judged, MOST_COUNTED, Trace, holds_session, judge};

/// How many runs are claimed at once: as many as the store commits in one group.
pub(super) const AT_ONCE: usize = 64;

/// A run that was found open.
struct Found {
    place: Place,
    /// The commit that accepted it: the order of its session.
    accepted_by: Revision,
    log: Vec<Entry>,
    view: RunView,
}

/// A run in memory, what is known of it, and what is appended to its log.
type Claimed = (Arc<RunSlot>, Vec<Entry>, RunView, Claim);

impl Found {
    /// Whether it has begun, was let out of quarantine, and waits for its turn in its session.
    fn waits_its_turn(&self) -> bool {
        !holds_session(&self.log) && !self.view.is_quarantined()
    }
}

impl Inner {
    /// Claims the partitions that hold anything, and goes on with every open run.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let partitions = self.store.partitions().await?;
        let partitions = partitions.into_iter().filter(|partition| self.checked(*partition));
        let found: Vec<Vec<Found>> = stream::iter(partitions)
            .map(|partition| self.find_open(partition))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut found: Vec<Found> = found.into_iter().flatten().collect();
        let going_on = self.going_on(&found).await?;
        // What has begun goes first: an acceptance that was submitted again may have landed behind a later one. A run that
        // goes on from the last one was accepted with its end, and keeps its place all the same.
        found.sort_by_key(|found| {
            let queued = found.view.phase == Phase::Queued || found.waits_its_turn();
            (found.place.agent, queued, !going_on.contains(&found.place.run), found.accepted_by)
        });
        if !found.is_empty() {
            tracing::info!(runs = found.len(), "runs were open in the store; they go on");
        }
        let judged = self.judge(&found).await?;
        let mut firsts: HashMap<(AgentId, SessionName), RunId> = HashMap::new();
        let mut claims = Vec::new();
        let revisions: HashMap<RunId, Revision> =
            found.iter().map(|found| (found.place.run, found.accepted_by)).collect();
        let tenants = found.iter().map(|found| found.place.tenant.clone()).collect();
        let mut displacing = Vec::new();
        for found in found {
            if found.view.phase == Phase::Queued
                && let Some(accepted) = accepted_of(&found.log)
                && !self.config.at_rest
            {
                let accepted_at = (found.view.accepted_at, found.accepted_by);
                displacing.push((found.place.clone(), accepted.policy, accepted_at));
            }
            claims.extend(self.seat(found, &judged, &mut firsts).await?);
        }
        self.hold_tenants(&tenants).await?;
        // Who is tried may kill this process at once: first it is written down of all others that they are not at work.
        let (tried, others) =
            claims.into_iter().partition(|(slot, ..)| self.trials.is_tried(&slot.place.run));
        self.go_on_with(others).await?;
        self.go_on_with(tried).await?;
        self.trials.leave_unstarted();
        // Whoever was to take the place of another run may not have come to it.
        for (place, policy, accepted) in displacing {
            self.displace_again(&place, policy, accepted, &revisions).await?;
        }
        Ok(())
    }

    async fn go_on_with(self: &Arc<Self>, claims: Vec<Claimed>) -> Result<(), RuntimeError> {
        let results = stream::iter(claims)
            .map(|(slot, log, view, claim)| {
                let inner = Arc::clone(self);
                async move {
                    let result = inner.go_on(&slot, log, &view, claim.entries, claim.next).await;
                    result.or_else(|error| inner.left_behind(&slot, error))
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>();
        results.await.into_iter().collect()
    }

    /// What the death of the last process says of the runs that were in flight. Those that are hosted here are tried first.
    async fn judge(self: &Arc<Self>, found: &[Found]) -> Result<Judged, RuntimeError> {
        let traces = found.iter().map(|found| (found.place.run, Trace::of(&found.log)));
        let open: Vec<_> = traces.filter(|(_, trace)| trace.in_flight || trace.lost).collect();
        let judged = judge(&open, MOST_COUNTED, self.config.clear_after);
        if self.config.at_rest {
            return Ok(judged);
        }
        let mut hosted = HashSet::new();
        for Found { place, view, .. } in found.iter().filter(|found| found.view.cancel.is_none()) {
            let is_hosted = self.with_agent(&place.tenant, &view.agent, |agent, _| agent.agent.is_some());
            if is_hosted.await? {
                hosted.insert(place.run);
            }
        }
        let suspects = judged.suspects.iter().filter(|suspect| hosted.contains(&suspect.run));
        self.trials.begin(suspects.copied().collect());
        Ok(judged)
    }

    /// The runs in which the last runs of their sessions go on, where others wait for their turn as well. Which runs these
    /// are is said by the end of the run with which the session's conversation ends.
    async fn going_on(&self, found: &[Found]) -> Result<HashSet<RunId>, RuntimeError> {
        let mut sessions: HashMap<(AgentId, &SessionName), (&Place, usize)> = HashMap::new();
        for Found { place, view, .. } in found {
            if view.phase == Phase::Queued {
                sessions.entry((place.agent, &place.session)).or_insert((place, 0)).1 += 1;
            }
        }
        let mut going_on = HashSet::new();
        for (place, _) in sessions.into_values().filter(|(_, queued)| *queued > 1) {
            let head = keys::head(&place.tenant, &place.agent, &place.session);
            let Some(Head { run, .. }) = self.record(&head).await? else { continue };
            match self.run_view(&run).await {
                Ok(RunView { outcome: Some(Outcome::Continued(next)), .. }) => {
                    going_on.insert(next);
                }
                Ok(_) | Err(RuntimeError::UnknownRun { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(going_on)
    }

    /// A run that cannot go on keeps no other from it, unless it is the store that fails.
    fn left_behind(&self, slot: &RunSlot, error: RuntimeError) -> Result<(), RuntimeError> {
        if matches!(&error, RuntimeError::Store(error) if !matches!(error, StateError::TooLarge { .. })) {
            return Err(error);
        }
        tracing::error!(run = %slot.place.run, %error, "the run cannot go on; it stays open");
        slot.set_stage(Stage::Left(error));
        Ok(())
    }

    async fn find_open(&self, partition: Partition) -> Result<Vec<Found>, RuntimeError> {
        self.own(partition).await?;
        self.post.ring(partition);
        self.find_announced(partition).await?;
        let cells = self.cells(&keys::open_all(partition)).await?;
        let found = stream::iter(cells).map(|(key, cell)| async move {
            let record: OpenRun = read(&key, &cell)?;
            let damaged = || RuntimeError::Damaged { what: format!("`{key}`") };
            let unique =
                keys::last_part(&key).and_then(|id| uuid::Uuid::try_parse(id).ok()).ok_or_else(damaged)?;
            let run = RunId::from_parts(partition, unique);
            let (log, view) = self.run_log(&run).await?;
            let place = Place { tenant: record.tenant, agent: record.agent, session: record.session, run };
            Ok::<_, RuntimeError>(Found { place, accepted_by: cell.revision, log, view })
        });
        found.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Puts a run into its session's order. The first of a session is claimed; the others wait for their turn.
    async fn seat(
        self: &Arc<Self>,
        found: Found,
        judged: &Judged,
        firsts: &mut HashMap<(AgentId, SessionName), RunId>,
    ) -> Result<Option<Claimed>, RuntimeError> {
        let waits_its_turn = found.waits_its_turn();
        let Found { place, log, view, .. } = found;
        let mut claim = claim(&view, &log);
        judged.tell(&place.run, &log, &mut claim);
        let parent =
            accepted_of(&log).and_then(|accepted| accepted.parent.as_ref()).map(|(parent, _)| *parent);
        let slot = RunSlot::called_by(parent, place.clone(), Stage::Queued);
        slot.committed(log.len() as u64);
        lock(&self.home(place.run.partition()).state).runs.insert(place.run, Arc::clone(&slot));
        self.open_runs.fetch_add(1, Ordering::Relaxed);
        let stopped = self
            .with_agent(&place.tenant, &place.agent, |agent, _| {
                agent.want == runtime_traits::runtime::Want::Stopped || agent.agent.is_none()
            })
            .await?
            || self.config.at_rest
            || self.trials.are_on();
        let aside = view.is_quarantined();
        slot.aside.store(aside, Ordering::Relaxed);
        let begun = claim.next != Next::Queue && (!waits_its_turn || claim.next == Next::Over);
        let first =
            !aside && firsts.entry((place.agent, place.session.clone())).or_insert(place.run) == &place.run;
        if begun || (first && !stopped) {
            if !begun || holds_session(&log) {
                self.in_session(&place, |session| session.resume(place.run));
            }
            if !begun {
                claim.next = Next::Start;
            }
            slot.set_stage(Stage::Moving);
            return Ok(Some((slot, log, view, claim)));
        }
        if let Some(deadline) = self.deadline_of(&place, &log) {
            self.timers.add(deadline, place.run);
        }
        self.in_session(&place, |session| {
            if waits_its_turn {
                return session.wait_again(place.run);
            }
            session.admit(place.run, false);
            session.accepted(&place.run);
        });
        Ok(None)
    }
}
