//! How many tokens a request has, before the provider says.

use std::collections::BTreeMap;

/// Estimates the tokens that a model will bill for what it reads: a token for three bytes and a tenth more, and more than that where
/// the model has billed more.
///
/// The factor of a model only grows: what was once billed may be billed again. (No tokenizer is asked: providers count what no
/// tokenizer sees, as tools, images and their own frames.)
///
/// # Examples
/// ```
/// use runtime_resources::Estimator;
///
/// let mut estimator = Estimator::default();
/// assert_eq!(estimator.input("openai/gpt-4o", 3_000), 1_100);
/// estimator.learn("openai/gpt-4o", 3_000, 2_200); // twice as many
/// assert_eq!(estimator.input("openai/gpt-4o", 300), 220);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimator {
    /// By how much more than the plain estimate each model has billed at most; those that did not are not here.
    factors: BTreeMap<String, f64>,
}

/// Requests below this are not learnt from: a frame of some tokens is a large part of a small request.
const TELLING: u64 = 256;

impl Estimator {
    /// How many tokens a request of so many bytes has at most, as far as is known.
    pub fn input(&self, model: &str, bytes: u64) -> u64 {
        self.corrected(model, plain(bytes))
    }

    /// A plain estimate in tokens, corrected by what the model has billed.
    pub fn corrected(&self, model: &str, estimated: u64) -> u64 {
        match self.factors.get(model) {
            // Within 2^53, where each count is exact; beyond it no model reads.
            Some(factor) => (estimated as f64 * factor).ceil() as u64,
            None => estimated,
        }
    }

    /// Takes note of what a model billed for a request of so many bytes.
    pub fn learn(&mut self, model: &str, bytes: u64, billed: u64) {
        self.learn_of(model, plain(bytes), billed);
    }

    /// Takes note of what a model billed for a request that was plainly estimated as so many tokens.
    pub fn learn_of(&mut self, model: &str, estimated: u64, billed: u64) {
        let estimated = estimated.max(plain(TELLING));
        let factor = billed as f64 / estimated as f64;
        if factor > self.factors.get(model).copied().unwrap_or(1.0) {
            self.factors.insert(model.to_owned(), factor);
        }
    }
}

/// A token for three bytes, and a tenth more.
fn plain(bytes: u64) -> u64 {
    bytes.saturating_mul(11).div_ceil(30)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::proptest;

    use super::{Estimator, TELLING};

    proptest! {
        #[test]
        fn what_was_billed_once_is_never_estimated_lower_again(
            calls in vec((0..100_000_u64, 0..300_000_u64), 1..40),
        ) {
            let mut estimator = Estimator::default();
            for (bytes, billed) in &calls {
                estimator.learn("a/b", *bytes, *billed);
            }
            for (bytes, billed) in &calls {
                if *bytes >= TELLING {
                    assert!(estimator.input("a/b", *bytes) >= *billed, "{bytes} bytes were billed as {billed}");
                }
            }
            assert_eq!(estimator.input("a/c", 30), 11);
        }
    }

    #[test]
    fn a_small_request_tells_little() {
        let mut estimator = Estimator::default();
        estimator.learn("a/b", 3, 90);

        assert_eq!(estimator.input("a/b", 3_000), 1_100);
    }
}
