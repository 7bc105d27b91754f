//! Cells and logs as things in a row, and how to find the one in it that cannot be shown.

use runtime_traits::partition::Partition;
use runtime_traits::store::{Cell, Key, Log, LogExtent, Path, Seq, StateError, StateStore};

use super::damage::DamagedPlace;

/// A path that nobody has.
const NOBODYS: &[u8] = &[0xff; 9];

/// What is walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Cells,
    Logs,
}

/// One of them.
pub(crate) enum Listed {
    Cell(Key, Cell),
    Log(LogExtent),
}

impl Listed {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Cell(key, _) => &key.path,
            Self::Log(extent) => &extent.log.path,
        }
    }
}

impl Listing {
    /// A page of the whole partition.
    pub(crate) async fn page(
        self,
        store: &dyn StateStore,
        partition: Partition,
        after: Option<&Path>,
        limit: u32,
    ) -> Result<Vec<Listed>, StateError> {
        self.page_under(store, &Key::all(partition), after, limit).await
    }

    async fn page_under(
        self,
        store: &dyn StateStore,
        under: &Key,
        after: Option<&Path>,
        limit: u32,
    ) -> Result<Vec<Listed>, StateError> {
        let Key { partition, path } = under.clone();
        match self {
            Self::Cells => {
                let after = after.map(|after| key(partition, after.clone()));
                let page = store.scan(under, after.as_ref(), limit).await?.into_iter();
                Ok(page.map(|(key, cell)| Listed::Cell(key, cell)).collect())
            }
            Self::Logs => {
                let after = after.map(|after| log(partition, after.clone()));
                let page = store.logs(&Log { partition, path }, after.as_ref(), limit).await?;
                Ok(page.into_iter().map(Listed::Log).collect())
            }
        }
    }

    /// The path of the damaged one that comes next after `after`.
    ///
    /// A store shows no page with a damaged one in it, and the contract has no field for its path. Most stores name it in
    /// their words, which is tried first; where that is not so, it is found letter by letter.
    pub(crate) async fn damaged_after(
        self,
        store: &dyn StateStore,
        partition: Partition,
        after: Option<&Path>,
        error: &StateError,
    ) -> Option<Path> {
        let StateError::Damaged { what } = error else { return None };
        if let Some(named) = named_in(what, partition)
            && after.is_none_or(|after| named > *after)
            && self.is_damaged(store, partition, &named).await
        {
            return Some(named);
        }
        // Where a store shows nothing of a partition, or does not say where it ends, there is no path to find.
        let nowhere = key(partition, Path::new(NOBODYS).ok()?);
        if matches!(self.page_under(store, &nowhere, None, 1).await, Err(StateError::Damaged { .. })) {
            return None;
        }
        self.search(store, partition, after).await
    }

    async fn search(
        self,
        store: &dyn StateStore,
        partition: Partition,
        after: Option<&Path>,
    ) -> Option<Path> {
        let mut found = Vec::new();
        while found.len() < Path::LIMIT {
            found.push(self.next_letter(store, partition, after, &found).await?);
            let path = Path::new(found.clone()).ok()?;
            if after.is_none_or(|after| path > *after) && self.is_damaged(store, partition, &path).await {
                return Some(path);
            }
        }
        None
    }

    /// The letter after `prefix` under which the first one past `after` is damaged.
    async fn next_letter(
        self,
        store: &dyn StateStore,
        partition: Partition,
        after: Option<&Path>,
        prefix: &[u8],
    ) -> Option<u8> {
        for letter in 0..=u8::MAX {
            let path = Path::new([prefix, &[letter]].concat()).ok()?;
            let page = self.page_under(store, &key(partition, path), after, 1).await;
            if matches!(page, Err(StateError::Damaged { .. })) {
                return Some(letter);
            }
        }
        None
    }

    async fn is_damaged(self, store: &dyn StateStore, partition: Partition, path: &Path) -> bool {
        let read = match self {
            Self::Cells => store.get(&[key(partition, path.clone())]).await.map(drop),
            Self::Logs => store.read(&log(partition, path.clone()), Seq::FIRST, 0).await.map(drop),
        };
        matches!(read, Err(StateError::Damaged { .. }))
    }

    pub(crate) fn place(self, path: Path) -> DamagedPlace {
        match self {
            Self::Cells => DamagedPlace::Cell { path },
            Self::Logs => DamagedPlace::Log { path },
        }
    }

    pub(crate) fn rest(self, path: Option<Path>) -> DamagedPlace {
        match self {
            Self::Cells => DamagedPlace::CellsAfter { path },
            Self::Logs => DamagedPlace::LogsAfter { path },
        }
    }
}

/// The cell at `path`.
fn key(partition: Partition, path: Path) -> Key {
    Key { partition, path }
}

/// The log at `path`.
fn log(partition: Partition, path: Path) -> Log {
    Log { partition, path }
}

/// The path that a store's words name: `…POOL.INDEX/PATH…` between backticks, escaped as paths are shown.
fn named_in(what: &str, partition: Partition) -> Option<Path> {
    let (_, rest) = what.split_once(&format!("`{partition}/"))?;
    Path::new(unescape(rest.split('`').next()?)?).ok()
}

/// The bytes that `escape_ascii` made a text of. A path with a backtick in it is cut off, and then not found.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            b'\\' => match letters.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let mut digit = || char::from(letters.next()?).to_digit(16);
                    (digit()? << 4 | digit()?) as u8
                }
                itself => itself,
            },
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_read_back() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let shown = all.escape_ascii().to_string();
        assert_eq!(unescape(&shown), Some(all));
        assert_eq!(unescape("a\\x4"), None);
    }
}
