//! Random bytes for what this crate mints itself: nonces, keys of fences, ids of batches.

use runtime_traits::store::BatchId;

/// Bytes that nobody can guess and that never come twice.
///
/// Not by `Entropy`: tests put seeded ones in its place, and a nonce that comes twice gives two values away.
#[expect(clippy::disallowed_methods, reason = "a nonce from a seeded source would come twice")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("Linux gives random bytes once it has booted");
    bytes
}

/// The id of a new batch.
pub(crate) fn batch_id() -> BatchId {
    BatchId(u128::from_le_bytes(bytes()))
}
