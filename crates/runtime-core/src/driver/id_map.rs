//! Maps by id.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by id. An id's last bits are random and nobody chooses them, so they need no defence against a chooser.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Takes the random bits of an id as they are.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        match <[u8; 16]>::try_from(bytes) {
            Ok(id) => self.write_u128(u128::from_be_bytes(id)),
            Err(_) => bytes.iter().for_each(|byte| self.write_u128(u128::from(*byte))),
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length of an id, which is always the same.
    }

    fn write_u128(&mut self, id: u128) {
        // The upper bits of a UUID's lower half are fixed; the multiplication spreads the random ones over all.
        self.0 = (self.0 ^ id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
