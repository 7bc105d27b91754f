//! Names of what events are about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// What an event is about: 1 to 16 segments parted by `/`, at most 256 bytes in all.
///
/// A segment is `A-Z`, `a-z`, `0-9`, `.`, `_`, `:` and `-`, beginning with a letter or digit.
///
/// # Examples
/// ```
/// use runtime_traits::bus::Topic;
///
/// assert!("search_request".parse::<Topic>().is_ok());
/// assert!("agents/librarian/run.completed".parse::<Topic>().is_ok());
/// assert!("agents//run.completed".parse::<Topic>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub(super) Arc<str>);

/// Why a text is no topic or no pattern. Long texts are shown cut.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicError {
    /// It is empty or too long.
    #[error("`{given}` has {len} bytes; a topic has 1 to {}", Topic::MAX_BYTES)]
    Length {
        /// What was given.
        given: String,
        /// How many bytes that has.
        len: usize,
    },
    /// It has too many segments.
    #[error("`{given}` has {count} segments; a topic has at most {}", Topic::MAX_SEGMENTS)]
    Segments {
        /// What was given.
        given: String,
        /// How many segments that has.
        count: usize,
    },
    /// A segment is empty, or has a character that no segment has.
    #[error(
        "`{given}` has the segment `{segment}`; a segment is A-Z, a-z, 0-9, `.`, `_`, `:` and `-`, \
         beginning with a letter or digit"
    )]
    Segment {
        /// What was given.
        given: String,
        /// Its first bad segment.
        segment: String,
    },
    /// A topic has a wildcard.
    #[error("`{given}` has the wildcard `{segment}`; an event is about one topic, name it in full")]
    Wildcard {
        /// What was given.
        given: String,
        /// Its first wildcard.
        segment: String,
    },
    /// A pattern goes on after `**`.
    #[error("`{given}` goes on after `**`; end with it, or put `*` there for one segment")]
    Rest {
        /// What was given.
        given: String,
    },
}

impl Topic {
    /// How many bytes a topic may have.
    pub const MAX_BYTES: usize = 256;
    /// How many segments a topic may have.
    pub const MAX_SEGMENTS: usize = 16;

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, first to last.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The dead letters of a durable subscription: events that its handler failed at too often.
    ///
    /// # Errors
    /// [`TopicError`] when `name` is no segment.
    pub fn dead_letters(name: &str) -> Result<Self, TopicError> {
        format!("system/dead-letters/{name}").parse()
    }

    /// Whether only the runtime itself publishes here: `system/…`, `agents/…`, `cluster/…` and `health/…`.
    pub fn is_system(&self) -> bool {
        let first = self.0.split_once('/').map_or(&*self.0, |(first, _)| first);
        matches!(first, "system" | "agents" | "cluster" | "health")
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(given: &str) -> Result<Self, TopicError> {
        check(given)?;
        match given.split('/').find(|segment| is_wildcard(segment)) {
            Some(wildcard) => Err(TopicError::Wildcard { given: cut(given), segment: wildcard.to_owned() }),
            None => Ok(Self(given.into())),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(given: &str) -> Result<Self, TopicError> {
        given.parse()
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What holds for topics and patterns alike.
pub(super) fn check(given: &str) -> Result<(), TopicError> {
    if !(1..=Topic::MAX_BYTES).contains(&given.len()) {
        return Err(TopicError::Length { given: cut(given), len: given.len() });
    }
    let count = given.split('/').count();
    if count > Topic::MAX_SEGMENTS {
        return Err(TopicError::Segments { given: cut(given), count });
    }
    match given.split('/').find(|segment| !is_wildcard(segment) && !is_name(segment)) {
        Some(segment) => Err(TopicError::Segment { given: cut(given), segment: cut(segment) }),
        None => Ok(()),
    }
}

pub(super) fn is_wildcard(segment: &str) -> bool {
    matches!(segment, "*" | "**")
}

fn is_name(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(fits)
}

/// The first 48 characters, in a form that a terminal shows as they are.
pub(super) fn cut(given: &str) -> String {
    let mut shown: String = given.chars().take(48).flat_map(char::escape_default).collect();
    if given.chars().nth(48).is_some() {
        shown.push('…');
    }
    shown
}
