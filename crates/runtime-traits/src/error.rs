//! The text of an error and of its sources, for errors that cross a process boundary.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something failed, as a chain of sentences joined by `: `.
///
/// An error of a contract can travel over HTTP and be compared in tests; a boxed driver error can do neither. `Cause`
/// keeps what the driver's error and its sources said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause(String);

impl Cause {
    /// Takes the text of `error` and of all its sources.
    pub fn of(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let said = source.to_string();
            // Some errors print their source themselves; saying it twice helps nobody.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            next = source.source();
        }
        Self(text)
    }

    /// States a cause that is no error of anybody's.
    pub fn says(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}
