//! Whether a batch applies, as a pure function of the batch and of what the store holds.
//!
//! Everything that can refuse a batch is decided here, before its first write. So no store needs to undo anything.

use runtime_traits::guard::Guard;
use runtime_traits::store::{Batch, Key, LARGEST_SUM, Path, Revision, Seq, StateError, Then, When};

/// What a store holds, as the step that writes sees it.
pub(crate) trait View {
    /// A refusal, or the store's own trouble.
    type Error: From<StateError>;

    /// Shows the cell at `path` to `look`.
    fn cell<R>(
        &self,
        path: &Path,
        look: impl FnOnce(Option<(Revision, &[u8])>) -> R,
    ) -> Result<R, Self::Error>;

    /// Where the log at `path` begins and ends.
    fn extent(&self, path: &Path) -> Result<Extent, Self::Error>;
}

/// Where a log begins, and where its next entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Seq,
    pub(crate) next: Seq,
}

impl Extent {
    /// The extent of a log that was never written.
    pub(crate) const NEW: Self = Self { first: Seq::FIRST, next: Seq::FIRST };
}

/// Refuses the batch, or answers what each of its `Add`s makes of its cell, in their order.
pub(crate) fn decide<V: View>(batch: &Batch, view: &V) -> Result<Vec<i64>, V::Error> {
    if let Some(fence) = &batch.fence {
        let owned = view.cell(&fence.owner.path, |cell| {
            cell.is_some_and(|(_, value)| value.starts_with(&fence.token.0))
        })?;
        if !owned && Guard::Fence.holds() {
            return Err(StateError::Fenced.into());
        }
    }
    for (condition, when) in batch.when.iter().enumerate() {
        if !holds(when, view)? && Guard::Conditions.holds() {
            return Err(StateError::Conflict { condition }.into());
        }
    }
    sums(&batch.then, view)
}

fn holds<V: View>(when: &When, view: &V) -> Result<bool, V::Error> {
    match when {
        When::Absent(key) => view.cell(&key.path, |cell| cell.is_none()),
        When::Revision(key, revision) => {
            view.cell(&key.path, |cell| cell.is_some_and(|(found, _)| found == *revision))
        }
        When::Next(log, next) => Ok(view.extent(&log.path)?.next == *next),
        When::BacklogBelow(log, limit) => {
            let Extent { first, next } = view.extent(&log.path)?;
            Ok(next.0 - first.0 < u64::from(*limit))
        }
    }
}

fn sums<V: View>(then: &[Then], view: &V) -> Result<Vec<i64>, V::Error> {
    let mut sums = Vec::new();
    for (place, write) in then.iter().enumerate() {
        let Then::Add(key, by) = write else { continue };
        let before = match earlier(&then[..place], key, &sums) {
            Some(known) => known?,
            None => view.cell(&key.path, |cell| cell.map_or(Ok(0), |(_, value)| number(key, value)))??,
        };
        let sum = before.checked_add(*by).filter(|sum| (-LARGEST_SUM..=LARGEST_SUM).contains(sum));
        let Some(sum) = sum else {
            let what = format!("the number in `{key}`");
            return Err(StateError::TooLarge { what, limit: LARGEST_SUM as u64 }.into());
        };
        sums.push(sum);
    }
    Ok(sums)
}

/// What the batch's own earlier writes leave in `key`, if one of them touches it.
fn earlier(then: &[Then], key: &Key, sums: &[i64]) -> Option<Result<i64, StateError>> {
    let mut adds = sums.len();
    for write in then.iter().rev() {
        match write {
            Then::Put(put, value) if put == key => return Some(number(key, value)),
            Then::Delete(deleted) if deleted == key => return Some(Ok(0)),
            Then::Add(added, _) => {
                adds -= 1;
                if added == key {
                    return Some(Ok(sums[adds]));
                }
            }
            Then::Put(..) | Then::Delete(_) => {}
            Then::Append(..) | Then::Trim(..) | Then::Drop(_) => {}
        }
    }
    None
}

fn number(key: &Key, value: &[u8]) -> Result<i64, StateError> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|number| (-LARGEST_SUM..=LARGEST_SUM).contains(number))
        .ok_or_else(|| StateError::Damaged { what: format!("`{key}` holds no decimal number within 2^53") })
}
