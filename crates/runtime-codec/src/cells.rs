//! What a cell holds, by what it is.

use runtime_traits::agent::AgentSpec;
use runtime_traits::log::Head;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::schedule::Schedule;
use runtime_traits::store::Token;

use crate::error::CodecError;
use crate::events::{CursorRecord, EventRecord};
use crate::layout::CellSort;
use crate::mail::Cursor;
use crate::record::{Record, decode};
use crate::records::{
    ContentMark, Due, EndedRun, IdemRecord, LimitsRecord, NameRecord, OpenRun, OwnerRecord, ScheduleRecord,
    SpecRecord, StateRecord, SweptRun, WantRecord,
};
use crate::snapshot::{LastSaved, Manifest};

/// What a cell holds.
#[derive(Clone, Debug)]
pub enum CellRecord {
    /// After the token.
    Owner(OwnerRecord),
    /// A run that is not over.
    Open(OpenRun),
    /// What is to be done.
    Due(Due),
    /// How far somebody has come.
    Cursor(Cursor),
    /// An event that is to be published.
    Held(EventRecord),
    /// Who has the name.
    Name(NameRecord),
    /// Which run the key gave.
    Idem(IdemRecord),
    /// The declaration that counts, as it is stored and as it is read.
    Spec(SpecRecord, Box<AgentSpec>),
    /// An older one.
    Revision(SpecRecord),
    /// What somebody wants.
    Want(WantRecord),
    /// What the agents of the tenant may use together, as it is stored and as it is read.
    Limits(LimitsRecord, ResourceLimits),
    /// A run that is over.
    Ended(EndedRun),
    /// What is kept of a run whose log was let go.
    Swept(SweptRun),
    /// A sum.
    Usage(i64),
    /// When a content was last written or asked to be there.
    Mark(ContentMark),
    /// The last snapshot.
    Saved(LastSaved),
    /// Where a conversation ends.
    Head(Head),
    /// A session's state.
    State(StateRecord),
    /// How far a subscription to a durable topic has come.
    Subscription(CursorRecord),
    /// When an agent gets which run, as it is stored and as it is read.
    Schedule(ScheduleRecord, Box<Schedule>),
    /// A snapshot.
    Snapshot(Manifest),
    /// Bytes.
    Bytes,
}

/// Reads a cell of a known sort. Chunks of contents, and what this version does not know, are bytes.
///
/// # Errors
/// [`CodecError`], which says what is wrong with the value.
pub fn decode_cell(sort: CellSort, value: &[u8]) -> Result<CellRecord, CodecError> {
    Ok(match sort {
        CellSort::Owner => {
            let record = value.get(size_of::<Token>()..).unwrap_or_default();
            CellRecord::Owner(decode(record)?)
        }
        CellSort::Open => CellRecord::Open(decode(value)?),
        CellSort::Due => CellRecord::Due(decode(value)?),
        CellSort::Cursor => CellRecord::Cursor(decode(value)?),
        CellSort::Held => CellRecord::Held(decode(value)?),
        CellSort::Name => CellRecord::Name(decode(value)?),
        CellSort::Idem => CellRecord::Idem(decode(value)?),
        CellSort::Spec | CellSort::Revision(_) => {
            let record: SpecRecord = decode(value)?;
            let body =
                |cause: serde_json::Error| CodecError::Body { what: "agent spec", cause: cause.to_string() };
            let spec = serde_json::from_str(&record.spec).map_err(body)?;
            match sort {
                CellSort::Spec => CellRecord::Spec(record, Box::new(spec)),
                _ => CellRecord::Revision(record),
            }
        }
        CellSort::Want => CellRecord::Want(decode(value)?),
        CellSort::Limits => {
            let record: LimitsRecord = decode(value)?;
            let body = |cause: serde_json::Error| CodecError::Body {
                what: LimitsRecord::WHAT,
                cause: cause.to_string(),
            };
            let limits = serde_json::from_str(&record.limits).map_err(body)?;
            CellRecord::Limits(record, limits)
        }
        CellSort::Ended => CellRecord::Ended(decode(value)?),
        CellSort::Swept => CellRecord::Swept(decode(value)?),
        CellSort::Mark(_) => CellRecord::Mark(decode(value)?),
        CellSort::Usage | CellSort::Size => {
            let sum = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            CellRecord::Usage(sum.ok_or_else(|| CodecError::Body {
                what: "sum",
                cause: "it is no decimal number".to_owned(),
            })?)
        }
        CellSort::Saved => CellRecord::Saved(decode(value)?),
        CellSort::Head => CellRecord::Head(decode(value)?),
        CellSort::State => CellRecord::State(decode(value)?),
        CellSort::Subscription => CellRecord::Subscription(decode(value)?),
        CellSort::Schedule => {
            let record: ScheduleRecord = decode(value)?;
            let body = |cause: serde_json::Error| CodecError::Body {
                what: ScheduleRecord::WHAT,
                cause: cause.to_string(),
            };
            let schedule = serde_json::from_str(&record.schedule).map_err(body)?;
            CellRecord::Schedule(record, Box::new(schedule))
        }
        CellSort::Snapshot(_) => CellRecord::Snapshot(decode(value)?),
        CellSort::Blob(..) | CellSort::Unknown => CellRecord::Bytes,
    })
}
