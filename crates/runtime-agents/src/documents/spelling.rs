//! Which word a misspelt one may be. Pure.

use std::collections::BTreeMap;

/// Letters of a word that may be misspelt once, and twice.
const ONE_SLIP: usize = 5;
const TWO_SLIPS: usize = 9;
/// Words that are looked at.
const COMPARED: usize = 2_000_000;

/// The word among `words` that `typed` most likely is: a slip or two away, and the most frequent of these.
pub(super) fn likely<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let typed: Vec<char> = typed.to_lowercase().chars().collect();
    let slips = match typed.len() {
        ..ONE_SLIP => return None,
        ONE_SLIP..TWO_SLIPS => 1,
        _ => 2,
    };
    let mut near: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for word in words.take(COMPARED) {
        let is_near_in_length = word.len().abs_diff(typed.len()) <= 2 * slips;
        if !is_near_in_length {
            continue;
        }
        let lower = word.to_lowercase();
        if let Some((_, count)) = near.get_mut(&lower) {
            *count += 1;
            continue;
        }
        let letters: Vec<char> = lower.chars().collect();
        // A first letter is rarely wrong, and other words are often only one letter away.
        if letters.first() != typed.first() {
            continue;
        }
        let distance = distance(&typed, &letters);
        if distance <= slips {
            near.insert(lower, (distance, 1));
        }
    }
    let best =
        near.into_iter().min_by(|(_, one), (_, other)| one.0.cmp(&other.0).then_with(|| other.1.cmp(&one.1)));
    best.map(|(word, _)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
fn distance(one: &[char], other: &[char]) -> usize {
    let width = other.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, b) in other.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            let is_swap = i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b;
            if is_swap {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row[j + 1] = least;
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_read_as_the_word_that_was_meant() {
        let words = || ["checkpoint", "checkpoints", "crash", "durability", "crash"].into_iter();
        assert_eq!(likely("chekpoint", words()).as_deref(), Some("checkpoint"));
        assert_eq!(likely("durabiltiy", words()).as_deref(), Some("durability"));
        assert_eq!(likely("carsh", words()).as_deref(), Some("crash"));
    }

    #[test]
    fn another_word_is_not_taken_for_a_slip() {
        let words = || ["trance", "redis", "held"].into_iter();
        assert_eq!(likely("France", words()), None);
        assert_eq!(likely("redux", words()), None);
        assert_eq!(likely("helm", words()), None);
    }
}
