//! A set of places, as ranges.

use std::collections::BTreeMap;

/// A set of places, as ranges that do not touch: first place to last place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(BTreeMap<u64, u64>);

impl Places {
    pub(super) fn insert(&mut self, mut first: u64, mut last: u64) {
        if let Some((&before, &end)) = self.0.range(..=first).next_back()
            && end + 1 >= first
        {
            first = before;
            last = last.max(end);
        }
        while let Some((&start, &end)) = self.0.range(first..=last.saturating_add(1)).next() {
            self.0.remove(&start);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    pub(super) fn contains(&self, place: u64) -> bool {
        self.0.range(..=place).next_back().is_some_and(|(_, last)| *last >= place)
    }

    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last)).collect()
    }

    /// Takes out all that is before `place`.
    pub(super) fn forget_before(&mut self, place: u64) {
        let kept = self.0.split_off(&place);
        let reaches = self.0.last_key_value().map(|(_, last)| *last).filter(|last| *last >= place);
        self.0 = kept;
        if let Some(last) = reaches {
            self.0.insert(place, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::proptest;

    use super::*;

    proptest! {
        #[test]
        fn it_has_what_was_put_in_and_its_ranges_do_not_touch(given in vec((1..60_u64, 0..8_u64), 0..40)) {
            let (mut places, mut model) = (Places::default(), BTreeSet::new());
            for (first, more) in given {
                places.insert(first, first + more);
                model.extend(first..=first + more);
            }
            for place in 0..80 {
                assert_eq!(places.contains(place), model.contains(&place), "{place}");
            }
            for pair in places.ranges().windows(2) {
                assert!(pair[0].1 + 1 < pair[1].0, "{pair:?}");
            }
            for from in 0..80 {
                let mut rest = places.clone();
                rest.forget_before(from);
                for place in 0..80 {
                    assert_eq!(rest.contains(place), place >= from && model.contains(&place), "{place}");
                }
            }
        }
    }
}
