//! The head of a record, and bincode with its traps closed.

use std::cell::RefCell;

use bytes::Bytes;
use runtime_traits::guard::Guard;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CodecError;

/// Bytes of tag, version and flags.
pub(crate) const HEAD: usize = 5;
/// A reader that does not know the tag or version must refuse the record.
pub(crate) const MUST_UNDERSTAND: u8 = 1;

// Without a limit a length prefix of nine bytes makes bincode allocate half a terabyte and abort the process.
const LIMIT: usize = 4 * 1024 * 1024;

/// How many bytes a thread keeps to write records in.
const DRAFT_KEPT: usize = 16 * 1024;

/// A struct that is written down. Its fields are frozen for its version.
pub trait Record: Serialize + DeserializeOwned {
    /// Tells it from all other records.
    const TAG: u16;
    /// Counts its shapes.
    const VERSION: u16 = 1;
    /// Names it in errors.
    const WHAT: &'static str;

    /// Reads the body that an earlier version wrote, where its fields were others.
    #[doc(hidden)]
    fn read_old(_version: u16, _body: &[u8]) -> Option<Result<Self, CodecError>> {
        None
    }
}

/// Writes a record.
pub fn encode<R: Record>(record: &R) -> Bytes {
    encode_as(R::TAG, R::VERSION, MUST_UNDERSTAND, record)
}

/// Reads a record.
///
/// # Errors
/// [`CodecError`], which says what is wrong with the bytes.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, CodecError> {
    let head = head(R::WHAT, bytes)?;
    if head.tag != R::TAG {
        return Err(CodecError::OtherTag { what: R::WHAT, tag: head.tag, wanted: R::TAG });
    }
    if !head.is_known(R::VERSION) {
        return Err(CodecError::Newer { what: R::WHAT, version: head.version });
    }
    R::read_old(head.version, &bytes[HEAD..]).unwrap_or_else(|| decode_body(R::WHAT, &bytes[HEAD..]))
}

pub(crate) struct Head {
    pub(crate) tag: u16,
    pub(crate) version: u16,
    pub(crate) flags: u8,
}

impl Head {
    /// Whether a reader of versions up to `version` can read the body.
    pub(crate) fn is_known(&self, version: u16) -> bool {
        self.version <= version && self.flags & !MUST_UNDERSTAND == 0
    }
}

pub(crate) fn head(what: &'static str, bytes: &[u8]) -> Result<Head, CodecError> {
    let &[t0, t1, v0, v1, flags, ..] = bytes else {
        return Err(CodecError::Short { what, len: bytes.len() });
    };
    let version = u16::from_le_bytes([v0, v1]);
    if version == 0 {
        return Err(CodecError::Body { what, cause: "there is no version 0".to_owned() });
    }
    Ok(Head { tag: u16::from_le_bytes([t0, t1]), version, flags })
}

pub(crate) fn encode_as<T: Serialize>(tag: u16, version: u16, flags: u8, body: &T) -> Bytes {
    thread_local! {
        /// Records are written here and then copied once, to a place of the right size.
        static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        draft.extend_from_slice(&tag.to_le_bytes());
        draft.extend_from_slice(&version.to_le_bytes());
        draft.push(flags);
        bincode::serde::encode_into_std_write(body, draft, bincode::config::standard())
            .expect("a frozen record holds nothing that bincode refuses, and a vector takes every byte");
        let record = Bytes::copy_from_slice(draft);
        draft.shrink_to(DRAFT_KEPT);
        record
    })
}

pub(crate) fn decode_body<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard();
    let (value, used) = if Guard::DecodeLimit.holds() {
        bincode::serde::decode_from_slice(body, config.with_limit::<LIMIT>())
    } else {
        bincode::serde::decode_from_slice(body, config)
    }
    .map_err(|error| CodecError::Body { what, cause: error.to_string() })?;
    if used < body.len() && Guard::Trailing.holds() {
        return Err(CodecError::Trailing { what, left: body.len() - used });
    }
    Ok(value)
}
