//! The tables, and the record that says how they are to be read.

use std::collections::HashMap;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle};
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;

use super::keys;
use super::rows;

/// A partition's cells, by partition and path.
pub(super) const CELLS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("cells");
/// Where each log begins and ends, by partition and path.
pub(super) const LOGS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("logs");
/// Entries, by the log's number and their own.
pub(super) const ENTRIES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("entries");
/// The last revision of each partition.
pub(super) const PARTITIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("partitions");
/// Numbers about the store itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("agent-runtime");

/// The key of the format in [`META`].
const FORMAT: &str = "format";
/// The key in [`META`] of the number that the next new log gets.
pub(super) const NEXT_LOG: &str = "next log";
/// The format that this build writes, and the newest that it reads.
pub(super) const KNOWN_FORMAT: u64 = 1;

/// What a committer has to know of the file.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) revisions: HashMap<Partition, u64>,
    pub(super) next_log: u64,
}

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
    txn.open_table(PARTITIONS)?;
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
    for row in txn.open_table(PARTITIONS)?.iter()? {
        let (key, row) = row?;
        let revision = rows::revision(row.value(), key.value()).ok();
        let (Some(partition), Some(revision)) = (keys::partition_in(key.value()), revision) else {
            let row = key.value().escape_ascii();
            return Err(Unusable::Damaged(Cause::says(format!("the row of partition `{row}`"))));
        };
        revisions.insert(partition, revision);
    }
    Ok(Contents { revisions, next_log })
}
