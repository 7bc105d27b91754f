//! Entropy that repeats itself.

use std::sync::{Mutex, PoisonError};

use runtime_traits::clock::Entropy;

use super::Chance;

/// An [`Entropy`] that follows from its seed.
///
/// # Examples
/// ```
/// use runtime_testkit::fakes::SeededEntropy;
/// use runtime_traits::clock::Entropy;
///
/// let (mut one, mut same) = ([0; 16], [0; 16]);
/// SeededEntropy::new(1).fill(&mut one);
/// SeededEntropy::new(1).fill(&mut same);
/// assert_eq!(one, same);
/// ```
#[derive(Debug)]
pub struct SeededEntropy(Mutex<Chance>);

impl SeededEntropy {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(Chance::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}
