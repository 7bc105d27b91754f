//! What the scripts answer.

use bytes::Bytes;
use redis::{ServerError, Value};
use runtime_traits::error::Cause;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, Cell, Committed, Durability, Key, LARGEST_SUM, Log, LogExtent, Path, Revision, Seq, StateError,
    Tail, Then,
};

use crate::decide::Extent;

/// The partition of answers that are of none.
const NOWHERE: Partition = Partition { pool: Pool::MAIN, index: Partition::OWNERLESS };

/// An answer that is none: somebody else wrote to the keys, or the script is not ours.
fn strange(what: &str) -> StateError {
    StateError::Damaged { what: what.to_owned() }
}

/// The parts of an answer after its first word, which is `ok`; or the refusal.
fn parts(answer: Value) -> Result<std::vec::IntoIter<Value>, Refusal> {
    let mut parts = match answer {
        Value::Array(parts) => parts.into_iter(),
        Value::ServerError(error) => return Err(Refusal::Other(server(&error))),
        _ => return Err(Refusal::Other(strange("an answer of a script is no list"))),
    };
    match word(parts.next()).as_str() {
        "ok" => Ok(parts),
        "replica" => Err(Refusal::Other(unavailable("it has become a replica of another server"))),
        "fenced" => Err(Refusal::Other(StateError::Fenced)),
        "conflict" => Err(Refusal::Conflict(place(parts.next()))),
        "large" => Err(Refusal::Large(place(parts.next()))),
        "damaged" => Err(Refusal::Damaged(word(parts.next()), place(parts.next()))),
        _ => Err(Refusal::Other(strange("an answer of a script begins with an unknown word"))),
    }
}

/// Why a script did not do as asked.
enum Refusal {
    Conflict(usize),
    /// The place of the write, from 1 on.
    Large(usize),
    /// What, and the place of the condition or write, from 1 on.
    Damaged(String, usize),
    Other(StateError),
}

impl Refusal {
    fn of(self, batch: &Batch) -> StateError {
        match self {
            Self::Conflict(condition) => StateError::Conflict { condition },
            Self::Large(place) => {
                let what = format!("the number in `{}`", named(batch, place));
                StateError::TooLarge { what, limit: LARGEST_SUM as u64 }
            }
            Self::Damaged(what, place) if what == "number" => {
                let what = format!("`{}` holds no decimal number within 2^53", named(batch, place));
                StateError::Damaged { what }
            }
            Self::Damaged(what, place) if what == "log" => {
                let what = format!("log `{}` and its entries do not agree", named(batch, place));
                StateError::Damaged { what }
            }
            other => other.read(batch.partition),
        }
    }

    fn read(self, partition: Partition) -> StateError {
        match self {
            Self::Other(error) => error,
            Self::Damaged(what, _) => {
                StateError::Damaged { what: format!("the {what} of partition `{partition}`") }
            }
            Self::Conflict(_) | Self::Large(_) => strange("an answer of a script does not fit its question"),
        }
    }
}

pub(super) fn committed(answer: Value, batch: &Batch) -> Result<Committed, StateError> {
    let mut parts = parts(answer).map_err(|refusal| refusal.of(batch))?;
    let text = word(parts.next());
    let answer = || -> Option<Committed> {
        let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
        let revision = Revision(numbers.next()??);
        let durability = match numbers.next()?? {
            0 => Durability::Memory,
            1 => Durability::Process,
            2 => Durability::Disk,
            _ => return None,
        };
        let appended = numbers.map(|number| number.map(Seq)).collect::<Option<_>>()?;
        Some(Committed { revision, appended, durability })
    };
    answer().ok_or_else(|| strange("the answer to a batch"))
}

pub(super) fn cells(answer: Value, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    let mut parts = parts(answer).map_err(|refusal| refusal.read(first.partition))?;
    let found = list(parts.next())?;
    if found.len() != keys.len() {
        return Err(strange("a page has other cells than it was asked for"));
    }
    keys.iter()
        .zip(found)
        .map(|(key, value)| match value {
            Value::Nil => Ok(None),
            value => cell(value, key).map(Some),
        })
        .collect()
}

pub(super) fn scanned(answer: Value, under: &Key) -> Result<Vec<(Key, Cell)>, StateError> {
    ordered(answer, under.partition)?
        .map(|(path, value)| {
            let key = Key { partition: under.partition, path: path? };
            let cell = cell(value, &key)?;
            Ok((key, cell))
        })
        .collect()
}

pub(super) fn logs(answer: Value, under: &Log) -> Result<Vec<LogExtent>, StateError> {
    ordered(answer, under.partition)?
        .map(|(path, value)| {
            let log = Log { partition: under.partition, path: path? };
            let Extent { first, next } = extent(value, &log)?;
            Ok(LogExtent { log, first, next })
        })
        .collect()
}

pub(super) fn tail(answer: Value, log: &Log, from: Seq) -> Result<Tail, StateError> {
    let do_not_agree = || strange(&format!("log `{log}` and its entries do not agree"));
    let mut parts = parts(answer).map_err(|refusal| match refusal {
        Refusal::Damaged(what, _) if what == "log" => do_not_agree(),
        other => other.read(log.partition),
    })?;
    let Extent { first, next } = match parts.next() {
        Some(Value::Nil) => Extent::NEW,
        Some(value) => extent(value, log)?,
        None => return Err(strange("a page of a log without its extent")),
    };
    let first = first.max(from);
    let entries: Vec<Bytes> = list(parts.next())?.into_iter().map(bytes).collect::<Result<_, _>>()?;
    if first.0 + entries.len() as u64 > next.0.max(first.0) {
        return Err(do_not_agree());
    }
    Ok(Tail { first, next, entries })
}

pub(super) fn is_written(answer: Value, partition: Partition) -> Result<bool, StateError> {
    let mut parts = parts(answer).map_err(|refusal| refusal.read(partition))?;
    Ok(matches!(parts.next(), Some(Value::Int(1))))
}

pub(super) fn partitions(answer: Value) -> Result<Vec<Partition>, StateError> {
    let mut parts = parts(answer).map_err(|refusal| refusal.read(NOWHERE))?;
    let named = |value| word(Some(value)).parse().map_err(|_| strange("the set of partitions"));
    list(parts.next())?.into_iter().map(named).collect()
}

/// Whether the answer says that the server is not what it was, so that the connection is to be made anew.
pub(super) fn says_goodbye(answer: &Value) -> bool {
    match answer {
        Value::Array(parts) => {
            matches!(parts.first(), Some(Value::BulkString(word)) if word.as_slice() == b"replica")
        }
        Value::ServerError(error) => {
            matches!(error.code(), "READONLY" | "NOSCRIPT" | "NOAUTH" | "NOPERM" | "LOADING" | "MASTERDOWN")
        }
        _ => false,
    }
}

/// What the server's own refusal means. Each of these comes before the first write of a script.
fn server(error: &ServerError) -> StateError {
    let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
    match error.code() {
        "OOM" => StateError::NoSpace,
        "MISCONF" if said.contains("No space left") => StateError::NoSpace,
        "READONLY" => unavailable("it has become a replica of another server"),
        "MISCONF" | "NOREPLICAS" | "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"
        | "NOSCRIPT" | "NOAUTH" | "NOPERM" | "MOVED" | "ASK" => unavailable(&said),
        // Redis takes nothing back, so nobody knows what a script has done that failed on its way.
        _ => StateError::Damaged { what: format!("a script failed: {said}") },
    }
}

fn unavailable(why: &str) -> StateError {
    StateError::Unavailable { retry_after: None, cause: Cause::says(why) }
}

/// Pairs of paths and values, in their order.
fn ordered(
    answer: Value,
    partition: Partition,
) -> Result<impl Iterator<Item = (Result<Path, StateError>, Value)>, StateError> {
    let mut parts = parts(answer).map_err(|refusal| refusal.read(partition))?;
    let (paths, values) = (list(parts.next())?, list(parts.next())?);
    if paths.len() != values.len() {
        return Err(strange("a page has more paths than values"));
    }
    let path = |value| Path::new(bytes(value)?).map_err(|error| strange(&format!("a path: {error}")));
    Ok(paths.into_iter().map(path).zip(values))
}

fn cell(value: Value, key: &Key) -> Result<Cell, StateError> {
    let damaged = || strange(&format!("cell `{key}` has no revision"));
    let Value::BulkString(text) = value else { return Err(damaged()) };
    let space = text.iter().take(21).position(|byte| *byte == b' ').ok_or_else(damaged)?;
    let revision = std::str::from_utf8(&text[..space]).ok().and_then(|number| number.parse().ok());
    let revision = Revision(revision.ok_or_else(damaged)?);
    Ok(Cell { value: Bytes::from(text).slice(space + 1..), revision })
}

fn extent(value: Value, log: &Log) -> Result<Extent, StateError> {
    let text = word(Some(value));
    let numbers = text.split_once(' ').and_then(|(first, next)| first.parse().ok().zip(next.parse().ok()));
    let (first, next) = numbers.ok_or_else(|| strange(&format!("log `{log}` has no extent")))?;
    Ok(Extent { first: Seq(first), next: Seq(next) })
}

fn list(value: Option<Value>) -> Result<Vec<Value>, StateError> {
    match value {
        Some(Value::Array(values) | Value::Set(values)) => Ok(values),
        _ => Err(strange("a page without its list")),
    }
}

fn bytes(value: Value) -> Result<Bytes, StateError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        _ => Err(strange("a page with something else than bytes")),
    }
}

/// A short text; empty for everything else.
fn word(value: Option<Value>) -> String {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes).unwrap_or_default(),
        Some(Value::SimpleString(text)) => text,
        _ => String::new(),
    }
}

fn place(value: Option<Value>) -> usize {
    word(value).parse().unwrap_or_default()
}

/// What the write at `place`, counted from 1, writes to.
fn named(batch: &Batch, place: usize) -> String {
    match batch.then.get(place.wrapping_sub(1)) {
        Some(Then::Put(key, _) | Then::Add(key, _) | Then::Delete(key)) => key.to_string(),
        Some(Then::Append(log, _) | Then::Trim(log, _) | Then::Drop(log)) => log.to_string(),
        None => batch.partition.to_string(),
    }
}
