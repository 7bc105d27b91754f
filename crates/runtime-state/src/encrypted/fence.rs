//! Owners' tokens, so that the store below can compare them and nobody can read them.
//!
//! A fence holds when the owner's cell begins with the token. So every encrypted cell begins with 16 bytes that follow
//! from its place and the first 16 bytes of its value, under a key of the store's own, and a fence asks for these.

use runtime_traits::store::{Fence, Key, LARGEST_SUM, Token};
use zeroize::Zeroizing;

use super::envelope::where_it_is;

pub(super) const LENGTH: usize = 16;

/// The key of a store's fences. It is drawn when the store is made, lies encrypted in its mark, and never changes: a
/// token stays comparable whatever keys came and went.
pub(super) struct FenceKey(Zeroizing<[u8; 32]>);

impl FenceKey {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What the cell at `key` begins with while it holds `value`.
    pub(super) fn prefix(&self, key: &Key, value: &[u8]) -> [u8; LENGTH] {
        // What is shorter than a token is no owner's.
        value.first_chunk().map_or([0; LENGTH], |token| self.hide(key, *token))
    }

    /// The fence as the store below has to check it.
    pub(super) fn below(&self, fence: Fence) -> Fence {
        let token = Token(self.hide(&fence.owner, fence.token.0));
        Fence { owner: fence.owner, token }
    }

    fn hide(&self, key: &Key, token: [u8; LENGTH]) -> [u8; LENGTH] {
        if is_number(&token) {
            // Numbers are in the clear, and what 16 bytes of one are, is one itself: it is compared as it is.
            return token;
        }
        let mut bytes = Vec::with_capacity(LENGTH + 32 + key.path.as_bytes().len());
        bytes.extend_from_slice(&token);
        where_it_is(&mut bytes, key.partition, &key.path);
        let hash = blake3::keyed_hash(&self.0, &bytes);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

/// Whether the value is a number as `Add` writes it: what the store below has to be able to add to.
pub(super) fn is_number(value: &[u8]) -> bool {
    let Some(digits) = std::str::from_utf8(value).ok().filter(|text| text.len() <= LENGTH + 1) else {
        return false;
    };
    let number = digits.parse::<i64>().ok().filter(|number| (-LARGEST_SUM..=LARGEST_SUM).contains(number));
    number.is_some_and(|number| number.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::{Partition, Pool};

    use super::*;

    fn key(path: &'static str) -> Key {
        Key::new(Partition { pool: Pool::MAIN, index: 17 }, path).unwrap()
    }

    #[test]
    fn a_token_is_hidden_in_the_same_way_for_ever() {
        let fences = FenceKey::new([0x22; 32]);
        let token: [u8; LENGTH] = std::array::from_fn(|n| n as u8);
        // Made with another implementation of BLAKE3.
        let golden = 0x4971_bad8_5a0f_3943_568f_d4f4_8c7e_2621_u128.to_be_bytes();
        let fence = fences.below(Fence { owner: key("own"), token: Token(token) });
        assert_eq!(fence.token.0, golden);
        assert_eq!(fences.prefix(&key("own"), &[&token[..], b"and more"].concat()), golden);
        assert_ne!(fences.prefix(&key("other"), &token), golden, "it tells nothing about other cells");
        assert_eq!(fences.prefix(&key("own"), &token[..15]), [0; LENGTH]);
    }

    #[test]
    fn numbers_are_what_add_writes() {
        for number in ["0", "7", "-7", "9007199254740992", "-9007199254740992"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in
            ["", "-", "-0", "+7", "007", "9007199254740993", "-9007199254740993", "7 ", "7.0", "seven"]
        {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }
}
