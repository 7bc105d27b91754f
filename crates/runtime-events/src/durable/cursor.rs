//! A durable subscription at work: one task loads events and saves what is done; members work on them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Durable, Position, Retry};
use runtime_traits::clock::{Clock, UnixMillis};
use runtime_traits::error::Cause;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{sleep, timeout};

use super::window::{Take, Window, blank};
use crate::journal::{Claim, CursorName, Journal};

/// How many events are asked for at once.
const PAGE: usize = 256;
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
    pub(super) group: bool,
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
    /// Told to the task that loads.
    room: Notify,
    /// The last change that is saved.
    saved: watch::Sender<u64>,
    /// Whether the task has ended.
    pub(super) gone: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    window: Window,
    members: usize,
    /// The number of the next member.
    next: u64,
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
    pub(super) fn new(
        name: CursorName,
        durable: &Durable,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let window = Window::of(&blank(durable.group, &durable.retry));
        Self {
            name,
            group: durable.group,
            retry: durable.retry,
            journal,
            clock,
            opened: OnceCell::new(),
            state: Mutex::new(State { window, members: 0, next: 0, closing: false, ended: None }),
            ready: Notify::new(),
            work: Notify::new(),
            room: Notify::new(),
            saved: watch::Sender::new(0),
            gone: watch::Sender::new(false),
        }
    }

    /// Goes on where the record says.
    pub(super) fn go_on(&self, record: &CursorRecord) {
        self.state().window = Window::of(record);
    }

    /// Becomes a member.
    pub(super) fn join(&self, durable: &Durable) -> Result<Joined, BusError> {
        same_settings(durable, &blank(self.group, &self.retry))?;
        let mut state = self.state();
        if state.closing || state.ended.is_some() {
            return Ok(Joined::Closing);
        }
        if state.members > 0 && !self.group {
            return Err(BusError::Busy {
                name: self.name.name.to_string(),
                topic: self.name.place.topic.clone(),
            });
        }
        state.members += 1;
        state.next += 1;
        Ok(Joined::Member(state.next))
    }

    /// A member has gone.
    pub(super) fn leave(&self, member: u64) {
        let mut state = self.state();
        state.window.leave(member);
        state.members -= 1;
        state.closing = state.members == 0;
        drop(state);
        self.ready.notify_waiters();
        self.work.notify_one();
    }

    /// Nothing goes on, and everybody is told why.
    pub(super) fn end(&self, why: BusError) {
        self.state().ended.get_or_insert(why);
        self.ready.notify_waiters();
        // Whoever waits for a save looks again.
        self.saved.send_modify(|_| ());
    }

    /// Waits for what a member may work on.
    pub(super) async fn take(&self, member: u64) -> Result<runtime_traits::bus::Delivery, BusError> {
        loop {
            let mut ready = std::pin::pin!(self.ready.notified());
            ready.as_mut().enable();
            let now = self.clock.now();
            let take = {
                let mut state = self.state();
                if let Some(why) = &state.ended {
                    return Err(why.clone());
                }
                state.window.take(member, now)
            };
            match take {
                Take::Delivery(delivery) => return Ok(delivery),
                Take::Nothing(None) => ready.await,
                Take::Nothing(Some(until)) => tokio::select! {
                    () = ready => {}
                    () = sleep(until.since(now).max(Duration::from_millis(1))) => {}
                },
            }
        }
    }

    /// Looks at, or changes, what is loaded.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Window) -> T) -> T {
        let changed = change(&mut self.state().window);
        self.ready.notify_waiters();
        self.room.notify_one();
        self.work.notify_one();
        changed
    }

    /// The last place up to which all is done.
    pub(super) fn done_up_to(&self) -> Position {
        self.state().window.done_up_to()
    }

    /// Waits until everything that has changed is saved.
    pub(super) async fn saved(&self) -> Result<(), BusError> {
        let mut saved = self.saved.subscribe();
        let version = self.state().window.version();
        let waited = timeout(PATIENCE, async {
            loop {
                if *saved.borrow_and_update() >= version {
                    return Ok(());
                }
                if let Some(why) = &self.state().ended {
                    return Err(why.clone());
                }
                // The sender is this cursor's own.
                let _ = saved.changed().await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            let cause = Cause::says(format!("nothing could be saved within {} s", PATIENCE.as_secs()));
            Err(BusError::Unavailable { cause })
        })
    }

    /// Loads and saves until everybody has gone or somebody else has taken it; then gives it back.
    pub(super) async fn work(&self, mut claim: Claim) {
        tokio::select! {
            () = self.save_changes(&mut claim) => {}
            () = self.load_events() => {}
        }
        self.journal.release(&self.name, claim).await;
    }

    async fn load_events(&self) {
        let mut pause = PAUSES.0;
        loop {
            let (from, room) = self.state().window.wanted();
            if room < PAGE / 4 {
                self.room.notified().await;
                continue;
            }
            match self.journal.read(&self.name.place, from, room.min(PAGE) as u32).await {
                Ok(mut page) => {
                    pause = PAUSES.0;
                    let events = std::mem::take(&mut page.events);
                    if events.is_empty() && page.first <= from {
                        self.journal.grown(&self.name.place, &page).await;
                        continue;
                    }
                    self.state().window.load(page.first, events);
                    self.ready.notify_waiters();
                    self.work.notify_one();
                }
                Err(error) => {
                    tracing::warn!(topic = %self.name.place.topic, %error, "events of a durable topic cannot be read");
                    if !error.is_transient() {
                        return self.end(error);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Ends when everybody has gone and all is saved, or when nothing can be saved any more.
    async fn save_changes(&self, claim: &mut Claim) {
        let (mut pause, mut tries) = (PAUSES.0, 0);
        let mut last_save = self.clock.now();
        loop {
            let (record, version, closing) = {
                let state = self.state();
                let (record, version) = state.window.record(self.group, &self.retry);
                (record, version, state.closing)
            };
            let changed = version > *self.saved.borrow();
            if changed || self.is_due(last_save) {
                match self.journal.save(&self.name, claim, &record).await {
                    Ok(()) => {
                        last_save = self.clock.now();
                        pause = PAUSES.0;
                        self.saved.send_replace(version);
                    }
                    Err(error @ BusError::Taken { .. }) => return self.end(error),
                    Err(error) => {
                        tries += 1;
                        tracing::warn!(name = %self.name.name, %error, "a durable subscription cannot be saved");
                        if closing && tries >= LAST_TRIES {
                            return;
                        }
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
                continue;
            }
            if closing {
                return;
            }
            match self.journal.lease() {
                None => self.work.notified().await,
                Some(lease) => {
                    // Whether it ran out or was told: the loop looks.
                    let _ = timeout(lease / 4, self.work.notified()).await;
                }
            }
        }
    }

    fn is_due(&self, last_save: UnixMillis) -> bool {
        self.journal.lease().is_some_and(|lease| self.clock.now().since(last_save) >= lease / 4)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides whether a subscription may be opened with these settings.
pub(super) fn same_settings(durable: &Durable, kept: &CursorRecord) -> Result<(), BusError> {
    let given = blank(durable.group, &durable.retry);
    let settings = [
        ("sharing", kept.group.to_string(), given.group.to_string()),
        ("number of attempts", kept.attempts.to_string(), given.attempts.to_string()),
        ("first pause", format!("{} ms", kept.first_pause), format!("{} ms", given.first_pause)),
        ("longest pause", format!("{} ms", kept.longest_pause), format!("{} ms", given.longest_pause)),
    ];
    match settings.into_iter().find(|(_, kept, given)| kept != given) {
        None => Ok(()),
        Some((what, kept, given)) => Err(BusError::SettingsDiffer {
            name: durable.name.to_string(),
            topic: durable.topic.clone(),
            what,
            kept,
            given,
        }),
    }
}
