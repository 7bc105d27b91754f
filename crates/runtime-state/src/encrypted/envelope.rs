//! How an encrypted value is written: a header in the clear, the ciphertext, and a tag over both and over the place.
//!
//! Pure: the nonce is an argument, so that tests know every byte. `docs/adr/0022-values-are-encrypted-one-by-one.md`
//! has the layout.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XNonce};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Path, Seq};

use super::keys::{KeyId, KeyRing};

/// What no text begins with, and no number.
const MAGIC: [u8; 4] = [0x8E, b'A', b'R', b'E'];
/// The format that this build writes, and the newest that it reads.
pub(super) const FORMAT: u8 = 1;
/// XChaCha20-Poly1305.
const ALGORITHM: u8 = 1;
/// The flag of an entry whose number is authenticated too.
const NUMBERED: u8 = 1;
const NONCE: usize = 24;
const HEADER: usize = MAGIC.len() + 3 + size_of::<KeyId>() + NONCE;
const TAG: usize = 16;
/// By how many bytes a value grows.
pub(super) const OVERHEAD: usize = HEADER + TAG;

/// What a value is to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A cell's value.
    Cell = 1,
    /// An entry of a log.
    Entry = 2,
    /// The mark of the store.
    Mark = 3,
}

/// Where a value is. A value that is found elsewhere is not taken for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) sort: Sort,
    pub(super) partition: Partition,
    pub(super) path: &'a Path,
    /// The number of an entry: when it is written only where it is known, when it is read always.
    pub(super) seq: Option<Seq>,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It does not begin as an encrypted value does.
    Clear,
    /// A later version of this program wrote it.
    Newer(u8),
    /// A later version of this program wrote it, by another algorithm.
    Algorithm(u8),
    /// The ring does not hold its key.
    Missing(KeyId),
    /// It is not what was written there under this key.
    Forged(KeyId),
}

/// Writes `value` under the writing key of `ring`, after `prefix`, which stays in the clear and is authenticated.
pub(super) fn seal(
    ring: &KeyRing,
    place: Place<'_>,
    prefix: &[u8],
    value: &[u8],
    nonce: [u8; NONCE],
) -> Vec<u8> {
    let (key, cipher) = ring.writing();
    let flags = if place.seq.is_some() { NUMBERED } else { 0 };
    let mut sealed = Vec::with_capacity(prefix.len() + OVERHEAD + value.len());
    sealed.extend_from_slice(prefix);
    sealed.extend_from_slice(&MAGIC);
    sealed.extend_from_slice(&[FORMAT, ALGORITHM, flags]);
    sealed.extend_from_slice(&key.to_le_bytes());
    sealed.extend_from_slice(&nonce);
    let bound = bound(&sealed, place, place.seq);
    let text = sealed.len();
    sealed.extend_from_slice(value);
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), &bound, (&mut sealed[text..]).into())
        .expect("a value is far shorter than 256 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// The value in `sealed`, whose first `prefix` bytes are in the clear.
pub(super) fn open(
    ring: &KeyRing,
    place: Place<'_>,
    prefix: usize,
    sealed: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    let (header, rest) = sealed.split_at_checked(prefix + HEADER).ok_or(Unreadable::Clear)?;
    let Header { key, numbered, nonce } = Header::read(&header[prefix..])?;
    let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Unreadable::Forged(key))?;
    let cipher = ring.cipher(key).ok_or(Unreadable::Missing(key))?;
    let bound = bound(header, place, place.seq.filter(|_| numbered));
    let mut value = text.to_vec();
    cipher
        .decrypt_inout_detached(&XNonce::from(nonce), &bound, value.as_mut_slice().into(), &Tag::from(*tag))
        .map_err(|_| Unreadable::Forged(key))?;
    Ok(value)
}

/// Under which key the value in `sealed` was written, as its header says.
pub(super) fn key_of(prefix: usize, sealed: &[u8]) -> Option<KeyId> {
    Header::read(sealed.get(prefix..prefix + HEADER)?).ok().map(|header| header.key)
}

struct Header {
    key: KeyId,
    numbered: bool,
    nonce: [u8; NONCE],
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(Unreadable::Clear)?;
        if *magic != MAGIC {
            return Err(Unreadable::Clear);
        }
        let (&[format, algorithm, flags], rest) = rest.split_first_chunk().ok_or(Unreadable::Clear)?;
        match (format, algorithm) {
            (FORMAT, ALGORITHM) => {}
            (FORMAT, other) => return Err(Unreadable::Algorithm(other)),
            (later, _) if later > FORMAT => return Err(Unreadable::Newer(later)),
            // There never was such a one.
            _ => return Err(Unreadable::Clear),
        }
        let (key, rest) = rest.split_first_chunk().ok_or(Unreadable::Clear)?;
        let nonce = rest.first_chunk().ok_or(Unreadable::Clear)?;
        Ok(Self { key: KeyId::from_le_bytes(*key), numbered: flags & NUMBERED != 0, nonce: *nonce })
    }
}

/// What is authenticated beside the ciphertext: what stands before it, and where it is.
fn bound(header: &[u8], place: Place<'_>, seq: Option<Seq>) -> Vec<u8> {
    let mut bound = Vec::with_capacity(header.len() + 32 + place.path.as_bytes().len());
    bound.extend_from_slice(header);
    bound.push(place.sort as u8);
    if let Some(Seq(seq)) = seq {
        bound.extend_from_slice(&seq.to_le_bytes());
    }
    where_it_is(&mut bound, place.partition, place.path);
    bound
}

/// Partition and path, so that no two places give the same bytes.
pub(super) fn where_it_is(bytes: &mut Vec<u8>, partition: Partition, path: &Path) {
    let pool = partition.pool.as_str().as_bytes();
    bytes.extend_from_slice(&partition.index.to_le_bytes());
    bytes.push(pool.len() as u8);
    bytes.extend_from_slice(pool);
    bytes.extend_from_slice(&(path.as_bytes().len() as u16).to_le_bytes());
    bytes.extend_from_slice(path.as_bytes());
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::Pool;

    use super::*;

    /// Made with libsodium, from the layout in the decision record; not with this code.
    const CELL: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf8e41524501010001000000000102030405060708090a0b0c0d0e0f10\
        11121314151617fa3aa4138e593977864e435d486a4fb56dc649189fbf1e281c1c2e7e53c1ad7aee";
    const NUMBERED_ENTRY: &str = "8e41524501010101000000000102030405060708090a0b0c0d0e0f1011121314151617fa74f2178c\
        582e2e14b4e7c56f153913d8cd5431bb2746ab";
    const EMPTY_ENTRY: &str = "8e41524501010001000000000102030405060708090a0b0c0d0e0f1011121314151617f80f854709ec553d\
        491da8747677f98e";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_format_1_are_those_that_were_once_written() {
        let ring = KeyRing::parse(&format!("1 {}", "11".repeat(32))).unwrap();
        let nonce = std::array::from_fn(|n| n as u8);
        let prefix: [u8; 16] = std::array::from_fn(|n| 0xa0 + n as u8);
        let at = |sort, pool, index, seq| (sort, Partition { pool: Pool::new(pool).unwrap(), index }, seq);
        let golden = [
            (at(Sort::Cell, "main", 17, None), "t/default/a/1/spec", &prefix[..], "a value of a cell", CELL),
            (at(Sort::Entry, "main", 256, Some(Seq(5))), "run/1", &[], "an entry", NUMBERED_ENTRY),
            (at(Sort::Entry, "a", 3, None), "inbox", &[], "", EMPTY_ENTRY),
        ];
        for ((sort, partition, seq), path, prefix, value, golden) in golden {
            let path = Path::new(path).unwrap();
            let place = Place { sort, partition, path: &path, seq };
            let sealed = seal(&ring, place, prefix, value.as_bytes(), nonce);
            assert_eq!(hex(&sealed), golden, "{path}");
            assert_eq!(sealed.len(), prefix.len() + OVERHEAD + value.len());
            assert_eq!(open(&ring, place, prefix.len(), &sealed), Ok(value.as_bytes().to_vec()));
            assert_eq!(key_of(prefix.len(), &sealed), Some(1));
        }
    }

    #[test]
    fn a_later_format_is_told_by_its_number() {
        let ring = KeyRing::parse(&format!("1 {}", "11".repeat(32))).unwrap();
        let path = Path::new("a").unwrap();
        let partition = Partition { pool: Pool::MAIN, index: 0 };
        let place = Place { sort: Sort::Entry, partition, path: &path, seq: None };
        let mut sealed = seal(&ring, place, &[], b"x", [0; NONCE]);
        sealed[5] = 2;
        assert_eq!(open(&ring, place, 0, &sealed), Err(Unreadable::Algorithm(2)));
        sealed[4] = 9;
        assert_eq!(open(&ring, place, 0, &sealed), Err(Unreadable::Newer(9)));
        sealed[4] = 0;
        assert_eq!(open(&ring, place, 0, &sealed), Err(Unreadable::Clear));
    }
}
