//! What is said about an event beside its data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names with values, carried along with an event: `traceparent` of the W3C, and what users add.
///
/// A name is 1 to 20 of `a-z` and `0-9`, as CloudEvents asks of extensions; a value has at most 1,024 bytes; an event
/// has at most 32 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Headers(BTreeMap<String, String>);

/// A header that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderError {
    /// Its name is none.
    #[error(
        "`{name}` names no header: use 1 to 20 of a-z and 0-9, and no name that CloudEvents or this bus has taken"
    )]
    Name {
        /// The name, cut.
        name: String,
    },
    /// Its value is too long or has control characters.
    #[error(
        "the value of the header `{name}` is none: use at most {} bytes without control characters",
        Headers::VALUE
    )]
    Value {
        /// The header.
        name: String,
    },
    /// There are too many.
    #[error("an event has at most {} headers", Headers::COUNT)]
    Count,
    /// A `traceparent` is none.
    #[error("`{given}` is no traceparent: use 00-<32 hexadecimal digits>-<16>-<2>, not all zero")]
    Traceparent {
        /// What was given, cut.
        given: String,
    },
}

/// What an attribute of a CloudEvent is named that is no header.
const TAKEN: [&str; 15] = [
    "id",
    "source",
    "type",
    "specversion",
    "time",
    "data",
    "subject",
    "dataschema",
    "datacontenttype",
    "tenant",
    "run",
    "causationid",
    "correlationid",
    "hops",
    "replyto",
];

impl Headers {
    /// How many an event may have.
    pub const COUNT: usize = 32;
    /// How many bytes a value may have.
    pub const VALUE: usize = 1_024;

    /// Sets a header.
    ///
    /// # Errors
    /// [`HeaderError`], which says what is wrong with it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), HeaderError> {
        let value = value.into();
        check(name, &value)?;
        if self.0.len() >= Self::COUNT && !self.0.contains_key(name) {
            return Err(HeaderError::Count);
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a header away, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes their names and values have.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = HeaderError;

    fn try_from(given: BTreeMap<String, String>) -> Result<Self, HeaderError> {
        if given.len() > Self::COUNT {
            return Err(HeaderError::Count);
        }
        given.iter().try_for_each(|(name, value)| check(name, value))?;
        Ok(Self(given))
    }
}

fn check(name: &str, value: &str) -> Result<(), HeaderError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !(1..=20).contains(&name.len()) || !name.bytes().all(fits) || TAKEN.contains(&name) {
        return Err(HeaderError::Name { name: super::topic::cut(name) });
    }
    if value.len() > Headers::VALUE || value.chars().any(char::is_control) {
        return Err(HeaderError::Value { name: name.to_owned() });
    }
    if name == "traceparent" && !is_traceparent(value) {
        return Err(HeaderError::Traceparent { given: super::topic::cut(value) });
    }
    Ok(())
}

/// Version 00 of W3C Trace Context.
fn is_traceparent(value: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    match value.split('-').collect::<Vec<_>>()[..] {
        ["00", trace, parent, flags] => {
            hex(trace, 32) && some(trace) && hex(parent, 16) && some(parent) && hex(flags, 2)
        }
        _ => false,
    }
}
