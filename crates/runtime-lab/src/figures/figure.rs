//! A figure: a value, what it is compared with, and the bar that it has to clear.

use serde::Serialize;

use super::spread::Spread;

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: Spread,
    pub(crate) unit: &'static str,
    /// Measured in the same run, in the same unit. `None`: this build does not have it.
    pub(crate) baseline: Option<Spread>,
    /// What the baseline is, in words.
    pub(crate) against: &'static str,
    pub(crate) bar: Bar,
    /// How often it was measured.
    pub(crate) n: u32,
}

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// At least this many times the baseline.
    RatioAtLeast(f64),
    /// At most this many times the baseline.
    RatioAtMost(f64),
    /// At most this, whatever the baseline is.
    AtMost(f64),
}

/// A figure as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Told<'a> {
    name: &'a str,
    value: Spread,
    unit: &'a str,
    baseline: Option<Spread>,
    against: &'a str,
    ratio: Option<f64>,
    bar: String,
    holds: Option<bool>,
    n: u32,
}

impl Figure {
    /// The value in units of the baseline.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.value.median / baseline.median)
    }

    /// Whether the bar is cleared. `None`: there is no baseline to tell.
    pub(crate) fn holds(&self) -> Option<bool> {
        match self.bar {
            Bar::RatioAtLeast(bar) => self.ratio().map(|ratio| ratio >= bar),
            Bar::RatioAtMost(bar) => self.ratio().map(|ratio| ratio <= bar),
            Bar::AtMost(bar) => Some(self.value.median <= bar),
        }
    }

    /// The bar in words: times the baseline, or in the figure's unit.
    pub(crate) fn bar(&self) -> String {
        match self.bar {
            Bar::RatioAtLeast(bar) => format!("≥ {bar} ×"),
            Bar::RatioAtMost(bar) => format!("≤ {bar} ×"),
            Bar::AtMost(bar) => format!("≤ {bar} {}", self.unit),
        }
    }

    pub(crate) fn told(&self) -> Told<'_> {
        Told {
            name: self.name,
            value: self.value,
            unit: self.unit,
            baseline: self.baseline,
            against: self.against,
            ratio: self.ratio(),
            bar: self.bar(),
            holds: self.holds(),
            n: self.n,
        }
    }
}

/// A number as people read it: no more digits than it is worth.
pub(crate) fn short(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, baseline: Option<f64>, bar: Bar) -> Figure {
        let (value, baseline) = (Spread::one(value), baseline.map(Spread::one));
        Figure { name: "x", value, unit: "s", baseline, against: "y", bar, n: 1 }
    }

    #[test]
    fn a_bar_holds_at_the_number_that_it_names() {
        assert_eq!(figure(3.0, Some(20.0), Bar::RatioAtLeast(0.15)).holds(), Some(true));
        assert_eq!(figure(2.9, Some(20.0), Bar::RatioAtLeast(0.15)).holds(), Some(false));
        assert_eq!(figure(21.0, Some(20.0), Bar::RatioAtMost(1.05)).holds(), Some(true));
        assert_eq!(figure(21.1, Some(20.0), Bar::RatioAtMost(1.05)).holds(), Some(false));
        assert_eq!(figure(300.0, Some(1.0), Bar::AtMost(300.0)).holds(), Some(true));
        assert_eq!(figure(301.0, None, Bar::AtMost(300.0)).holds(), Some(false));
    }

    #[test]
    fn without_a_baseline_nobody_can_tell() {
        assert_eq!(figure(3.0, None, Bar::RatioAtLeast(0.15)).holds(), None);
    }

    #[test]
    fn numbers_have_three_digits_or_all_before_the_point() {
        let shown = [123_456.7, 99.94, 9.994, 0.1234].map(short);
        assert_eq!(shown, ["123457", "99.9", "9.99", "0.123"]);
    }
}
