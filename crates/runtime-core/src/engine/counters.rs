//! Counters to which nothing can be added, and what is written instead. A store refuses the whole batch for one of them.

use std::collections::{BTreeMap, BTreeSet};

use runtime_codec::{CellSort, Whose, cell_sort};
use runtime_traits::store::{Key, LARGEST_SUM, Then};

use super::keys;

/// Why nothing can be added to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It holds no number.
    Damaged,
    /// The sum would be larger than any that a store keeps.
    Full,
}

/// What a counter says. `None`: it is damaged.
pub fn number(value: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    (-LARGEST_SUM..=LARGEST_SUM).contains(&number).then_some(number)
}

/// Why a counter that holds this takes no `by`, if it takes none.
pub fn refusal(value: Option<&[u8]>, by: i64) -> Option<Refusal> {
    let Some(before) = value.map_or(Some(0), number) else { return Some(Refusal::Damaged) };
    let sum = before.saturating_add(by);
    (!(-LARGEST_SUM..=LARGEST_SUM).contains(&sum)).then_some(Refusal::Full)
}

/// The counters that these writes add to, and how much.
pub fn added(then: &[Then]) -> BTreeMap<Key, i64> {
    let mut added: BTreeMap<Key, i64> = BTreeMap::new();
    for write in then {
        if let Then::Add(key, by) = write {
            let sum = added.entry(key.clone()).or_default();
            *sum = sum.saturating_add(*by);
        }
    }
    added
}

/// The same writes without additions to these counters. `None`: one of them is nothing that is known here.
///
/// A damaged counter of use stays as it is: nothing is let through under limits until somebody has seen to it, and what is used
/// from now on is counted beside it. One of bytes goes, and the agent's sum with it: they are counted anew from what is stored. A
/// full one stays full.
pub fn around(then: &[Then], refused: &BTreeMap<Key, Refusal>) -> Option<Vec<Then>> {
    let mut anew: BTreeSet<Key> = BTreeSet::new();
    let mut writes = Vec::with_capacity(then.len() + 1);
    for write in then {
        let (key, by) = match write {
            Then::Add(key, by) => (key, *by),
            other => {
                writes.push(other.clone());
                continue;
            }
        };
        match (refused.get(key), cell_sort(key)) {
            (None, _) => writes.push(Then::Add(key.clone(), by)),
            (Some(Refusal::Damaged), (CellSort::Usage, _)) => writes.push(Then::Add(keys::more(key)?, by)),
            (
                Some(Refusal::Damaged),
                (CellSort::Size, Whose { tenant: Some(tenant), agent: Some(agent), .. }),
            ) => anew.extend([key.clone(), keys::size(&tenant, &agent, keys::DAYS_BEFORE)]),
            (Some(Refusal::Full), _) => {
                let most = if by < 0 { -LARGEST_SUM } else { LARGEST_SUM };
                writes.push(Then::Put(key.clone(), most.to_string().into()));
            }
            (Some(_), _) => return None,
        }
    }
    writes.extend(anew.into_iter().map(Then::Delete));
    Some(writes)
}
