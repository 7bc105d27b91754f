//! Sharing the work with other processes.

use tokio::time::{Instant, sleep, timeout};

use super::{Cursor, LAST_TRIES, PAUSES};
use crate::durable::held::Snapshot;
use crate::journal::{Dealt, Holding, Round};
use crate::steady::steady_now;

impl Cursor {
    /// Saves, gives back and takes slots, until everybody has gone.
    pub(super) async fn share(&self, token: &str) {
        let Some(sharing) = self.shared() else { return };
        let Some(lease) = self.journal.lease() else { return };
        let (mut pause, mut tries) = (PAUSES.0, 0);
        let mut last_round: Option<Instant> = None;
        loop {
            let is_late = last_round.is_none_or(|last| last.elapsed() >= lease / 4);
            let (is_due, closing) = {
                let mut state = self.state();
                if state.closing {
                    state.held.keep_none();
                }
                (state.held.is_due(), state.closing)
            };
            if !is_due && !is_late && !closing {
                // Whether it ran out or was told: the loop looks.
                let _ = timeout(lease / 4, self.work.notified()).await;
                continue;
            }
            let snapshots = self.state().held.snapshots(self.group, &self.retry);
            // What others' events have moved is saved now and then.
            let saves = |snapshot: &Snapshot| snapshot.changed || snapshot.may_go || is_late;
            let holding = |snapshot: &Snapshot| Holding {
                slot: snapshot.slot,
                record: saves(snapshot).then(|| snapshot.record.clone()),
                given_back: snapshot.may_go,
            };
            let round = Round { stays: !closing, held: snapshots.iter().map(holding).collect() };
            let asked = steady_now();
            match sharing.deal(&self.name, token, &round).await {
                Ok(dealt) => {
                    if is_late {
                        last_round = Some(asked);
                    }
                    (pause, tries) = (PAUSES.0, 0);
                    self.take_what_was_dealt(&snapshots, &round, dealt, asked + lease);
                    if closing && self.state().held.is_empty() {
                        return;
                    }
                }
                Err(error) => {
                    tries += 1;
                    tracing::warn!(name = %self.name.name, %error, "a group cannot be saved");
                    if !error.is_transient() {
                        return self.end(error);
                    }
                    if closing && tries >= LAST_TRIES {
                        return;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    fn take_what_was_dealt(&self, snapshots: &[Snapshot], round: &Round, dealt: Dealt, sure: Instant) {
        let mut state = self.state();
        for (snapshot, holding) in snapshots.iter().zip(&round.held) {
            let is_mine = dealt.mine.iter().any(|(slot, _)| *slot == snapshot.slot);
            if holding.given_back {
                state.held.gone(snapshot.slot);
            } else if !is_mine {
                state.held.lose(snapshot.slot);
            } else if holding.record.is_some() {
                state.held.saved(snapshot.slot, snapshot.version);
            }
        }
        let mut came = false;
        for (slot, record) in dealt.mine {
            if let Some(record) = record
                && !state.held.has(slot)
            {
                state.held.begin(slot, &record);
                came = true;
            }
        }
        came |= state.held.keep_only(dealt.part);
        state.sure = Some(sure);
        drop(state);
        if came {
            self.again.notify_one();
        }
        self.saves.notify_waiters();
        self.ring();
    }
}
