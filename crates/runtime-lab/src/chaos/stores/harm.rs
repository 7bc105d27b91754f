//! What is done to a copy of a store's files.

use std::fmt;
use std::path::PathBuf;

use super::files::Files;
use crate::chaos::dice::Dice;

/// What pages are taken to be.
const PAGE: u64 = 4096;
/// Where a file tells about itself: hit more often than its share.
const HEAD: u64 = 8192;

/// What is done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Harm {
    pub(super) file: PathBuf,
    pub(super) how: How,
}

/// How a file is damaged; offsets and lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It ends here.
    Truncated { at: u64 },
    /// One bit is another one.
    Flipped { at: u64, bit: u8 },
    /// A range is zero.
    Zeroed { at: u64, len: u64 },
    /// Two pages have changed places.
    Swapped { a: u64, b: u64 },
}

impl Harm {
    /// Damages one of `files`, so that it is no longer what it was; larger ones more often.
    pub(super) fn inflict(dice: &mut Dice, files: &mut Files) -> Self {
        loop {
            let harm = Self::choose(dice, files);
            let content = files.contents.get_mut(&harm.file).expect("one of them was chosen");
            let before = content.clone();
            harm.how.apply(content);
            if *content != before {
                return harm;
            }
        }
    }

    fn choose(dice: &mut Dice, files: &Files) -> Self {
        let size: u64 = files.contents.values().map(|content| content.len() as u64).sum();
        let mut place = dice.between(0, size.max(1) - 1);
        for (file, content) in &files.contents {
            let len = content.len() as u64;
            if place < len {
                if dice.one_in(6) {
                    place %= HEAD.min(len);
                }
                return Self { file: file.clone(), how: How::choose(dice, place, len) };
            }
            place -= len;
        }
        let file = files.contents.keys().next().expect("a store has files").clone();
        Self { file, how: How::Flipped { at: 0, bit: 0 } }
    }
}

impl How {
    fn choose(dice: &mut Dice, at: u64, len: u64) -> Self {
        match dice.between(0, 7) {
            0 => Self::Truncated { at },
            1..=3 => Self::Flipped { at, bit: dice.between(0, 7) as u8 },
            4 | 5 if dice.one_in(2) => Self::Zeroed { at: at / PAGE * PAGE, len: PAGE },
            4 | 5 => Self::Zeroed { at, len: dice.between(1, 2 * PAGE) },
            _ => {
                Self::Swapped { a: at / PAGE * PAGE, b: dice.between(0, len.saturating_sub(1) / PAGE) * PAGE }
            }
        }
    }

    /// The word for it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Flipped { .. } => "flipped",
            Self::Zeroed { .. } => "zeroed",
            Self::Swapped { .. } => "swapped",
        }
    }

    fn apply(self, content: &mut Vec<u8>) {
        let end = |at: u64, len: u64| ((at + len) as usize).min(content.len());
        match self {
            Self::Truncated { at } => content.truncate(at as usize),
            Self::Flipped { at, bit } => {
                if let Some(byte) = content.get_mut(at as usize) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Zeroed { at, len } => {
                let end = end(at, len);
                content[at as usize..end].fill(0);
            }
            Self::Swapped { a, b } => {
                let whole = end(a, PAGE) as u64 == a + PAGE && end(b, PAGE) as u64 == b + PAGE;
                if whole && a != b {
                    let page = content[a as usize..][..PAGE as usize].to_vec();
                    content.copy_within(b as usize..(b + PAGE) as usize, a as usize);
                    content[b as usize..][..PAGE as usize].copy_from_slice(&page);
                }
            }
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {:?}", self.file.display(), self.how)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Dice, Files, Harm};

    #[test]
    fn every_harm_changes_something_and_all_sorts_come() {
        let content: Vec<u8> = (0..40_000u32).map(|n| (n / 13) as u8).collect();
        let files =
            Files { contents: [("a".into(), content), ("b".into(), vec![1])].into(), ..Files::default() };
        let mut sorts = BTreeSet::new();

        for nth in 0..300 {
            let mut harmed = files.clone();
            let harm = Harm::inflict(&mut Dice::of(1, nth), &mut harmed);
            assert_ne!(harmed, files, "{harm}");
            sorts.insert(harm.how.kind());
        }

        assert_eq!(sorts.len(), 4);
    }
}
