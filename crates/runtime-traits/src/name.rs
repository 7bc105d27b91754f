//! Names that people give: of tenants, agents, sessions, steps, kinds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A name that does not follow its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("`{given}` is no name of {} {what}: use {rule}", article(.what))]
pub struct NameError {
    what: String,
    given: String,
    rule: String,
}

impl NameError {
    /// Says that `given` cannot name a `what`, and the rule that it breaks. A long name is shown cut.
    pub fn new(what: &str, given: &str, rule: &str) -> Self {
        let mut shown: String = given.chars().take(48).flat_map(char::escape_default).collect();
        if shown.len() < given.len() {
            shown.push('…');
        }
        Self { what: what.to_owned(), given: shown, rule: rule.to_owned() }
    }
}

fn article(what: &str) -> &'static str {
    if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

const RULE: &str = "1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";

fn follows_rule(s: &str) -> bool {
    let bytes = s.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// [`NameError`] when it is not `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                if follows_rule(name) { Ok(Self(name.into())) } else { Err(NameError::new($what, name, RULE)) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(s: &str) -> Result<Self, NameError> {
                Self::new(s)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(&name).map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of an agent, a kind, a step or a scope: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    ///
    /// ```
    /// use runtime_traits::Name;
    /// assert!(Name::new("librarian").is_ok());
    /// assert!(Name::new("../x").is_err());
    /// ```
    Name, "agent, kind or step"
}
name! {
    /// Whose agents, sessions and limits these are. Set by a credential or the fleet file only.
    Tenant, "tenant"
}
name! {
    /// The name of a session of an agent.
    SessionName, "session"
}

impl Name {
    /// The form under which the name is unique: without regard to case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for SessionName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// The key under which a caller may ask for the same run again: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// Checks and takes a key.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than 128 bytes, or holds anything but visible ASCII.
    pub fn new(key: impl AsRef<str>) -> Result<Self, NameError> {
        let key = key.as_ref();
        if (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(key.into()))
        } else {
            Err(NameError::new("request (Idempotency-Key)", key, "1 to 128 visible ASCII characters"))
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for IdempotencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&key).map_err(de::Error::custom)
    }
}
