//! How Agent Runtime writes things down.
//!
//! A *record* is a tag, a version, flags, and a body: the [`bincode`](https://docs.rs/bincode) encoding of a struct
//! that is frozen for that version. Golden bytes of each are kept in this crate's tests. What users define (inputs,
//! state, arguments) is JSON or text inside a body, never bincode.
#![doc = include_str!("../README.md")]

mod cells;
mod chunks;
mod entries;
mod error;
mod events;
pub mod file;
pub mod keys;
mod layout;
mod mail;
mod named;
mod old;
mod record;
mod records;
mod snapshot;

pub use cells::{CellRecord, decode_cell};
pub use chunks::{CHUNK, chunks, count_chunks};
pub use entries::{decode_entry, encode_entry};
pub use error::CodecError;
pub use events::{
    AnnouncedRecord, CursorRecord, EventRecord, decode_announced, decode_event, encode_announced,
    encode_event,
};
pub use layout::{CellSort, LogSort, Whose, cell_sort, log_sort};
pub use mail::{Child, Cursor, InboxMail, Mail, OutboxMail};
pub use named::{Hashing, beside, made_of, named_by_cell, named_by_entry, named_by_mail, named_by_message};
pub use record::{Record, decode, encode};
pub use records::{
    ContentMark, Due, EndedRun, IdemRecord, LimitsRecord, NameRecord, OpenRun, OwnerRecord, ScheduleRecord,
    SpecRecord, StateRecord, SweptRun, WantRecord,
};
pub use snapshot::{
    ContentRef, IndexRef, Kept, LastSaved, Manifest, SavedSession, Segment, SegmentIndex, SegmentRef,
    SessionList, SessionPage,
};
