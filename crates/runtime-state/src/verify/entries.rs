//! The entries of a log one by one, past those that are damaged.

use bytes::Bytes;
use runtime_traits::store::{LogExtent, Seq, StateError, StateStore};

use crate::pages::PAGE;

/// The entries of a log, up to where it ended when it was looked at.
pub(crate) struct EachEntry {
    extent: LogExtent,
    limit: u32,
}

/// An entry, or why it cannot be read.
pub(crate) type Numbered = (Seq, Result<Bytes, StateError>);

impl EachEntry {
    pub(crate) fn of(extent: LogExtent) -> Self {
        Self { extent, limit: PAGE }
    }

    /// The next entries; `None` when there are none. After an error that is no damage nothing more is read.
    pub(crate) async fn next(&mut self, store: &dyn StateStore) -> Option<Vec<Numbered>> {
        let LogExtent { log, first, next } = &mut self.extent;
        while *first < *next {
            let asked = (next.0 - first.0).min(u64::from(self.limit)) as u32;
            match store.read(log, *first, asked).await {
                // It was let go meanwhile.
                Ok(tail) if tail.first > *first && tail.entries.is_empty() => return None,
                Ok(tail) if tail.next <= *first => return None,
                Ok(tail) if tail.entries.is_empty() => {
                    let seq = *first;
                    *first = seq.next();
                    let what = format!("entry {} of the log `{log}` is missing", seq.0);
                    return Some(vec![(seq, Err(StateError::Damaged { what }))]);
                }
                Ok(tail) => {
                    let numbers = (tail.first.0..).map(Seq);
                    let page: Vec<_> = numbers.zip(tail.entries.into_iter().map(Ok)).collect();
                    *first = Seq(tail.first.0 + page.len() as u64);
                    self.limit = PAGE;
                    return Some(page);
                }
                // One of the page: the page is read again in halves.
                Err(StateError::Damaged { .. }) if asked > 1 => self.limit = asked / 2,
                Err(error) => {
                    let seq = *first;
                    *first = if matches!(error, StateError::Damaged { .. }) { seq.next() } else { *next };
                    self.limit = PAGE;
                    return Some(vec![(seq, Err(error))]);
                }
            }
        }
        None
    }
}
