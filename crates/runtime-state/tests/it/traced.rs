//! What a traced store tells, as a subscriber of our own reads it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use runtime_state::{MemoryStore, TracedStore};
use runtime_testkit::block_on;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Batch, BatchId, Durability, Key, Log, Seq, StateError, StateStore, Then, When};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Fields = BTreeMap<String, String>;

/// Keeps every span's name and fields.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(String, Fields)>>>);

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "runtime_state::traced"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Reader(&mut fields));
        let mut spans = self.0.lock().unwrap();
        spans.push((span.metadata().name().to_owned(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.0.lock().unwrap();
        values.record(&mut Reader(&mut spans[span.into_u64() as usize - 1].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn every_call_is_told_with_counts_and_outcome_and_without_paths_and_values() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let here = Partition { pool: Pool::MAIN, index: 5 };
    let (key, log) = (Key::new(here, "t/acme/key").unwrap(), Log::new(here, "t/acme/log").unwrap());
    let batch = |id, when| Batch {
        id: BatchId(id),
        partition: here,
        fence: None,
        when,
        then: vec![
            Then::Put(key.clone(), "secret".into()),
            Then::Append(log.clone(), vec!["secret".into(), "secret".into()]),
        ],
        durability: Durability::Memory,
    };
    let error = block_on(async {
        let store = TracedStore::new(MemoryStore::new());
        store.commit(batch(1, vec![When::Absent(key.clone())])).await.unwrap();
        let error = store.commit(batch(2, vec![When::Absent(key.clone())])).await.unwrap_err();
        store.get(&[key.clone(), Key::new(here, "t/acme/none").unwrap()]).await.unwrap();
        store.scan(&Key::all(here), None, 7).await.unwrap();
        store.read(&log, Seq(1), 8).await.unwrap();
        store.logs(&Log::all(here), None, 9).await.unwrap();
        store.partitions().await.unwrap();
        error
    });
    assert_eq!(error, StateError::Conflict { condition: 0 });

    let told = spans.0.lock().unwrap();
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "store.commit",
        "store.commit",
        "store.get",
        "store.scan",
        "store.read",
        "store.logs",
        "store.partitions",
    ];
    assert_eq!(names, expected);
    let fields = |n: usize, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| told[n].1.get(*name).cloned().unwrap_or_default()).collect()
    };
    let of_commit =
        ["store", "partition", "writes", "bytes", "conditions", "fenced", "durability", "given", "outcome"];
    let outcome = |word: &str| format!("{word:?}");
    assert_eq!(
        fields(0, &of_commit),
        ["memory", "main.5", "3", "38", "1", "false", "Memory", "Memory", &outcome("ok")]
    );
    assert_eq!(fields(1, &["given", "outcome"]), ["", &outcome("conflict")]);
    let of_page = ["partition", "asked", "found", "bytes", "outcome"];
    assert_eq!(fields(2, &of_page), ["main.5", "2", "1", "6", &outcome("ok")]);
    assert_eq!(fields(3, &of_page), ["main.5", "7", "1", "6", &outcome("ok")]);
    assert_eq!(fields(4, &of_page), ["main.5", "8", "2", "12", &outcome("ok")]);
    assert_eq!(fields(5, &of_page), ["main.5", "9", "1", "", &outcome("ok")]);
    assert_eq!(fields(6, &["found", "outcome"]), ["1", &outcome("ok")]);
    for (name, fields) in told.iter() {
        assert!(fields.contains_key("elapsed_us"), "{name}");
        for said in ["acme", "secret"] {
            assert!(!fields.values().any(|value| value.contains(said)), "{name}: {fields:?}");
        }
    }
}
