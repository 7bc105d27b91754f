//! How many tokens a request has, before the provider says.

use std::collections::BTreeMap;

/// Estimates the tokens that a model will bill for what it reads: a token for three bytes and a tenth more, and more than that where
/// the model has billed more.
///
/// What a small request was billed more is taken for a frame, which each request has and which is as large for all: its tools, say,
/// and what the provider says beside it. What a large one was billed more is taken for a factor. Both only grow, since what was
/// once billed may be billed again, and neither without end: no tokenizer makes more than a token of each byte. (No tokenizer is asked:
/// providers count what no tokenizer sees.)
///
/// # Examples
/// ```
/// use runtime_resources::Estimator;
///
/// let mut estimator = Estimator::default();
/// assert_eq!(estimator.input("openai/gpt-4o", 6_000), 2_200);
/// estimator.learn("openai/gpt-4o", 6_000, 4_400); // twice as many
/// assert_eq!(estimator.input("openai/gpt-4o", 300), 220);
/// estimator.learn("openai/gpt-4o", 300, 520); // 300 more than was thought
/// assert_eq!(estimator.input("openai/gpt-4o", 6_000), 4_700);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimator {
    /// What each model has billed at most beyond the plain estimate; those that did not are not here.
    models: BTreeMap<String, Beyond>,
}

/// What a model bills beyond the plain estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Beyond {
    /// Tokens of each request.
    frame: u64,
    factor: f64,
}

/// Requests below this tell of the frame, the others of the factor: a frame is a small part of them.
const LARGE: u64 = 4_096;
/// More tokens than that are no frame.
const LARGEST_FRAME: u64 = 4_096;
/// A token of each byte.
const LARGEST_FACTOR: f64 = 30.0 / 11.0;

impl Estimator {
    /// How many tokens a request of so many bytes has at most, as far as is known.
    pub fn input(&self, model: &str, bytes: u64) -> u64 {
        self.corrected(model, plain(bytes))
    }

    /// A plain estimate in tokens, corrected by what the model has billed.
    pub fn corrected(&self, model: &str, estimated: u64) -> u64 {
        self.models
            .get(model)
            .map_or(estimated, |beyond| beyond.scaled(estimated).saturating_add(beyond.frame))
    }

    /// Takes note of what a model billed for a request of so many bytes.
    pub fn learn(&mut self, model: &str, bytes: u64, billed: u64) {
        self.learn_of(model, plain(bytes), billed);
    }

    /// Takes note of what a model billed for a request that was plainly estimated as so many tokens. One that was not estimated tells
    /// nothing.
    pub fn learn_of(&mut self, model: &str, estimated: u64, billed: u64) {
        if estimated == 0 || billed <= self.corrected(model, estimated) {
            return;
        }
        let beyond = self.models.entry(model.to_owned()).or_insert(Beyond { frame: 0, factor: 1.0 });
        if estimated < plain(LARGE) {
            let frame = billed.saturating_sub(beyond.scaled(estimated));
            beyond.frame = frame.clamp(beyond.frame, LARGEST_FRAME);
        } else {
            let factor = billed.saturating_sub(beyond.frame) as f64 / estimated as f64;
            beyond.factor = factor.clamp(beyond.factor, LARGEST_FACTOR);
        }
    }
}

impl Beyond {
    fn scaled(self, estimated: u64) -> u64 {
        // Within 2^53, where each count is exact; beyond it no model reads.
        (estimated as f64 * self.factor).ceil() as u64
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

    use super::{Estimator, LARGE, LARGEST_FRAME, plain};

    proptest! {
        #[test]
        fn what_was_billed_once_is_never_estimated_lower_again_up_to_a_token_of_each_byte_and_a_frame(
            calls in vec((0..100_000_u64, 0..300_000_u64), 1..40),
        ) {
            let mut estimator = Estimator::default();
            for (bytes, billed) in &calls {
                estimator.learn("a/b", *bytes, *billed);
            }
            for (bytes, billed) in &calls {
                let is_small = plain(*bytes) < plain(LARGE);
                let most = if is_small { plain(*bytes) + LARGEST_FRAME } else { plain(*bytes) * 30 / 11 };
                let estimated = estimator.input("a/b", *bytes);
                if *bytes > 0 {
                    assert!(estimated >= *billed.min(&most), "{bytes} bytes were billed as {billed}");
                }
                assert!(estimated <= plain(*bytes) * 30 / 11 + 1 + LARGEST_FRAME, "{bytes}: {estimated}");
            }
            assert_eq!(estimator.input("a/c", 30), 11);
        }
    }

    #[test]
    fn a_small_request_tells_of_the_frame_and_of_no_factor() {
        let mut estimator = Estimator::default();
        // 300 bytes, and the tools that the provider describes.
        estimator.learn("a/b", 300, 456);

        assert_eq!(estimator.input("a/b", 150_000), 55_346);
    }

    #[test]
    fn what_was_not_estimated_tells_nothing() {
        let mut estimator = Estimator::default();
        estimator.learn_of("a/b", 0, 3_000);

        assert_eq!(estimator, Estimator::default());
    }
}
