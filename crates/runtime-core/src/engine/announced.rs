//! What a batch is announced as. Pure.

use runtime_codec::encode_event;
use runtime_traits::bus::{Event, EventId};
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{DecidedBy, Entry, EntryKind};
use runtime_traits::partition::Partition;
use runtime_traits::store::Seq;

/// The events of a batch, in the order of their causes.
#[derive(Debug, Default)]
pub struct Told {
    /// Those that the bus keeps: they ride in the batch.
    pub kept: Vec<Event>,
    /// Those that are heard at most: they are published from memory once the batch is committed.
    pub heard: Vec<Event>,
}

impl Told {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.heard.is_empty()
    }

    /// Takes those of another batch in.
    pub fn join(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.heard.extend(other.heard);
    }
}

/// The id of an event that is kept: of what it says, and of its place among what its partition announces. So it is the same
/// however often the event is delivered, and by whichever process.
pub fn event_id(partition: Partition, seq: Seq, nth: usize, event: &Event) -> EventId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(partition.to_string().as_bytes()).update(&[0]);
    hasher.update(&seq.0.to_le_bytes()).update(&(nth as u64).to_le_bytes());
    hasher.update(&encode_event(UnixMillis(0), event));
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    EventId::from_bytes(id)
}

/// Who wanted a run to end, if somebody did.
pub fn ended_by(log: &[Entry]) -> Option<&DecidedBy> {
    log.iter().rev().find_map(|entry| match &entry.kind {
        EntryKind::CancelRequested(requested) => Some(&requested.by),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use runtime_traits::partition::Pool;

    use super::*;

    #[test]
    fn an_id_follows_from_the_place_and_from_what_is_said() {
        let partition = |index| Partition { pool: Pool::MAIN, index };
        let event = |data: u32| Event::new("agents/docs/run.completed", &data).expect("a good topic");
        let id = event_id(partition(3), Seq(7), 1, &event(5));

        assert_eq!(id, event_id(partition(3), Seq(7), 1, &event(5)));
        for other in [
            event_id(partition(4), Seq(7), 1, &event(5)),
            event_id(partition(3), Seq(8), 1, &event(5)),
            event_id(partition(3), Seq(7), 2, &event(5)),
            event_id(partition(3), Seq(7), 1, &event(6)),
        ] {
            assert_ne!(id, other);
        }
    }
}
