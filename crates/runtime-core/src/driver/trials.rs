//! Suspects: the runs that were in flight when a process died start group by group, apart from all others, until each is cleared or
//! set aside.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::Entry;
use runtime_traits::runtime::RuntimeError;
use tokio::sync::Notify;

use super::attempt::READ_AGAIN_AFTER;
use super::inner::Inner;
use super::recover::AT_ONCE;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::claim::{Next, after_park};
use crate::engine::suspects::{Suspect, Trace, clears, next_trial, without};

/// Who is suspected, and who waits for the end of that.
#[derive(Debug, Default)]
pub(super) struct Trials {
    state: Mutex<State>,
    /// How many are tried or to be tried.
    suspects: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// To be tried.
    waiting: Vec<Suspect>,
    /// Started, or about to be, and not cleared.
    trial: HashMap<RunId, Tried>,
    /// Other runs, which go on afterwards.
    held: HashSet<RunId>,
}

#[derive(Clone, Copy, Debug)]
struct Tried {
    /// How many are tried together.
    with: u32,
    at: At,
}

/// How far a run of a trial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Somebody is about to start it.
    ToStart,
    /// It passed the gate, and its `Started` is being committed.
    Starting,
    /// It is started since then, and is not worked yet.
    Outside(UnixMillis),
    /// It is worked since then.
    Inside(UnixMillis),
}

impl At {
    /// When it leaves its trial, whatever has become of it.
    fn over(self, clear_after: Duration) -> Option<UnixMillis> {
        match self {
            Self::ToStart | Self::Starting => None,
            Self::Outside(since) | Self::Inside(since) => Some(since.after(clear_after)),
        }
    }
}

/// Whether a run may begin now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gate {
    /// It begins, tried together with so many; 0: it is no suspect.
    Begins(u32),
    /// Its process died with it, and it was not tried yet.
    ToBeTried(Suspect),
    /// Others are tried.
    Held,
}

impl Gate {
    /// What a run waits for that may not begin.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Begins(_) => None,
            Self::ToBeTried(_) => Some("its turn to be tried: a process died while it was at work"),
            Self::Held => Some("the trials of runs that may have killed their process"),
        }
    }
}

impl Trials {
    /// Whether suspects are tried: nothing else begins meanwhile.
    pub(super) fn are_on(&self) -> bool {
        self.suspects() > 0
    }

    /// How many are tried or to be tried.
    pub(super) fn suspects(&self) -> u64 {
        self.suspects.load(Ordering::Acquire)
    }

    /// Takes in what the death of a process says; the first of them are about to be started, by whoever takes this in.
    pub(super) fn begin(&self, mut suspects: Vec<Suspect>) {
        self.change(|state| {
            let first = next_trial(&suspects);
            without(&mut suspects, &first);
            state.try_now(&first);
            state.waiting = suspects;
        });
    }

    /// Whether a run is of the trial that is under way.
    pub(super) fn is_tried(&self, run: &RunId) -> bool {
        lock(&self.state).trial.contains_key(run)
    }

    /// After how long a run parks that waits. Parking writes down that it waits, which clears it: a suspect does so at once, because
    /// nothing else begins before that.
    pub(super) fn park_after(&self, run: &RunId, unless_tried: Duration) -> Duration {
        if self.are_on() && self.is_tried(run) { Duration::ZERO } else { unless_tried }
    }

    /// Whether a run may begin now. One that may in a trial stays in it from here on: whoever asks starts it, or says that it leaves.
    pub(super) fn gate(&self, run: &RunId, log: &[Entry]) -> Gate {
        if let Some(tried) = lock(&self.state).trial.get_mut(run) {
            if tried.at == At::ToStart {
                tried.at = At::Starting;
            }
            return Gate::Begins(tried.with);
        }
        let trace = Trace::of(log);
        match trace.lost {
            true => Gate::ToBeTried(Suspect {
                run: *run,
                tried_with: if trace.cleared { 0 } else { trace.tried_with },
            }),
            false if self.are_on() => Gate::Held,
            false => Gate::Begins(0),
        }
    }

    /// A run is parked that may not begin now. `false`: by now it may.
    fn parked(&self, run: &RunId, gate: Gate) -> bool {
        self.change(|state| match gate {
            Gate::Begins(_) => true,
            Gate::ToBeTried(suspect) => {
                // Who was to start it in a trial found it in other hands: it is of the next one.
                let is_to_start = |tried: &Tried| tried.at == At::ToStart;
                if state.trial.get(run).is_some_and(is_to_start) {
                    state.trial.remove(run);
                }
                let known =
                    state.waiting.iter().any(|other| other.run == *run) || state.trial.contains_key(run);
                if !known {
                    state.waiting.push(suspect);
                }
                true
            }
            Gate::Held if state.is_idle() => false,
            Gate::Held => {
                state.held.insert(*run);
                true
            }
        })
    }

    /// The run of a trial has its next attempt, and is not worked yet.
    pub(super) fn started(&self, run: &RunId, now: UnixMillis) {
        self.moves(run, At::Outside(now));
    }

    /// The run of a trial is worked from now on.
    pub(super) fn worked(&self, run: &RunId, now: UnixMillis) {
        self.moves(run, At::Inside(now));
    }

    fn moves(&self, run: &RunId, at: At) {
        if let Some(tried) = lock(&self.state).trial.get_mut(run) {
            tried.at = at;
            // When to look again is another moment now.
            self.changed.notify_one();
        }
    }

    /// Takes in what was committed of a run.
    pub(super) fn committed(&self, run: &RunId, entries: &[Entry]) {
        if self.are_on() && entries.iter().any(|entry| clears(&entry.kind)) {
            self.leave(run);
        }
    }

    /// A run is of its trial no more.
    pub(super) fn leave(&self, run: &RunId) {
        self.change(|state| state.trial.remove(run));
    }

    /// A run is none to be tried any more: it is over, or waits for a person.
    pub(super) fn forget(&self, run: &RunId) {
        if self.are_on() {
            self.change(|state| {
                state.trial.remove(run);
                state.held.remove(run);
                state.waiting.retain(|suspect| suspect.run != *run);
            });
        }
    }

    /// Those of a trial that could not be started are none of it: somebody has them in hand, or nobody hosts them.
    pub(super) fn leave_unstarted(&self) {
        self.change(|state| state.trial.retain(|_, tried| tried.at != At::ToStart));
    }

    /// Those whose time is up leave their trial. The ones that have been worked: who waited all the time shows nothing by that.
    fn outlived(&self, now: UnixMillis, clear_after: Duration) -> Vec<RunId> {
        self.change(|state| {
            let over = |tried: &Tried| tried.at.over(clear_after).is_some_and(|over| over <= now);
            let left: Vec<(RunId, Tried)> = state.trial.extract_if(|_, tried| over(tried)).collect();
            let worked = left.into_iter().filter(|(_, tried)| matches!(tried.at, At::Inside(_)));
            worked.map(|(run, _)| run).collect()
        })
    }

    /// The runs of the next trial, if none is under way.
    fn next(&self) -> Vec<RunId> {
        self.change(|state| {
            if !state.trial.is_empty() {
                return Vec::new();
            }
            let group = next_trial(&state.waiting);
            without(&mut state.waiting, &group);
            state.try_now(&group);
            group
        })
    }

    /// Those who waited for the end of the trials, if that has come.
    fn take_held(&self) -> Option<HashSet<RunId>> {
        self.change(|state| state.is_idle().then(|| std::mem::take(&mut state.held)))
    }

    /// When to look again.
    fn next_look(&self, clear_after: Duration) -> Option<UnixMillis> {
        let state = lock(&self.state);
        state.trial.values().filter_map(|tried| tried.at.over(clear_after)).min()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let changed = change(&mut state);
        let suspects = (state.waiting.len() + state.trial.len()) as u64;
        drop(state);
        if self.suspects.swap(suspects, Ordering::AcqRel) != suspects {
            self.changed.notify_one();
        }
        changed
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.trial.is_empty()
    }

    fn try_now(&mut self, group: &[RunId]) {
        let with = u32::try_from(group.len()).unwrap_or(u32::MAX);
        self.trial.extend(group.iter().map(|run| (*run, Tried { with, at: At::ToStart })));
    }
}

impl Inner {
    /// Tries suspects, trial after trial, until the runtime ends.
    pub(super) async fn keep_trials(self: Arc<Self>) {
        loop {
            // What is cut off here goes on where the store is opened next, as after a crash.
            tokio::select! {
                () = self.hold_trials() => {}
                () = self.ending.cancelled() => return,
            }
            let next = self.trials.next_look(self.config.clear_after);
            let pause = next.map(|next| next.since(self.clock.now()).max(Duration::from_millis(1)));
            let look = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = look => {}
                () = self.trials.changed.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Clears those who lived long enough, and starts the next trial when one is over. After the last all others go on.
    async fn hold_trials(self: &Arc<Self>) {
        for run in self.trials.outlived(self.clock.now(), self.config.clear_after) {
            if let Some(slot) = self.run_slot(&run)
                && let Some(machine) = slot.machine()
            {
                {
                    let mut machine = lock(&machine);
                    machine.pass(self.clock.now());
                    machine.clear_if_at_work();
                }
                slot.signal.raise();
            }
        }
        // Who ends tries nobody any more.
        while !self.is_draining() {
            let group = self.trials.next();
            if group.is_empty() {
                break;
            }
            tracing::info!(runs = group.len(), "runs that may have killed their process are tried");
            let tried = stream::iter(group).map(|run| self.start_suspect(run)).buffer_unordered(AT_ONCE);
            tried.collect::<()>().await;
            self.trials.leave_unstarted();
        }
        if let Some(held) = self.trials.take_held()
            && !self.is_draining()
        {
            self.go_on_after_trials(held);
        }
    }

    async fn start_suspect(self: &Arc<Self>, run: RunId) {
        let Some(slot) = self.run_slot(&run) else { return };
        // Whoever has it in hand may leave it as it was: then it comes to the gate.
        let Some(reason) = slot.take_parked() else { return self.later(&slot) };
        let started = async {
            let (log, view) = self.run_log(&run).await?;
            // It may have been set aside meanwhile.
            let next = if view.is_quarantined() { after_park(&view, &log) } else { Next::Start };
            self.go_on(&slot, log, &view, Vec::new(), next).await
        };
        match started.await {
            Ok(()) => {}
            Err(RuntimeError::Store(error)) if error.is_transient() => {
                tracing::warn!(%run, %error, "the run cannot be tried yet; it is tried again");
                tokio::time::sleep(READ_AGAIN_AFTER).await;
                self.trials.leave(&run);
                self.park_again(&slot, reason);
                self.look_now(&slot);
            }
            // It keeps no other from going on.
            Err(error) => {
                tracing::error!(%run, %error, "the run cannot be tried; it stays open");
                slot.set_stage(Stage::Left(error));
                self.trials.forget(&run);
            }
        }
    }

    /// What a run does that may not begin, once it is parked.
    pub(super) fn parked_at_gate(&self, slot: &RunSlot, gate: Gate) {
        if !self.trials.parked(&slot.place.run, gate) {
            self.look_now(slot);
        }
    }

    /// Lets all go on that waited for the end of the trials.
    fn go_on_after_trials(self: &Arc<Self>, held: HashSet<RunId>) {
        for slot in held.iter().filter_map(|run| self.run_slot(run)) {
            self.look_now(&slot);
        }
        let queued = self.partitions.iter().flat_map(|home| {
            let runs = &lock(&home.state).runs;
            let queued = runs.values().filter(|slot| matches!(slot.stage(), Stage::Queued));
            queued.map(|slot| slot.place.clone()).collect::<Vec<_>>()
        });
        for place in queued.collect::<Vec<_>>() {
            self.begin_next(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::{Partition, Pool};
    use uuid::Uuid;

    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn run(n: u128) -> RunId {
        RunId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, Uuid::from_u128(n))
    }

    fn suspect(n: u128, tried_with: u32) -> Suspect {
        Suspect { run: run(n), tried_with }
    }

    /// Trials of runs 1 and 2, of which run 1 is to be started.
    fn of_two() -> Trials {
        let trials = Trials::default();
        trials.begin(vec![suspect(1, 1), suspect(2, 2)]);
        trials
    }

    #[test]
    fn who_passed_the_gate_of_its_trial_stays_in_it() {
        let trials = of_two();
        assert!(matches!(trials.gate(&run(1), &[]), Gate::Begins(1)));
        trials.leave_unstarted();
        assert_eq!((trials.suspects(), trials.next()), (2, vec![]), "its `Started` is on its way");
        trials.started(&run(1), UnixMillis(1));
        trials.leave(&run(1));
        assert_eq!(trials.next(), [run(2)]);
        trials.leave_unstarted();
        assert!(!trials.are_on(), "nobody starts it");
    }

    #[test]
    fn who_is_parked_before_its_trial_could_start_it_is_of_the_next_one() {
        let trials = of_two();
        assert!(trials.parked(&run(1), Gate::ToBeTried(suspect(1, 1))));
        trials.leave_unstarted();
        assert_eq!(trials.suspects(), 2);
        assert_eq!(trials.next(), [run(1)]);
    }

    #[test]
    fn only_who_was_worked_all_the_time_is_cleared_by_it() {
        let trials = Trials::default();
        trials.begin(vec![suspect(1, 0), suspect(2, 0)]);
        for n in 1..=2 {
            trials.gate(&run(n), &[]);
            trials.started(&run(n), UnixMillis(1_000));
        }
        trials.worked(&run(1), UnixMillis(3_000));
        assert_eq!(trials.next_look(AFTER), Some(UnixMillis(11_000)));
        assert_eq!(trials.outlived(UnixMillis(11_000), AFTER), [], "it waited to be worked, and leaves");
        assert_eq!((trials.suspects(), trials.next_look(AFTER)), (1, Some(UnixMillis(13_000))));
        assert_eq!(trials.outlived(UnixMillis(13_000), AFTER), [run(1)]);
        assert!(!trials.are_on());
    }
}
