//! What a run does, fixed by its input: the agent plays it, the checks know what has to come out.

mod draw;
mod expect;

use std::time::Duration;

use runtime_traits::{Effect, StepKey};
use serde::{Deserialize, Serialize};

pub(super) use draw::draw;
pub(super) use expect::{Ends, StepEnd, expected, failed};

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Script {
    /// Which one: no two submissions have the same.
    pub(super) id: u64,
    /// One after the other.
    pub(super) acts: Vec<Act>,
    /// Whether the agent has no output in the end, but an error.
    pub(super) fails: bool,
    /// Makes the input large, and the output.
    pub(super) padding: String,
}

/// Something that a run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    /// One step.
    Do(Work),
    /// Branches side by side, each in a scope of its own.
    Join(Vec<Vec<Work>>),
    /// Two steps, of which the slower one is dropped.
    Race(Work, Work),
    /// A step that may take this many milliseconds; then it is dropped.
    Limit(u64, Work),
    /// Waits this many milliseconds.
    Sleep(u64),
    /// Sets the session's state, with so many bytes of padding.
    Keep(usize),
    /// Shows a piece of its output before it is recorded.
    Say(String),
}

/// The work of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The step.
    pub(super) key: StepKey,
    /// What may be done again.
    pub(super) sort: Sort,
    /// How many milliseconds it takes.
    pub(super) millis: u64,
    /// How many bytes of padding its value has.
    pub(super) bytes: usize,
    /// Whether it has no value in the end, but an error.
    pub(super) fails: bool,
    /// After how many milliseconds the engine gives a dispatch up.
    pub(super) within: Option<u64>,
}

/// What may be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sort {
    Pure,
    Repeatable,
    /// The other side remembers the key for longer than the campaign takes.
    Idempotent,
    /// The other side forgets the key so soon that a crash may take longer.
    Fleeting,
    AtMostOnce,
}

/// What a session keeps between its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// How many runs have set it.
    pub(super) runs: u64,
    /// The script of the last of them.
    pub(super) last: u64,
    pub(super) padding: String,
}

/// What a run comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) script: u64,
    /// The session's state when the run began.
    pub(super) saw: Option<Kept>,
    /// What each act came to.
    pub(super) pieces: Vec<String>,
    pub(super) padding: String,
}

impl Sort {
    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Pure => Effect::Pure,
            Self::Repeatable => Effect::Repeatable,
            Self::Idempotent => Effect::Idempotent { window: Duration::from_secs(3600) },
            Self::Fleeting => Effect::Idempotent { window: Duration::from_millis(150) },
            Self::AtMostOnce => Effect::AtMostOnce,
        }
    }
}

impl Work {
    /// What the step's work gives.
    pub(super) fn value(&self, script: u64) -> String {
        let head = format!("{} of {script}", self.key);
        format!("{head}{}", ".".repeat(self.bytes))
    }
}

impl Script {
    /// Every step with the number of its act. Steps of a lower act are over, for the run, before one of a higher begins.
    pub(super) fn steps(&self) -> impl Iterator<Item = (usize, &Work)> {
        self.acts.iter().enumerate().flat_map(|(at, act)| {
            let works: Vec<&Work> = match act {
                Act::Do(work) | Act::Limit(_, work) => vec![work],
                Act::Join(branches) => branches.iter().flatten().collect(),
                Act::Race(one, other) => vec![one, other],
                Act::Sleep(_) | Act::Keep(_) | Act::Say(_) => Vec::new(),
            };
            works.into_iter().map(move |work| (at, work))
        })
    }

    /// What the session's state is set to in the end of this run.
    pub(super) fn kept(&self, saw: Option<&Kept>, bytes: usize) -> Kept {
        let runs = saw.map_or(0, |saw| saw.runs) + 1;
        Kept { runs, last: self.id, padding: "k".repeat(bytes) }
    }

    /// The error of a run that has no output.
    pub(super) fn failure(&self) -> String {
        format!("script {} fails", self.id)
    }
}

/// The value that a person says a step has.
pub(super) fn assumed(key: &StepKey) -> String {
    format!("{key} was seen to")
}

/// What the output says of a value.
pub(super) fn piece(value: &str) -> String {
    let head: String = value.chars().take(40).collect();
    format!("{head}/{}", value.len())
}
