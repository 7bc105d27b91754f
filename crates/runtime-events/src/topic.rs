//! Names of what events are about, and patterns over them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// What an event is about: 1 to 16 segments parted by `/`, at most 256 bytes in all.
///
/// A segment is `A-Z`, `a-z`, `0-9`, `.`, `_`, `:` and `-`, beginning with a letter or digit.
///
/// # Examples
/// ```
/// use runtime_events::Topic;
///
/// assert!("search_request".parse::<Topic>().is_ok());
/// assert!("agents/librarian/run.completed".parse::<Topic>().is_ok());
/// assert!("agents//run.completed".parse::<Topic>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// Which topics a subscription is about: a topic in which `*` stands for one segment, whatever it
/// is, and `**` in the last place for one segment or more.
///
/// # Examples
/// ```
/// use runtime_events::{Pattern, Topic};
///
/// let completed: Pattern = "agents/*/run.completed".parse()?;
/// assert!(completed.matches(&"agents/librarian/run.completed".parse()?));
/// assert!(!completed.matches(&"agents/librarian/run.failed".parse()?));
///
/// let all: Pattern = "agents/**".parse()?;
/// assert!(all.matches(&"agents/librarian/run.failed".parse()?));
/// assert!(!all.matches(&"agents".parse()?));
/// # Ok::<(), runtime_events::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// Why a text is no topic or no pattern. Long texts are shown cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
}

impl Pattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `topic` is one that the pattern is about.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut segments = topic.0.split('/');
        for wanted in self.0.split('/') {
            let Some(segment) = segments.next() else {
                return false;
            };
            match wanted {
                "**" => return true,
                "*" => {}
                wanted if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
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

impl FromStr for Pattern {
    type Err = TopicError;

    fn from_str(given: &str) -> Result<Self, TopicError> {
        check(given)?;
        if given.rsplit('/').skip(1).any(|segment| segment == "**") {
            return Err(TopicError::Rest { given: cut(given) });
        }
        Ok(Self(given.into()))
    }
}

impl From<Topic> for Pattern {
    /// The pattern of this one topic.
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What holds for topics and patterns alike.
fn check(given: &str) -> Result<(), TopicError> {
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

fn is_wildcard(segment: &str) -> bool {
    matches!(segment, "*" | "**")
}

fn is_name(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(fits)
}

/// The first 48 characters, in a form that a terminal shows as they are.
fn cut(given: &str) -> String {
    let mut shown: String = given.chars().take(48).flat_map(char::escape_default).collect();
    if given.chars().nth(48).is_some() {
        shown.push('…');
    }
    shown
}
