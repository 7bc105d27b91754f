//! What a writing process says, one line for each thing.

use std::fmt;
use std::str::FromStr;

use runtime_traits::store::{Durability, StateError};
use thiserror::Error;

use super::trace::Call;

/// One thing that a writing process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The store is open, and the writers of this process begin.
    Begins { process: u32 },
    /// A batch was answered with `Ok`.
    Acknowledged(Acknowledged),
    /// A batch, or the read after it, was answered with an error.
    Refused { writer: u32, n: u64, why: Why },
    /// A read was answered although a batch had been refused.
    Reads { writer: u32 },
    /// An answer that the contract does not allow.
    Wrong(String),
    /// Every writer has done what it was asked to do.
    Ends,
}

/// A batch that was answered with `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) writer: u32,
    pub(super) n: u64,
    pub(super) revision: u64,
    /// What was given.
    pub(super) durability: Durability,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    NoSpace,
    Poisoned,
    /// Nobody knows whether the batch is there.
    Unknown,
    Unavailable,
    /// What may not come where nothing else is wrong.
    Other,
}

/// A line that is no word.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` means nothing")]
pub(super) struct NoWord(String);

impl Word {
    /// What a process said in a call that was recorded.
    pub(super) fn in_call(call: &Call) -> Option<Self> {
        if call.name != "write" || call.descriptor(0)?.number != 1 {
            return None;
        }
        String::from_utf8(call.bytes(1)?).ok()?.trim_end().parse().ok()
    }
}

impl Why {
    pub(super) fn of(error: &StateError) -> Self {
        match error {
            StateError::NoSpace => Self::NoSpace,
            StateError::Poisoned { .. } => Self::Poisoned,
            StateError::Unknown { .. } => Self::Unknown,
            StateError::Unavailable { .. } => Self::Unavailable,
            StateError::Conflict { .. }
            | StateError::Fenced
            | StateError::TooLarge { .. }
            | StateError::WrongPartition
            | StateError::Damaged { .. } => Self::Other,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins { process } => write!(f, "begins {process}"),
            Self::Acknowledged(Acknowledged { writer, n, revision, durability }) => {
                write!(f, "acknowledged {writer} {n} {revision} {}", level(*durability))
            }
            Self::Refused { writer, n, why } => write!(f, "refused {writer} {n} {why}"),
            Self::Reads { writer } => write!(f, "reads {writer}"),
            Self::Wrong(what) => write!(f, "wrong {}", what.replace('\n', " ")),
            Self::Ends => write!(f, "ends"),
        }
    }
}

impl FromStr for Word {
    type Err = NoWord;

    fn from_str(line: &str) -> Result<Self, NoWord> {
        read(line).ok_or_else(|| NoWord(line.to_owned()))
    }
}

fn read(line: &str) -> Option<Word> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let parts: Vec<&str> = rest.split(' ').collect();
    Some(match (word, parts.as_slice()) {
        ("begins", [process]) => Word::Begins { process: process.parse().ok()? },
        ("ends", [""]) => Word::Ends,
        ("acknowledged", [writer, n, revision, durability]) => Word::Acknowledged(Acknowledged {
            writer: writer.parse().ok()?,
            n: n.parse().ok()?,
            revision: revision.parse().ok()?,
            durability: [Durability::Memory, Durability::Process, Durability::Disk]
                .into_iter()
                .find(|known| level(*known) == *durability)?,
        }),
        ("refused", [writer, n, why]) => Word::Refused {
            writer: writer.parse().ok()?,
            n: n.parse().ok()?,
            why: [Why::NoSpace, Why::Poisoned, Why::Unknown, Why::Unavailable, Why::Other]
                .into_iter()
                .find(|known| known.to_string() == *why)?,
        },
        ("reads", [writer]) => Word::Reads { writer: writer.parse().ok()? },
        ("wrong", _) => Word::Wrong(rest.to_owned()),
        _ => return None,
    })
}

fn level(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "memory",
        Durability::Process => "process",
        Durability::Disk => "disk",
    }
}

#[cfg(test)]
mod tests {
    use super::{Acknowledged, Durability, Why, Word};

    #[test]
    fn a_word_is_read_as_it_is_said_and_half_a_word_is_none() {
        let acknowledged =
            Acknowledged { writer: 3, n: 1_000, revision: 70, durability: Durability::Process };
        for word in [
            Word::Begins { process: 77 },
            Word::Acknowledged(acknowledged),
            Word::Refused { writer: 1, n: 2, why: Why::NoSpace },
            Word::Reads { writer: 1 },
            Word::Wrong("an answer".to_owned()),
            Word::Ends,
        ] {
            assert_eq!(word.to_string().parse(), Ok(word));
        }
        for half in ["", "acknowledged 3 1000 70 pro", "acknowledged 3", "refused 1 2", "read"] {
            assert!(half.parse::<Word>().is_err(), "{half}");
        }
    }
}
