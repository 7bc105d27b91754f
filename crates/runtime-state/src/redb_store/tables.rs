//! The tables, and the record that says how they are to be read.

use std::collections::HashMap;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle};
use runtime_traits::error::Cause;
use runtime_traits::partition::Pool;

use super::rows;
use crate::group_commit::{Contents, SLICES};

/// A partition's cells, by partition and path.
pub(super) const CELLS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("cells");
/// Where each log begins and ends, by partition and path.
pub(super) const LOGS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("logs");
/// Entries, by the log's number and their own.
pub(super) const ENTRIES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("entries");
/// The last revision of each partition, in one row for each pool: a group that writes to many of them changes one page.
pub(super) const POOLS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pools");
/// Numbers about the store itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("agent-runtime");

/// The key of the format in [`META`].
const FORMAT: &str = "format";
/// The key in [`META`] of the number that the next new log gets.
pub(super) const NEXT_LOG: &str = "next log";
/// The format that this build writes, and the newest that it reads.
pub(super) const KNOWN_FORMAT: u64 = 1;

/// Why the tables are not to be used.
#[derive(Debug)]
pub(super) enum Unusable {
    Newer(u64),
    Foreign(Cause),
    Damaged(Cause),
    Broken(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Unusable {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// Makes the tables of a new file, or checks those of an old one; reads what a committer has to know.
pub(super) fn prepare(database: &Database) -> Result<Contents, Unusable> {
    if is_new(database)? {
        create(database)?;
    }
    load(database)
}

fn is_new(database: &Database) -> Result<bool, Unusable> {
    let txn = database.begin_read()?;
    let names: Vec<_> = txn.list_tables()?.map(|table| table.name().to_owned()).collect();
    if names.is_empty() {
        return Ok(true);
    }
    if names.iter().any(|name| name == META.name()) {
        return Ok(false);
    }
    Err(Unusable::Foreign(Cause::says(format!("a redb file of another program, with table `{}`", names[0]))))
}

/// Everything in one transaction: a crash in between leaves a file without tables, which is new again.
fn create(database: &Database) -> Result<(), Unusable> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    txn.open_table(CELLS)?;
    txn.open_table(LOGS)?;
    txn.open_table(ENTRIES)?;
    txn.open_table(POOLS)?;
    txn.open_table(META)?.insert(FORMAT, KNOWN_FORMAT)?;
    Ok(txn.commit()?)
}

fn load(database: &Database) -> Result<Contents, Unusable> {
    let txn = database.begin_read()?;
    let meta = match txn.open_table(META) {
        Err(error @ TableError::TableTypeMismatch { .. }) => {
            return Err(Unusable::Foreign(Cause::of(&error)));
        }
        other => other?,
    };
    let Some(format) = meta.get(FORMAT)?.map(|row| row.value()) else {
        return Err(Unusable::Foreign(Cause::says("it does not say which format it has")));
    };
    if format > KNOWN_FORMAT {
        return Err(Unusable::Newer(format));
    }
    let next_log = meta.get(NEXT_LOG)?.map_or(1, |row| row.value());
    let mut revisions = HashMap::new();
    for row in txn.open_table(POOLS)?.iter()? {
        let (key, row) = row?;
        match pool_in(key.value(), row.value()) {
            Some((pool, row)) => revisions.insert(pool, row),
            None => {
                let row = key.value().escape_ascii();
                return Err(Unusable::Damaged(Cause::says(format!("the row of pool `{row}`"))));
            }
        };
    }
    Ok(Contents { revisions, next_log })
}

/// The pool of a row, and the revisions of its partitions.
pub(super) fn pool_in(key: &[u8], row: &[u8]) -> Option<(Pool, Vec<u64>)> {
    let pool = Pool::new(std::str::from_utf8(key).ok()?).ok()?;
    let revisions = rows::revisions(row, key).ok().filter(|revisions| revisions.len() == SLICES)?;
    Some((pool, revisions))
}
