//! What an agent with a model says and has done in a run, fixed by its input: its model plays it, the checks know what
//! has to come of it.

mod draw;

use runtime_traits::{Name, StepKey};
use serde::{Deserialize, Serialize};

use super::script::Sort;

pub(super) use draw::draw;

/// How often a call of a model is made once more when it breaks off.
pub(super) const RETRIES: u32 = 2;

/// What an agent with a model says and has done in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Talk {
    /// Which one: the number of the submission, and for a called run also turn and place of the call.
    pub(super) talk: String,
    /// What the model says, one after the other. The last one calls nothing.
    pub(super) turns: Vec<Turn>,
    /// The model's last word.
    pub(super) word: String,
}

/// A reply of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// How many calls of the model break off first.
    pub(super) stumbles: u32,
    /// How many milliseconds the model takes.
    pub(super) millis: u64,
    /// What it wants done.
    pub(super) calls: Vec<Wish>,
}

/// Something that a model wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    /// A tool does it.
    Do(Deed),
    /// Another agent does it.
    Ask(Box<Talk>),
    /// Another agent goes on with the conversation.
    HandOff(Box<Talk>),
    /// A person answers.
    Person,
    /// There is no such tool.
    Nonsense,
}

/// What a tool does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deed {
    /// What may be done again.
    pub(super) sort: Sort,
    /// Whether somebody has to consent.
    pub(super) consent: bool,
    /// How many milliseconds it takes.
    pub(super) millis: u64,
    /// How many bytes of padding its result has.
    pub(super) bytes: usize,
    /// Whether it has no result in the end, but an error.
    pub(super) fails: bool,
}

/// What a model tells a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) talk: String,
    pub(super) turn: usize,
    pub(super) call: usize,
    pub(super) deed: Deed,
}

/// Who is asked for something.
pub(super) const HELPER: &str = "helper";
/// Whom conversations are handed over to.
pub(super) const HEIR: &str = "heir";

impl Sort {
    /// The tool that does such things.
    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Pure => "look",
            Self::Repeatable => "fetch",
            Self::Idempotent => "put",
            Self::Fleeting => "offer",
            Self::AtMostOnce => "pay",
        }
    }
}

impl Wish {
    /// The tool that the model names.
    pub(super) fn tool(&self) -> String {
        match self {
            Self::Do(deed) => deed.sort.tool().to_owned(),
            Self::Ask(_) => format!("ask_{HELPER}"),
            Self::HandOff(_) => format!("hand_off_to_{HEIR}"),
            Self::Person => "ask_person".to_owned(),
            Self::Nonsense => "nothing_like_this".to_owned(),
        }
    }

    /// The talk of the run that it asks for.
    pub(super) fn talk(&self) -> Option<&Talk> {
        match self {
            Self::Ask(talk) | Self::HandOff(talk) => Some(talk),
            Self::Do(_) | Self::Person | Self::Nonsense => None,
        }
    }
}

impl Order {
    /// What the tool says, or why it does not.
    pub(super) fn said(&self) -> Result<String, String> {
        let Self { talk, turn, call, deed } = self;
        let what = format!("call {call} of turn {turn} of {talk}");
        if deed.fails {
            Err(format!("{what} fails"))
        } else {
            Ok(format!("{what}{}", ".".repeat(deed.bytes)))
        }
    }
}

impl Talk {
    /// What the model says beside its calls.
    pub(super) fn text(&self, turn: usize) -> String {
        if turn == self.turns.len() { self.word.clone() } else { format!("turn {turn} of {}", self.talk) }
    }

    /// The submission that it belongs to.
    pub(super) fn submission(&self) -> Option<u64> {
        self.talk.split('.').next()?.parse().ok()
    }

    /// The first turn in which the model breaks off for good.
    pub(super) fn breaks(&self) -> Option<usize> {
        self.turns.iter().position(|turn| turn.stumbles > RETRIES).map(|at| at + 1)
    }

    /// The step of the model's call in a turn; turns count from 1.
    pub(super) fn model_step(turn: usize) -> StepKey {
        key(turn, "model".to_owned())
    }

    /// The order to a tool, whose step this is.
    pub(super) fn order(&self, step: &StepKey) -> Option<Order> {
        let (turn, call, wish) = self.wish(step)?;
        let Wish::Do(deed) = wish else { return None };
        Some(Order { talk: self.talk.clone(), turn, call, deed: deed.clone() })
    }

    /// What the model wants in this step, with its turn and place.
    pub(super) fn wish(&self, step: &StepKey) -> Option<(usize, usize, &Wish)> {
        let turn: usize = step.scope.first()?.as_str().strip_prefix("turn-")?.parse().ok()?;
        let (call, tool) = step.name.as_str().split_once('.')?;
        let call: usize = call.parse().ok()?;
        let wish = self.turns.get(turn.checked_sub(1)?)?.calls.get(call)?;
        let right = step.nth == 1 && step.scope.len() == 1 && (tool == wish.tool() || tool == "said");
        right.then_some((turn, call, wish))
    }

    /// The place of a step in its run: what has a lower one is over before.
    pub(super) fn moment(&self, step: &StepKey) -> Option<usize> {
        let of_model = self.turn(step).map(|(turn, _)| 2 * turn);
        of_model.or_else(|| self.wish(step).map(|(turn, ..)| 2 * turn + 1))
    }

    /// The tools' steps, and what may be done again of them.
    pub(super) fn deeds(&self) -> impl Iterator<Item = (StepKey, &Deed)> {
        self.turns.iter().zip(1..).flat_map(|(said, turn)| {
            said.calls.iter().enumerate().filter_map(move |(call, wish)| match wish {
                Wish::Do(deed) => Some((call_step(turn, call, &wish.tool()), deed)),
                _ => None,
            })
        })
    }

    /// The turn of a step of the model.
    pub(super) fn turn(&self, step: &StepKey) -> Option<(usize, &Turn)> {
        let turn: usize = step.scope.first()?.as_str().strip_prefix("turn-")?.parse().ok()?;
        let right = *step == Self::model_step(turn);
        self.turns.get(turn.checked_sub(1)?).filter(|_| right).map(|found| (turn, found))
    }
}

/// The step of a call.
pub(super) fn call_step(turn: usize, call: usize, tool: &str) -> StepKey {
    key(turn, format!("{call}.{tool}"))
}

fn key(turn: usize, called: String) -> StepKey {
    let name = |text: String| Name::new(text).expect("letters, digits, points and hyphens make a name");
    StepKey { scope: vec![name(format!("turn-{turn}"))], name: name(called), nth: 1 }
}
