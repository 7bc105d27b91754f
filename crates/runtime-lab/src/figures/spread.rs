//! Some measurements of one thing.

use serde::{Deserialize, Serialize};

/// The median of some measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (middle, last) = (values.len() / 2, values.len().saturating_sub(1));
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let median = if values.len().is_multiple_of(2) {
            (at(middle) + at(middle.saturating_sub(1))) / 2.0
        } else {
            at(middle)
        };
        Self { median, min: at(0), max: at(last) }
    }

    /// Of one measurement.
    pub(crate) fn one(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_ends_are_the_ends() {
        let odd = Spread::of(vec![5.0, 1.0, 9.0, 3.0, 2.0]);
        assert_eq!(odd, Spread { median: 3.0, min: 1.0, max: 9.0 });
        let even = Spread::of(vec![4.0, 1.0, 2.0, 8.0]);
        assert_eq!(even, Spread { median: 3.0, min: 1.0, max: 8.0 });
        assert_eq!(Spread::of(vec![7.0]), Spread::one(7.0));
    }
}
