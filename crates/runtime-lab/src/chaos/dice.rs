//! Numbers from a seed: the same seed gives the same numbers.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Numbers from a seed, by SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of `what`, under a seed.
    pub(super) fn of(seed: u64, what: impl Hash) -> Self {
        // A hasher without keys: the same in every process.
        let mut hasher = DefaultHasher::new();
        (seed, what).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Any number.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// Whether it is the one case in `n`.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    /// One of them.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[(self.roll() % of.len() as u64) as usize]
    }

    /// Brings them into some order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.between(0, at as u64) as usize;
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
        let rolls = |seed, what| {
            let mut dice = Dice::of(seed, what);
            [dice.roll(), dice.roll(), dice.between(3, 9)]
        };

        assert_eq!(rolls(7, "scripts"), rolls(7, "scripts"));
        assert_ne!(rolls(7, "scripts"), rolls(8, "scripts"));
        assert_ne!(rolls(7, "scripts"), rolls(7, "rounds"));
        assert!((3..=9).contains(&rolls(7, "scripts")[2]));
    }

    #[test]
    fn a_shuffle_keeps_what_it_was_given() {
        let mut items: Vec<u32> = (0..50).collect();

        Dice::of(1, "order").shuffle(&mut items);

        assert_ne!(items, (0..50).collect::<Vec<u32>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<u32>>());
    }
}
