//! What is warned of, and told as an error.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::fmt::Debug;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static SAID: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// What is warned of on the thread of a test from now on.
pub(crate) struct Warnings {
    from: usize,
}

impl Warnings {
    /// All threads have one subscriber: of two, the second would not hear what the first one's thread was asked about.
    pub(crate) fn begin() -> Self {
        // Somebody was first.
        let _ = tracing::subscriber::set_global_default(Listener);
        Self { from: SAID.lock().unwrap().len() }
    }

    /// Those with these words, each as its fields.
    pub(crate) fn about(&self, words: &str) -> Vec<String> {
        let (said, here) = (SAID.lock().unwrap(), thread::current().id());
        let mine = said[self.from..].iter().filter(|(thread, said)| *thread == here && said.contains(words));
        mine.map(|(_, said)| said.clone()).collect()
    }
}

struct Listener;

struct Reader<'a>(&'a mut String);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        *self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = String::new();
        event.record(&mut Reader(&mut said));
        SAID.lock().unwrap().push((thread::current().id(), said));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
