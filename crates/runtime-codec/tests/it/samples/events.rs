//! What is written down of events.

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime_codec::{AnnouncedRecord, CursorRecord, EventRecord};
use runtime_traits::clock::UnixMillis;
use runtime_traits::name::Tenant;

use super::{Sample, run};

pub(super) fn events() -> Vec<Sample> {
    let least = EventRecord {
        at: UnixMillis(1_764_000_000_123),
        id: [7; 16],
        topic: "orders/new".to_owned(),
        tenant: Tenant::default(),
        source: "shop".to_owned(),
        run: None,
        causation: None,
        correlation: None,
        time: UnixMillis(1_764_000_000_000),
        hops: 0,
        reply_to: None,
        content_type: "application/json".to_owned(),
        headers: BTreeMap::new(),
        data: Bytes::from_static(b"7"),
    };
    let full = EventRecord {
        tenant: Tenant::new("acme").expect("a good name"),
        run: Some(run(4)),
        causation: Some([8; 16]),
        correlation: Some([9; 16]),
        hops: 3,
        reply_to: Some("replies/1".to_owned()),
        headers: BTreeMap::from([("colour".to_owned(), "r\u{f6}d".to_owned())]),
        ..least.clone()
    };
    let cursor = CursorRecord {
        writer: [6; 16],
        group: true,
        attempts: 5,
        first_pause: 200,
        longest_pause: 30_000,
        done: 300,
        ahead: vec![(302, 310), (400, 400)],
        failed: vec![(301, 2)],
    };
    vec![
        Sample::record("announced", AnnouncedRecord { events: vec![least.clone(), full.clone()] }),
        Sample::record("event.least", least),
        Sample::record("event.full", full),
        Sample::record("subscription", cursor),
    ]
}
