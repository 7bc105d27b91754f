//! What reads bytes that anybody may have written.

use std::fmt;

use agent_runtime::fleet::{Fleet, StoreUri};
use runtime_codec::{
    Cursor, Due, EndedRun, IdemRecord, InboxMail, LimitsRecord, Manifest, NameRecord, OpenRun, OutboxMail,
    OwnerRecord, Record, Segment, SpecRecord, StateRecord, WantRecord, decode, decode_entry,
};
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{EntryKind, Head, Message};
use runtime_traits::store::Seq;
use runtime_traits::{AgentSpec, RunRequest};
use serde::de::DeserializeOwned;

/// Something that reads bytes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// As its folder in the corpus is called.
    pub(super) name: &'static str,
    /// Whether it took the bytes.
    pub(super) read: fn(&[u8]) -> bool,
    /// Whether bytes that go on after their end have to be refused.
    pub(super) ends: bool,
}

/// All of them.
pub(super) const TARGETS: &[Target] = &[
    Target { name: "entry", read: entry, ends: true },
    record::<OwnerRecord>("owner"),
    record::<NameRecord>("name"),
    record::<SpecRecord>("spec"),
    record::<OpenRun>("open-run"),
    record::<IdemRecord>("idempotency-key"),
    record::<EndedRun>("ended-run"),
    record::<Head>("head"),
    record::<StateRecord>("state"),
    record::<Message>("message"),
    record::<Due>("due"),
    record::<Manifest>("manifest"),
    record::<Segment>("segment"),
    record::<WantRecord>("want"),
    record::<LimitsRecord>("limits"),
    record::<Cursor>("cursor"),
    record::<OutboxMail>("outbox"),
    record::<InboxMail>("inbox"),
    json::<Content>("content"),
    json::<Payload>("payload"),
    json::<AgentSpec>("agent-spec"),
    json::<RunRequest>("run-request"),
    Target { name: "fleet", read: fleet, ends: false },
    Target { name: "store-uri", read: store_uri, ends: false },
];

const fn record<R: Record>(name: &'static str) -> Target {
    Target { name, read: |bytes| decode::<R>(bytes).is_ok(), ends: true }
}

const fn json<T: DeserializeOwned>(name: &'static str) -> Target {
    Target { name, read: |bytes| serde_json::from_slice::<T>(bytes).is_ok(), ends: false }
}

/// Of an entry that may be passed over nothing but the head is read.
fn entry(bytes: &[u8]) -> bool {
    decode_entry(Seq::FIRST, bytes).is_ok_and(|entry| !matches!(entry.kind, EntryKind::Unrecognised { .. }))
}

fn fleet(bytes: &[u8]) -> bool {
    match Fleet::parse(&String::from_utf8_lossy(bytes)) {
        Ok(_) => true,
        // What is said is written for people, and that is done here too.
        Err(faults) => faults.to_string().is_empty(),
    }
}

fn store_uri(bytes: &[u8]) -> bool {
    match String::from_utf8_lossy(bytes).parse::<StoreUri>() {
        Ok(uri) => uri.below("/").to_string().parse::<StoreUri>().is_ok(),
        Err(error) => error.to_string().is_empty(),
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
