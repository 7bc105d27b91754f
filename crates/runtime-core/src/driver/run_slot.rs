//! A run in memory: where it is, and who waits for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{Entry, EntryKind, StepKey};
use runtime_traits::resource::Inside;
use runtime_traits::runtime::{Finished, RuntimeError};
use tokio::sync::{Notify, broadcast};

use super::parking::Parking;
use super::previews::{Previews, Shown};
use crate::engine::batches::Place;
use crate::engine::machine::RunMachine;

/// A run in memory.
#[derive(Debug)]
pub(super) struct RunSlot {
    pub(super) place: Place,
    /// The run that asked for it.
    pub(super) parent: Option<RunId>,
    stage: Mutex<Stage>,
    /// How many entries are committed.
    entries: AtomicU64,
    /// Tells those who wait for the run that it moved.
    moved: Notify,
    /// Tells the attempt that somebody changed its machine.
    pub(super) signal: Signal,
    worked: Mutex<Worked>,
    pub(super) parking: Parking,
    /// There are none until somebody shows something, or watches.
    previews: Mutex<Option<Box<Previews>>>,
}

/// Whether it is worked, where runs are counted that are.
#[derive(Default)]
enum Worked {
    #[default]
    No,
    /// It is, and is not counted: its agent was not limited in that.
    Uncounted,
    /// It is counted since its agent is.
    Counted { _inside: Inside },
}

impl fmt::Debug for Worked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "No",
            Self::Uncounted => "Uncounted",
            Self::Counted { .. } => "Counted",
        })
    }
}

/// Wakes one task; a signal that comes while it is awake is not lost.
#[derive(Debug, Default)]
pub(super) struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

/// Where a run is.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Its acceptance is being committed.
    Accepting,
    /// It waits for its turn.
    Queued,
    /// It is worked.
    Working(Arc<Mutex<RunMachine>>),
    /// It waits, for this, and has no attempt.
    Parked(String),
    /// Somebody is about to give it its next attempt, or its end.
    Moving,
    /// It is over.
    Ended(Arc<Finished>),
    /// It was not accepted, or this process can no longer write it.
    Left(RuntimeError),
}

impl Signal {
    pub(super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was raised since the last look; otherwise the task is woken when it is.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.raised.swap(false, Ordering::AcqRel)
    }
}

impl Stage {
    /// Whether nothing of it is under way.
    pub(super) fn is_still(&self) -> bool {
        matches!(self, Self::Queued | Self::Parked(_) | Self::Ended(_) | Self::Left(_))
    }
}

impl RunSlot {
    pub(super) fn new(place: Place, stage: Stage) -> Arc<Self> {
        Self::called_by(None, place, stage)
    }

    pub(super) fn called_by(parent: Option<RunId>, place: Place, stage: Stage) -> Arc<Self> {
        Arc::new(Self {
            place,
            parent,
            stage: Mutex::new(stage),
            entries: AtomicU64::new(0),
            moved: Notify::new(),
            signal: Signal::default(),
            worked: Mutex::default(),
            parking: Parking::default(),
            previews: Mutex::new(None),
        })
    }

    pub(super) fn stage(&self) -> Stage {
        lock(&self.stage).clone()
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        *lock(&self.stage) = stage;
        self.moved.notify_waiters();
    }

    /// Its acceptance is committed, and its turn has not come yet.
    pub(super) fn set_queued(&self) {
        let mut stage = lock(&self.stage);
        if matches!(*stage, Stage::Accepting) {
            *stage = Stage::Queued;
        }
        drop(stage);
        self.moved.notify_waiters();
    }

    /// Whether it is worked, or waits for its turn.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(*lock(&self.stage), Stage::Parked(_) | Stage::Ended(_) | Stage::Left(_))
    }

    /// Whether it is parked, and is not to be looked at yet.
    pub(super) fn is_parked_beyond(&self, now: UnixMillis) -> bool {
        matches!(*lock(&self.stage), Stage::Parked(_)) && !self.parking.is_due(now)
    }

    /// Takes a parked run to move it: only one does. What it waited for, in words.
    pub(super) fn take_parked(&self) -> Option<String> {
        let mut stage = lock(&self.stage);
        let Stage::Parked(reason) = &mut *stage else { return None };
        let reason = std::mem::take(reason);
        *stage = Stage::Moving;
        Some(reason)
    }

    /// A run that was taken and could not be moved is parked as before.
    pub(super) fn park_again(&self, reason: String) {
        let mut stage = lock(&self.stage);
        if matches!(*stage, Stage::Moving) {
            *stage = Stage::Parked(reason);
        }
        drop(stage);
        self.moved.notify_waiters();
    }

    /// It is worked, and nobody counts how many are.
    pub(super) fn is_worked_uncounted(&self) {
        *lock(&self.worked) = Worked::Uncounted;
    }

    /// It is not worked any more.
    pub(super) fn is_not_worked(&self) {
        *lock(&self.worked) = Worked::No;
    }

    /// Counts it, if it is worked and was not counted.
    pub(super) fn count(&self, enter: impl FnOnce() -> Option<Inside>) {
        let mut worked = lock(&self.worked);
        if matches!(*worked, Worked::Uncounted)
            && let Some(inside) = enter()
        {
            *worked = Worked::Counted { _inside: inside };
        }
    }

    pub(super) fn machine(&self) -> Option<Arc<Mutex<RunMachine>>> {
        if let Stage::Working(machine) = &*lock(&self.stage) { Some(Arc::clone(machine)) } else { None }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Acquire)
    }

    pub(super) fn committed(&self, entries: u64) {
        self.entries.store(entries, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Waits until `look` finds what it looks for.
    pub(super) async fn until<T>(&self, look: impl Fn(&Stage) -> Option<T>) -> T {
        loop {
            let moved = self.moved.notified();
            let mut moved = std::pin::pin!(moved);
            moved.as_mut().enable();
            if let Some(found) = look(&lock(&self.stage)) {
                return found;
            }
            moved.await;
        }
    }

    /// Waits until its acceptance is committed, or refused with this error.
    pub(super) async fn until_accepted(&self) -> Option<RuntimeError> {
        self.until(|stage| match stage {
            Stage::Accepting => None,
            Stage::Left(error) => Some(Some(error.clone())),
            _ => Some(None),
        })
        .await
    }

    /// Waits until it moves.
    pub(super) async fn moves(&self, seen: u64) {
        let moved = self.moved.notified();
        let mut moved = std::pin::pin!(moved);
        moved.as_mut().enable();
        if self.entries() == seen && !matches!(&*lock(&self.stage), Stage::Ended(_) | Stage::Left(_)) {
            moved.await;
        }
    }

    /// Shows a piece of a step's value, or of the output.
    pub(super) fn show(&self, step: Option<StepKey>, text: &str, now: UnixMillis) {
        lock(&self.previews).get_or_insert_default().show(self.entries(), step, text, now);
    }

    /// When a piece was shown last.
    pub(super) fn shown_at(&self) -> Option<UnixMillis> {
        lock(&self.previews).as_ref().and_then(|previews| previews.shown_at())
    }

    /// Takes back what was shown of a step's value.
    pub(super) fn retract(&self, step: &StepKey) {
        if let Some(previews) = &mut *lock(&self.previews) {
            previews.retract(self.entries(), step);
        }
    }

    /// Lets go what was shown beforehand of what these entries record. Called before they count as committed, so that who
    /// comes after them is not shown it once more.
    pub(super) fn recorded(&self, entries: &[Entry]) {
        let mut previews = lock(&self.previews);
        let Some(previews) = &mut *previews else { return };
        for entry in entries {
            match &entry.kind {
                EntryKind::StepSettled(settled) => previews.forget(&settled.key),
                EntryKind::StepUnknown(unknown) => previews.forget(&unknown.key),
                EntryKind::AttemptEnded(_) | EntryKind::Ended(_) => previews.forget_all(),
                // What was shown of the try before will be shown again.
                EntryKind::StepDispatched(dispatched) if dispatched.try_no > 1 => {
                    previews.retract(self.entries(), &dispatched.key);
                }
                _ => {}
            }
        }
    }

    /// What was shown so far of steps under way, and whatever is shown from now on.
    pub(super) fn previews(&self) -> (Vec<Shown>, broadcast::Receiver<Shown>) {
        lock(&self.previews).get_or_insert_default().watch(self.entries())
    }
}

/// A lock whose holder panicked is still a lock: what it guards is changed in single assignments.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
