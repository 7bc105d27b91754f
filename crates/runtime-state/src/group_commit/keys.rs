//! How places become keys: bytewise ordered, and no place is a prefix of another partition's.

use runtime_traits::partition::Partition;
use runtime_traits::store::{Path, Seq};

/// Pool, a zero byte that no pool contains, the index, and the path to its end: sorts as places sort.
pub(crate) fn of_path(partition: Partition, path: &Path) -> Vec<u8> {
    let (pool, path) = (partition.pool.as_str().as_bytes(), path.as_bytes());
    let mut key = Vec::with_capacity(pool.len() + 3 + path.len());
    key.extend_from_slice(pool);
    key.push(0);
    key.extend_from_slice(&partition.index.to_be_bytes());
    key.extend_from_slice(path);
    key
}

/// The path in a key of `partition`.
#[cfg(any(feature = "redb", test))]
pub(crate) fn path_in(partition: Partition, key: &[u8]) -> Option<Path> {
    let path = key.get(partition.pool.as_str().len() + 3..)?;
    Path::new(path.to_vec()).ok()
}

/// The least key that is greater than every key that begins with `prefix`.
pub(crate) fn past(prefix: &[u8]) -> Vec<u8> {
    let mut past = prefix.to_vec();
    while let Some(last) = past.last_mut() {
        if *last < 0xff {
            *last += 1;
            return past;
        }
        past.pop();
    }
    unreachable!("a key begins with a pool's name, and that is ASCII")
}

/// The entry `seq` of the log with this number.
pub(crate) fn of_entry(log: u64, seq: Seq) -> u128 {
    u128::from(log) << 64 | u128::from(seq.0)
}

/// The entry's number in its log.
pub(crate) fn seq_in(key: u128) -> Seq {
    Seq(key as u64)
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::Pool;

    use super::*;

    #[test]
    fn keys_sort_as_their_places_do_and_tell_them() {
        let mut places = Vec::new();
        for pool in ["a", "a-", "aa", "b", "main"] {
            for index in [0, 1, 254, 255, 256] {
                let partition = Partition { pool: Pool::new(pool).unwrap(), index };
                for path in [&b"\0"[..], b"\0\0", b"a", b"a\0", b"a/b", b"\xff", b"\xff\xff"] {
                    places.push((partition, Path::new(path.to_vec()).unwrap()));
                }
            }
        }
        places.sort();
        let keys: Vec<_> = places.iter().map(|(partition, path)| of_path(*partition, path)).collect();
        assert!(keys.is_sorted());
        for ((partition, path), key) in places.iter().zip(&keys) {
            let prefix = of_path(*partition, &Path::root());
            assert_eq!(path_in(*partition, key).as_ref(), Some(path));
            let inside = keys.iter().filter(|key| **key >= prefix && **key < past(&prefix)).count();
            assert_eq!(inside, 7, "cells of {partition}");
        }
    }
}
