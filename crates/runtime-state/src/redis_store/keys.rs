//! The names of everything in Redis.
//!
//! All keys of a partition have its hash tag, `{POOL.INDEX}`, so that they lie in one slot of a Redis Cluster. Two keys
//! are of the whole store: the set of its partitions and its format.

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::Path;

/// The set of partitions that somebody meant to write to. A member counts only once it has a revision.
pub(super) const PARTITIONS: &str = "ar:partitions";

/// The number of this layout.
pub(super) const FORMAT_KEY: &str = "ar:format";

/// The layout that this build reads and writes.
pub(super) const FORMAT: u64 = 1;

/// What both scripts get as their first keys, in their order. The window of ids is for the one that writes.
const FIXED: [&str; 7] = ["revision", "cells", "paths", "logs", "log-paths", "ids", "order"];

/// How many of them a page gets.
pub(super) const OF_A_PAGE: usize = 5;

/// How many of them a commit gets.
pub(super) const OF_A_COMMIT: usize = FIXED.len();

/// The first `count` fixed keys of a partition.
pub(super) fn fixed(partition: Partition, count: usize) -> impl Iterator<Item = String> {
    FIXED.iter().take(count).map(move |name| format!("ar:{{{partition}}}:{name}"))
}

/// The stream of a log's entries.
pub(super) fn stream(partition: Partition, path: &Path) -> Vec<u8> {
    let mut key = format!("ar:{{{partition}}}:log:").into_bytes();
    key.extend_from_slice(path.as_bytes());
    key
}

/// Where the page of what begins with `under` and comes after `after` begins and ends, as Redis writes such bounds.
pub(super) fn bounds(under: &Path, after: Option<&Path>) -> (Bytes, Bytes) {
    let bound = |sign: u8, path: &[u8]| Bytes::from([&[sign], path].concat());
    let from = match after {
        Some(after) if after >= under => bound(b'(', after.as_bytes()),
        _ => bound(b'[', under.as_bytes()),
    };
    let mut until = under.as_bytes().to_vec();
    while until.last() == Some(&0xff) {
        until.pop();
    }
    let until = match until.last_mut() {
        None => Bytes::from_static(b"+"),
        Some(last) => {
            *last += 1;
            bound(b'(', &until)
        }
    };
    (from, until)
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::Pool;

    use super::*;

    #[test]
    fn every_key_of_a_partition_has_its_hash_tag() {
        let partition = Partition { pool: Pool::MAIN, index: 7 };
        let keys: Vec<String> = fixed(partition, OF_A_COMMIT).collect();
        assert_eq!(keys[0], "ar:{main.7}:revision");
        assert!(keys.iter().all(|key| key.starts_with("ar:{main.7}:")));
        let path = Path::new("run/}1").expect("a good path");
        assert_eq!(stream(partition, &path), b"ar:{main.7}:log:run/}1");
    }

    #[test]
    fn bounds_hold_what_begins_with_the_prefix() {
        let path = |path: &'static [u8]| Path::new(path).expect("a good path");
        let said = |under: &Path, after: Option<&Path>| {
            let (from, until) = bounds(under, after);
            format!("{} {}", from.escape_ascii(), until.escape_ascii())
        };
        assert_eq!(said(&Path::root(), None), "[ +");
        assert_eq!(said(&path(b"a/"), None), "[a/ (a0");
        assert_eq!(said(&path(b"a/"), Some(&path(b"a/1"))), "(a/1 (a0");
        assert_eq!(said(&path(b"a/"), Some(&path(b"A"))), "[a/ (a0");
        assert_eq!(said(&path(b"a\xff\xff"), None), "[a\\xff\\xff (b");
        assert_eq!(said(&path(b"\xff"), None), "[\\xff +");
    }
}
