//! A durable subscription at work: one task loads events and saves what is done; members work on them.

mod loading;
mod saving;
mod sharing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Delivery, Event, Position, Retry};
use runtime_traits::clock::{Clock, UnixMillis};
use runtime_traits::error::Cause;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{Instant, sleep, timeout};

use super::bell::Bell;
use super::held::{ALL, Fate, Held, Settled};
use super::wanted::{Wanted, same_settings};
use super::window::{Take, blank};
use crate::journal::{CursorName, Journal, Place};
use crate::steady::steady_now;

pub(super) use saving::Keeping;

/// How long a member waits until what it has done is saved.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pauses between tries when the journal fails.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often the last save is tried when everybody has gone.
const LAST_TRIES: u32 = 3;

/// A durable subscription at work.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) name: CursorName,
    /// Where its events are. One of a pattern has none of its own.
    place: Option<Place>,
    group: bool,
    pub(super) retry: Retry,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether its journal has given it.
    pub(super) opened: OnceCell<()>,
    state: Mutex<State>,
    /// Told to members: there may be something to work on.
    ready: Notify,
    /// Told to the task that saves.
    work: Notify,
    /// Told to the task that loads: there may be room.
    room: Notify,
    /// Told to the task that loads: what was read is to be read again.
    again: Notify,
    /// Told to whoever waits until something is saved.
    saves: Notify,
    /// Whether the task has ended.
    pub(super) gone: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    held: Held,
    members: usize,
    /// The number of the next member.
    next: u64,
    /// Who wants to be told, beside those that wait, that there may be something to work on.
    bells: Vec<(u64, Arc<Bell>)>,
    /// Until when what is held is surely held; `None`: until it is told otherwise.
    sure: Option<Instant>,
    /// Everybody has gone, and the task is about to end.
    closing: bool,
    /// Why nothing goes on.
    ended: Option<BusError>,
}

/// What comes of asking to be a member.
pub(super) enum Joined {
    Member(u64),
    /// It is about to end: wait until it has gone.
    Closing,
}

impl Cursor {
    pub(super) fn new(wanted: &Wanted, journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            held: Held::default(),
            members: 0,
            next: 0,
            bells: Vec::new(),
            sure: None,
            closing: false,
            ended: None,
        };
        Self {
            name: wanted.name.clone(),
            place: wanted.name.place(),
            group: wanted.group,
            retry: wanted.retry,
            journal,
            clock,
            opened: OnceCell::new(),
            state: Mutex::new(state),
            ready: Notify::new(),
            work: Notify::new(),
            room: Notify::new(),
            again: Notify::new(),
            saves: Notify::new(),
            gone: watch::Sender::new(false),
        }
    }

    /// Goes on where the record says, with all sources.
    pub(super) fn go_on(&self, record: &CursorRecord) {
        self.state().held.begin(ALL, record);
    }

    /// Becomes a member, of whom `bell` is rung when there may be something to work on.
    pub(super) fn join(&self, wanted: &Wanted, bell: Option<Arc<Bell>>) -> Result<Joined, BusError> {
        same_settings(wanted, &blank(self.group, &self.retry))?;
        let mut state = self.state();
        if state.closing || state.ended.is_some() {
            return Ok(Joined::Closing);
        }
        if state.members > 0 && !self.group {
            return Err(self.name.busy());
        }
        state.members += 1;
        state.next += 1;
        let member = state.next;
        state.bells.extend(bell.map(|bell| (member, bell)));
        Ok(Joined::Member(member))
    }

    /// A member has gone.
    pub(super) fn leave(&self, member: u64) {
        let mut state = self.state();
        state.held.leave(member);
        state.bells.retain(|(of, _)| *of != member);
        state.members -= 1;
        state.closing = state.members == 0;
        drop(state);
        self.ring();
        self.work.notify_one();
    }

    /// Nothing goes on, and everybody is told why.
    pub(super) fn end(&self, why: BusError) {
        self.state().ended.get_or_insert(why);
        self.ring();
        self.saves.notify_waiters();
    }

    /// There may be something to work on.
    fn ring(&self) {
        self.ready.notify_waiters();
        self.state().bells.iter().for_each(|(_, bell)| bell.ring());
    }

    /// What a member may work on now.
    pub(super) fn try_take(&self, member: u64, now: UnixMillis) -> Result<Take, BusError> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        // What somebody else may have by now is not given out. The next that is told of it rings.
        if state.sure.is_some_and(|sure| steady_now() >= sure) {
            return Ok(Take::Nothing(None));
        }
        Ok(state.held.take(member, now))
    }

    /// Waits for what a member may work on.
    pub(super) async fn take(&self, member: u64) -> Result<Delivery, BusError> {
        loop {
            let mut ready = std::pin::pin!(self.ready.notified());
            ready.as_mut().enable();
            let now = self.clock.now();
            match self.try_take(member, now)? {
                Take::Delivery(delivery) => return Ok(delivery),
                Take::Nothing(None) => ready.await,
                Take::Nothing(Some(until)) => tokio::select! {
                    () = ready => {}
                    () = sleep(until.since(now).max(Duration::from_millis(1))) => {}
                },
            }
        }
    }

    /// The event that `member` works on there, and how often it has failed.
    pub(super) fn taken(&self, position: Position, member: u64) -> Option<(Arc<Event>, u32)> {
        let state = self.state();
        state.held.taken(position, member).map(|(kept, failures)| (Arc::clone(&kept.event), failures))
    }

    /// The event that `member` works on failed, and pauses.
    pub(super) fn pause(&self, position: Position, member: u64, until: UnixMillis) {
        self.state().held.pause(position, member, until);
        self.changed();
    }

    /// The event that `member` works on is done. Waits until that is saved.
    pub(super) async fn settle(&self, position: Position, member: u64) -> Result<(), BusError> {
        let settled = self.state().held.settle(position, member);
        self.changed();
        let Settled::When(changes) = settled else { return Err(self.name.taken()) };
        let waited = timeout(PATIENCE, async {
            for change in changes {
                loop {
                    let mut saves = std::pin::pin!(self.saves.notified());
                    saves.as_mut().enable();
                    match change.fate() {
                        Fate::Saved => break,
                        Fate::Lost => return Err(self.name.taken()),
                        Fate::Open => {}
                    }
                    if let Some(why) = &self.state().ended {
                        return Err(why.clone());
                    }
                    saves.await;
                }
            }
            Ok(())
        });
        waited.await.unwrap_or_else(|_| {
            let cause = Cause::says(format!("nothing could be saved within {} s", PATIENCE.as_secs()));
            Err(BusError::Unavailable { cause })
        })
    }

    /// Whether all that there was is done.
    pub(super) fn is_idle(&self) -> bool {
        self.state().held.is_idle()
    }

    /// Whether `member` has anything in the hand.
    pub(super) fn has_taken(&self, member: u64) -> bool {
        self.state().held.has_taken(member)
    }

    /// The last place up to which all is done of what is here.
    pub(super) fn done_up_to(&self) -> Option<Position> {
        self.state().held.done_up_to()
    }

    /// Waits until it has ended, if nobody is there any more.
    pub(super) async fn has_gone(&self) {
        let mut gone = self.gone.subscribe();
        if self.state().closing {
            // The sender is this cursor's own.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Something is to be saved, and there may be more to work on, and room for more.
    fn changed(&self) {
        self.ring();
        self.room.notify_one();
        self.work.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
