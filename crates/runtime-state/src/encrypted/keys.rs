//! Keys by their ids, read by reference, shown nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::{env, fs};

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use runtime_traits::error::Cause;
use thiserror::Error;
use zeroize::Zeroizing;

/// The number of a key. It stands in the clear in every value that the key encrypts.
pub type KeyId = u32;

/// Why keys cannot be had. None of it shows a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// What was given says nowhere where the keys are. It may be a key, so it is not shown.
    #[error(
        "keys are given by reference: `file:PATH` or `env:NAME`; what was given is neither and is not shown"
    )]
    Reference,
    /// What the reference names cannot be read.
    #[error("the keys `{reference}` cannot be read: see that it is there and this user may read it: {cause}")]
    Unreadable {
        /// The reference.
        reference: String,
        /// What the system said.
        cause: Cause,
    },
    /// A line is no key.
    #[error(
        "line {line} of the keys is none: write the key's number, a space, and its 32 bytes as 64 hexadecimal digits"
    )]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Two keys have one number.
    #[error(
        "two keys have the number {id}: give the newer one another number, and keep the older one as it is"
    )]
    Twice {
        /// The number.
        id: KeyId,
    },
    /// There is no key at all.
    #[error(
        "there is no key: write at least one line with a key's number, a space, and 64 hexadecimal digits"
    )]
    Empty,
}

/// The keys of a store: one that writes, and those that older values need. Clones share them.
///
/// A file or a variable holds one key to a line (or between commas): a number, a space, and 32 bytes as 64 hexadecimal
/// digits. The first one writes. What follows `#` is a remark.
///
/// ```
/// use runtime_state::KeyRing;
///
/// let ring = KeyRing::parse(&format!("2 {} # since May\n1 {}\n", "5e".repeat(32), "a1".repeat(32)))?;
/// assert_eq!(format!("{ring:?}"), "KeyRing { writing: 2, all: [1, 2] }");
/// # Ok::<(), runtime_state::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    /// Ciphers wipe their keys when they go.
    keys: Arc<BTreeMap<KeyId, XChaCha20Poly1305>>,
    writing: KeyId,
}

impl KeyRing {
    /// Reads the keys that `reference` names: `file:PATH` or `env:NAME`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(reference: &str) -> Result<Self, KeyError> {
        let read = match reference.split_once(':') {
            Some(("env", name)) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => Cause::says("the variable is not set"),
                // The error of its own would show what is in it.
                env::VarError::NotUnicode(_) => Cause::says("the variable holds no text"),
            }),
            Some(("file", path)) => fs::read_to_string(path).map_err(|error| Cause::of(&error)),
            _ => return Err(KeyError::Reference),
        };
        let unreadable = |cause| KeyError::Unreadable { reference: reference.to_owned(), cause };
        Self::parse(&Zeroizing::new(read.map_err(unreadable)?))
    }

    /// Reads keys from a text.
    ///
    /// # Errors
    /// [`KeyError::Line`], [`KeyError::Twice`] and [`KeyError::Empty`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        let mut writing = None;
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default();
            for key in line.split(',').map(str::trim).filter(|key| !key.is_empty()) {
                let (id, key) = key_in(key).ok_or(KeyError::Line { line: number })?;
                if keys.insert(id, XChaCha20Poly1305::new(&(*key).into())).is_some() {
                    return Err(KeyError::Twice { id });
                }
                writing.get_or_insert(id);
            }
        }
        Ok(Self { keys: Arc::new(keys), writing: writing.ok_or(KeyError::Empty)? })
    }

    /// The number of the key that writes.
    pub fn writing_key(&self) -> KeyId {
        self.writing
    }

    /// The numbers of all keys, in their order.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.keys().copied()
    }

    pub(super) fn cipher(&self, id: KeyId) -> Option<&XChaCha20Poly1305> {
        self.keys.get(&id)
    }

    pub(super) fn writing(&self) -> (KeyId, &XChaCha20Poly1305) {
        (self.writing, self.cipher(self.writing).expect("the key that writes is one of the ring"))
    }
}

fn key_in(text: &str) -> Option<(KeyId, Zeroizing<[u8; 32]>)> {
    let (id, hex) = text.split_once(char::is_whitespace)?;
    let hex = hex.trim().as_bytes();
    let mut key = Zeroizing::new([0; 32]);
    if hex.len() != 2 * key.len() {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
    }
    Some((id.parse().ok()?, key))
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<KeyId> = self.ids().collect();
        f.debug_struct("KeyRing").field("writing", &self.writing).field("all", &all).finish()
    }
}
