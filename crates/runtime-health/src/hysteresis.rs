//! What is shown of a check that flickers.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use runtime_traits::health::{Health, Verdict};

/// How many observations in a row it takes until what is shown turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Observations in a row that are worse than what is shown.
    pub bad: NonZeroU32,
    /// Observations in a row that are better than what is shown.
    pub good: NonZeroU32,
}

/// Shows a health that turns only when enough observations in a row agree.
///
/// It turns to the verdict that held through all of them: after two degraded observations and an
/// unhealthy one, `bad` being 3, it shows degraded. Before the first turn it shows
/// [`Verdict::Unknown`]. A plain value: it reads no clock.
#[derive(Clone, Debug)]
pub struct Hysteresis {
    thresholds: Thresholds,
    shown: Health,
    /// By verdict: what was last observed of it, and the two lengths of rows that end now.
    tracks: [Track; Verdict::ALL.len()],
}

/// A change of what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What was shown.
    pub from: Health,
    /// What is shown now.
    pub to: Health,
}

#[derive(Clone, Debug, Default)]
struct Track {
    reason: String,
    at_least_as_bad: u32,
    at_least_as_good: u32,
}

impl Hysteresis {
    /// A hysteresis that has observed nothing.
    pub fn new(thresholds: Thresholds) -> Self {
        let shown = Health::worst_of([]);
        let mut tracks: [Track; Verdict::ALL.len()] = Default::default();
        tracks[shown.verdict as usize].reason.clone_from(&shown.reason);
        Self { thresholds, shown, tracks }
    }

    /// What is shown.
    pub fn shown(&self) -> &Health {
        &self.shown
    }

    /// Takes in what a check has found, and says whether what is shown turned.
    ///
    /// A reason is always the latest of its verdict, also where the verdict stays.
    pub fn observe(&mut self, health: Health) -> Option<Turn> {
        for (verdict, track) in Verdict::ALL.into_iter().zip(&mut self.tracks) {
            extend(&mut track.at_least_as_bad, health.verdict >= verdict);
            extend(&mut track.at_least_as_good, health.verdict <= verdict);
        }
        self.tracks[health.verdict as usize].reason = health.reason;
        let held = self.held();
        let to = Health::new(held, self.tracks[held as usize].reason.clone());
        let from = std::mem::replace(&mut self.shown, to.clone());
        (from.verdict != to.verdict).then_some(Turn { from, to })
    }

    /// Shows this now, whatever was observed; says whether what is shown turned.
    pub fn show(&mut self, health: Health) -> Option<Turn> {
        let from = std::mem::replace(&mut self.shown, health.clone());
        (from.verdict != health.verdict).then_some(Turn { from, to: health })
    }

    /// The verdict that held through enough observations, or the one that is shown.
    fn held(&self) -> Verdict {
        let shown = self.shown.verdict;
        let [bad, good] = [self.thresholds.bad.get(), self.thresholds.good.get()];
        let tracks = || Verdict::ALL.into_iter().zip(&self.tracks);
        let worse = tracks().rev().find(|(verdict, row)| *verdict > shown && row.at_least_as_bad >= bad);
        let better = || tracks().find(|(verdict, row)| *verdict < shown && row.at_least_as_good >= good);
        worse.or_else(better).map_or(shown, |(verdict, _)| verdict)
    }
}

/// Lengthens a row, or ends it.
fn extend(row: &mut u32, goes_on: bool) {
    *row = if goes_on { row.saturating_add(1) } else { 0 };
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::collection::vec;
    use proptest::prelude::{Strategy, proptest};

    use super::{Hysteresis, Thresholds, Turn};
    use runtime_traits::health::{Health, Verdict};

    fn thresholds(bad: u32, good: u32) -> Thresholds {
        let count = |n| NonZeroU32::new(n).unwrap();
        Thresholds { bad: count(bad), good: count(good) }
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        (0..Verdict::ALL.len()).prop_map(|index| Verdict::ALL[index])
    }

    /// What is shown after all of `seen`, straight from the definition.
    fn model(bad: usize, good: usize, seen: &[Verdict]) -> Verdict {
        let mut shown = Verdict::Unknown;
        for end in 1..=seen.len() {
            let last = |n: usize| end.checked_sub(n).map(|start| &seen[start..end]);
            let mildest = last(bad).and_then(|row| row.iter().min());
            let worst = last(good).and_then(|row| row.iter().max());
            if let Some(verdict) = mildest.filter(|verdict| **verdict > shown) {
                shown = *verdict;
            } else if let Some(verdict) = worst.filter(|verdict| **verdict < shown) {
                shown = *verdict;
            }
        }
        shown
    }

    proptest! {
        #[test]
        fn it_shows_what_held_through_the_last_observations(
            bad in 1_u32..5,
            good in 1_u32..5,
            seen in vec(verdict(), 0..40),
        ) {
            let mut hysteresis = Hysteresis::new(thresholds(bad, good));

            for (index, verdict) in seen.iter().enumerate() {
                let before = hysteresis.shown().clone();
                let turn = hysteresis.observe(Health::new(*verdict, index.to_string()));

                let shown = hysteresis.shown();
                assert_eq!(shown.verdict, model(bad as usize, good as usize, &seen[..=index]));
                let turned = shown.verdict != before.verdict;
                assert_eq!(turn, turned.then(|| Turn { from: before, to: shown.clone() }));
                let last = seen[..=index].iter().rposition(|v| *v == shown.verdict);
                let first = "no check has run".to_owned();
                assert_eq!(shown.reason, last.map_or(first, |last| last.to_string()));
            }
        }
    }

    #[test]
    fn one_bad_answer_between_good_ones_turns_nothing() {
        let mut hysteresis = Hysteresis::new(thresholds(2, 1));
        hysteresis.observe(Health::HEALTHY);

        for _ in 0..10 {
            assert_eq!(hysteresis.observe(Health::new(Verdict::Unhealthy, "no answer")), None);
            assert_eq!(hysteresis.observe(Health::HEALTHY), None);
        }

        assert_eq!(hysteresis.shown(), &Health::HEALTHY);
    }

    #[test]
    fn a_mixed_row_turns_to_the_mildest_of_it() {
        let mut hysteresis = Hysteresis::new(thresholds(3, 1));

        hysteresis.observe(Health::new(Verdict::Degraded, "slow"));
        hysteresis.observe(Health::new(Verdict::Degraded, "slower"));
        let turn = hysteresis.observe(Health::new(Verdict::Unhealthy, "no answer"));

        assert_eq!(turn.unwrap().to, Health::new(Verdict::Degraded, "slower"));
    }
}
