//! Keys: named by reference, read once, shown nowhere.

use std::fmt;
use std::{env, fs};

use runtime_traits::Cause;

use crate::llm::error::SetupError;

/// What stands in a text where a key stood.
const HIDDEN: &str = "[key]";

/// A key. It cannot be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Reads what `reference` names: `env:NAME` or `file:PATH`. White space around a key is no part of it.
    ///
    /// # Errors
    /// [`SetupError::KeyReference`] and [`SetupError::Key`].
    pub fn read(reference: &str) -> Result<Self, SetupError> {
        let read = match reference.split_once(':') {
            Some(("env", name)) => env::var(name).map_err(|error| Cause::of(&error)),
            Some(("file", path)) => fs::read_to_string(path).map_err(|error| Cause::of(&error)),
            _ => return Err(SetupError::KeyReference),
        };
        let failed = |cause| SetupError::Key { reference: reference.to_owned(), cause };
        let key = read.map_err(failed)?.trim().to_owned();
        if key.is_empty() {
            return Err(failed(Cause::says("it is empty")));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed(Cause::says("it holds characters that no key has")));
        }
        Ok(Self(key))
    }

    /// The key itself, for the request that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The text without the key.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
