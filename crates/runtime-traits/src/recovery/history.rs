//! What was done before.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::recovery::remedy::{Quarantine, Remedy};

/// What was done about the failures of one agent, run or check. Its size is bounded by how many restarts fit into a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When it was restarted, restored or acted upon, the latest last: as many as fit into a window.
    starts: VecDeque<UnixMillis>,
    attempts: u32,
    retried: u32,
    restored: bool,
    switched: u32,
    quarantine: Option<Quarantine>,
}

impl History {
    /// How many failed starts it had since it last made progress.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many calls were made again since it last made progress.
    pub fn retried(&self) -> u32 {
        self.retried
    }

    /// Whether a snapshot was put in its place since it last made progress.
    pub fn restored(&self) -> bool {
        self.restored
    }

    /// How many models of the chain stood in.
    pub fn switched(&self) -> u32 {
        self.switched
    }

    /// Whether it is set aside, and why.
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.as_ref()
    }

    /// What the log of a run tells of it: so many failed starts and so many calls made again since its last progress; with the restarts
    /// of its agent, the latest last.
    pub fn of_run(attempts: u32, retried: u32, starts: impl IntoIterator<Item = UnixMillis>) -> Self {
        Self { attempts, retried, starts: starts.into_iter().collect(), ..Self::default() }
    }

    /// Writes down that a remedy is carried out; `most` restarts fit into a window.
    pub fn took(&mut self, remedy: &Remedy, most: NonZeroU32, now: UnixMillis) {
        match remedy {
            Remedy::Retry { .. } => self.retried = self.retried.saturating_add(1),
            Remedy::Restart { at, counted } => self.start(*at, *counted, most),
            Remedy::Act { at, .. } => self.start(*at, true, most),
            Remedy::Restore { at } => {
                self.restored = true;
                self.start(*at, true, most);
            }
            Remedy::SwitchModel { .. } => self.switched = self.switched.saturating_add(1),
            // After the pause its own model is tried first.
            Remedy::CoolDown { .. } => self.switched = 0,
            Remedy::Quarantine(quarantine) => {
                let since = quarantine.since.min(now);
                self.quarantine.get_or_insert_with(|| Quarantine { since, ..quarantine.clone() });
            }
            Remedy::Leave => {}
        }
    }

    /// Writes down progress: a step that was newly settled, a check that is fine again. Attempts count anew from here; the
    /// window of restarts does not, and a quarantine stays.
    pub fn progressed(&mut self) {
        self.attempts = 0;
        self.retried = 0;
        self.restored = false;
    }

    /// A person lets it go on: everything counts anew but the window of restarts.
    pub fn release(&mut self) {
        self.progressed();
        self.switched = 0;
        self.quarantine = None;
    }

    /// When the next restart fits into the window; `None`: it does now.
    pub fn room_at(&self, most: NonZeroU32, within: Duration) -> Option<UnixMillis> {
        let behind = self.starts.len().checked_sub(most.get() as usize)?;
        self.starts.get(behind).map(|first| first.after(within))
    }

    fn start(&mut self, at: UnixMillis, counted: bool, most: NonZeroU32) {
        self.attempts = self.attempts.saturating_add(u32::from(counted));
        self.retried = 0;
        self.starts.push_back(at);
        while self.starts.len() > most.get() as usize {
            self.starts.pop_front();
        }
    }
}
