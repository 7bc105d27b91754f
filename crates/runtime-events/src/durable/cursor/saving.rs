//! Saving what is done, for one process at a time.

use tokio::time::{sleep, timeout};

use super::{Cursor, LAST_TRIES, PAUSES};
use crate::durable::held::ALL;
use crate::journal::{Claim, Sharing};
use crate::steady::steady_now;
use runtime_traits::bus::BusError;

/// By what right a process works a durable subscription.
#[derive(Debug)]
pub(in crate::durable) enum Keeping {
    /// It has all of it.
    Alone(Claim),
    /// It has some slots, under this name.
    Shared(String),
    /// There is nothing to have: a group's subscription to a pattern, whose topics are shared.
    Nothing,
}

impl Cursor {
    /// Loads and saves until everybody has gone or somebody else has taken it; then gives it back.
    pub(in crate::durable) async fn work(&self, keeping: Keeping) {
        match keeping {
            Keeping::Alone(mut claim) => {
                tokio::select! {
                    () = self.save_changes(&mut claim) => {}
                    () = self.load_events() => {}
                }
                self.journal.release(&self.name, claim).await;
            }
            Keeping::Shared(token) => tokio::select! {
                () = self.share(&token) => {}
                () = self.load_events() => {}
            },
            Keeping::Nothing => {
                while !self.state().closing {
                    self.work.notified().await;
                }
            }
        }
    }

    /// How its sources are shared with other processes, if they are.
    pub(super) fn shared(&self) -> Option<&dyn Sharing> {
        self.journal.sharing().filter(|_| self.group)
    }

    /// Ends when everybody has gone and all is saved, or when nothing can be saved any more.
    async fn save_changes(&self, claim: &mut Claim) {
        let (mut pause, mut tries) = (PAUSES.0, 0);
        let mut last_save = steady_now();
        loop {
            let (snapshot, closing) = {
                let state = self.state();
                (state.held.snapshots(self.group, &self.retry).pop(), state.closing)
            };
            let Some(snapshot) = snapshot else { return };
            let lease = self.journal.lease();
            let is_due = lease.is_some_and(|lease| last_save.elapsed() >= lease / 4);
            if snapshot.changed || is_due {
                let asked = steady_now();
                match self.journal.save(&self.name, claim, &snapshot.record).await {
                    Ok(()) => {
                        last_save = asked;
                        (pause, tries) = (PAUSES.0, 0);
                        self.state().held.saved(ALL, snapshot.version);
                        self.saves.notify_waiters();
                    }
                    Err(error) if matches!(error, BusError::Taken { .. }) || !error.is_transient() => {
                        return self.end(error);
                    }
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
            match lease {
                None => self.work.notified().await,
                Some(lease) => {
                    // Whether it ran out or was told: the loop looks.
                    let _ = timeout(lease / 4, self.work.notified()).await;
                }
            }
        }
    }
}
