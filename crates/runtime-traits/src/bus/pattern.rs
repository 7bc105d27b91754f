//! Patterns over topics.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::topic::{self, Topic, TopicError};

/// Which topics a subscription is about: a topic in which `*` stands for one segment, whatever it
/// is, and `**` in the last place for one segment or more.
///
/// # Examples
/// ```
/// use runtime_traits::bus::{Pattern, Topic};
///
/// let completed: Pattern = "agents/*/run.completed".parse()?;
/// assert!(completed.matches(&"agents/librarian/run.completed".parse()?));
/// assert!(!completed.matches(&"agents/librarian/run.failed".parse()?));
///
/// let all: Pattern = "agents/**".parse()?;
/// assert!(all.matches(&"agents/librarian/run.failed".parse()?));
/// assert!(!all.matches(&"agents".parse()?));
/// assert!(all.covers(&completed));
/// # Ok::<(), runtime_traits::bus::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The pattern of all topics.
    pub fn all() -> Self {
        Self("**".into())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, first to last.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The only topic that it is about, if it has no wildcard.
    pub fn as_topic(&self) -> Option<Topic> {
        (!self.segments().any(topic::is_wildcard)).then(|| Topic(Arc::clone(&self.0)))
    }

    /// Whether `topic` is one that the pattern is about.
    pub fn matches(&self, topic: &Topic) -> bool {
        // Most patterns are about one topic.
        *self.0 == *topic.0 || (self.0.contains('*') && self.includes(topic.segments()))
    }

    /// Whether it is about every topic that `other` is about.
    pub fn covers(&self, other: &Self) -> bool {
        self.includes(other.segments())
    }

    /// Whether there is a topic that both are about.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.segments(), other.segments());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                _ => return false,
            }
        }
    }

    /// Whether `segments`, in which wildcards may stand, are wholly within this pattern.
    fn includes<'a>(&self, mut segments: impl Iterator<Item = &'a str>) -> bool {
        for wanted in self.segments() {
            let Some(segment) = segments.next() else { return false };
            match (wanted, segment) {
                ("**", _) => return true,
                (_, "**") => return false,
                ("*", _) => {}
                (wanted, segment) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = TopicError;

    fn from_str(given: &str) -> Result<Self, TopicError> {
        topic::check(given)?;
        if given.rsplit('/').skip(1).any(|segment| segment == "**") {
            return Err(TopicError::Rest { given: topic::cut(given) });
        }
        Ok(Self(given.into()))
    }
}

impl TryFrom<&str> for Pattern {
    type Error = TopicError;

    fn try_from(given: &str) -> Result<Self, TopicError> {
        given.parse()
    }
}

impl From<Topic> for Pattern {
    /// The pattern of this one topic.
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
