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
use tokio::sync::Notify;

use super::attempt::READ_AGAIN_AFTER;
use super::inner::Inner;
use super::recover::AT_ONCE;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::claim::Next;
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
    /// Since when it is worked.
    since: Option<UnixMillis>,
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

    /// Whether a run may begin now.
    pub(super) fn gate(&self, run: &RunId, log: &[Entry]) -> Gate {
        let tried = lock(&self.state).trial.get(run).map(|tried| tried.with);
        if let Some(with) = tried {
            return Gate::Begins(with);
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

    /// The run of a trial is worked from now on.
    pub(super) fn started(&self, run: &RunId, now: UnixMillis) {
        if let Some(tried) = lock(&self.state).trial.get_mut(run) {
            tried.since = Some(now);
        }
    }

    /// Takes in what was committed of a run.
    pub(super) fn committed(&self, run: &RunId, entries: &[Entry]) {
        if self.are_on() && entries.iter().any(|entry| clears(&entry.kind)) {
            self.leave(run);
        }
    }

    fn leave(&self, run: &RunId) {
        self.change(|state| state.trial.remove(run));
    }

    /// Those of a trial that could not be started are none of it: somebody has them in hand, or nobody hosts them.
    pub(super) fn leave_unstarted(&self) {
        self.change(|state| state.trial.retain(|_, tried| tried.since.is_some()));
    }

    /// Those that have been worked long enough.
    fn outlived(&self, now: UnixMillis, clear_after: Duration) -> Vec<RunId> {
        self.change(|state| {
            let over = |tried: &Tried| tried.since.is_some_and(|since| since.after(clear_after) <= now);
            state.trial.extract_if(|_, tried| over(tried)).map(|(run, _)| run).collect()
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
        state.trial.values().filter_map(|tried| tried.since).min().map(|since| since.after(clear_after))
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
        self.trial.extend(group.iter().map(|run| (*run, Tried { with, since: None })));
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
                    machine.clear();
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
        // Whoever has it in hand comes to the gate.
        let Some(reason) = slot.take_parked() else { return };
        let started = async {
            let (log, view) = self.run_log(&run).await?;
            self.go_on(&slot, log, &view, Vec::new(), Next::Start).await
        };
        if let Err(error) = started.await {
            tracing::warn!(%run, %error, "the run cannot be tried yet; it is tried again");
            tokio::time::sleep(READ_AGAIN_AFTER).await;
            self.trials.leave(&run);
            self.park_again(&slot, reason);
            self.look_now(&slot);
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
