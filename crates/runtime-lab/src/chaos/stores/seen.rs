//! What was found in a store, as the process that opened it tells its parent.

use serde::{Deserialize, Serialize};

use crate::chaos::violation::{Law, Violation};

/// Faults that are told of one store; of more of them there is only the first.
const MOST: usize = 20;

/// What was found in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Why it did not open, if it did not.
    pub(super) refused: Option<String>,
    /// How long it took to open, in milliseconds.
    pub(super) opened_in: u64,
    /// How far each writer is; `None` where a read failed.
    pub(super) writers: Vec<Option<Reached>>,
    /// What is there and must not be, or the other way round.
    pub(super) faults: Vec<Fault>,
    /// What reads said instead of an answer.
    pub(super) told: Vec<String>,
    /// What a check of the whole store said, if it was asked for.
    pub(super) check: Option<Check>,
    /// Panics that did not get out of the store.
    pub(super) caught: u32,
    /// A panic that did.
    pub(super) panicked: Option<String>,
}

/// How far a writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// Its last batch that is there.
    pub(super) n: u64,
    /// The commit that wrote it.
    pub(super) revision: u64,
}

/// Something that does not hold in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) law: Law,
    pub(super) what: String,
}

/// What a check of a whole store said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Check {
    /// Everything is as it was written.
    Sound,
    /// Not everything.
    Damaged(String),
}

impl Seen {
    pub(super) fn fault(&mut self, law: Law, what: impl Into<String>) {
        if self.faults.len() < MOST {
            self.faults.push(Fault { law, what: what.into() });
        }
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        if self.told.len() < MOST {
            self.told.push(what.into());
        }
    }

    /// What of it is a violation where nothing was damaged: `told` as well, and that it did not open.
    pub(super) fn violations(&self, at: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut add = |law, what: &str| found.push(Violation::new(law, format!("{at}: {what}")));
        if let Some(why) = &self.panicked {
            add(Law::Panicked, why);
        }
        if let Some(why) = &self.refused {
            add(Law::Unreadable, why);
        }
        self.told.iter().for_each(|what| add(Law::Unreadable, what));
        self.faults.iter().for_each(|fault| add(fault.law, &fault.what));
        if let Some(Check::Damaged(what)) = &self.check {
            add(Law::Unreadable, &format!("the check of everything: {what}"));
        }
        found
    }
}
