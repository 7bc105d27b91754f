//! Where a saved conversation goes in the log of an agent: pure.

use runtime_codec::SavedSession;
use runtime_traits::log::{Head, Message};
use runtime_traits::store::Seq;

/// What becomes of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has none.
    Nowhere,
    /// Its messages stand in the log: the head moves there.
    There(Head),
    /// Its messages are appended as copies.
    Copies(Copies),
}

/// Copies of messages, and by how much their numbers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    /// The number of the first copy.
    pub(super) at: Seq,
    /// The head, as saved.
    head: Head,
    /// The number of the first message, as saved.
    first: u64,
}

/// Where a conversation goes in a log that has the messages from `first` on, before `next`. A log is never rewritten, so
/// that messages of the same agent are under their numbers what they were, unless they were damaged: whoever calls looks.
/// But what was trimmed is gone, and a message whose predecessor is gone would need another link. Then all are copied.
///
/// `None`: there is no room for it, for its numbers are none that a conversation has.
pub(super) fn place(saved: &SavedSession, is_same_agent: bool, first: Seq, next: Seq) -> Option<Place> {
    let Some(head) = saved.head else { return Some(Place::Nowhere) };
    let stands = is_same_agent && head.last < next;
    Some(match saved.first().filter(|first| *first <= head.last.0) {
        Some(saved) if stands && first.0 <= saved => Place::There(head),
        Some(first) => {
            (head.last.0 - first).checked_add(next.0)?;
            Place::Copies(Copies { at: next, head, first })
        }
        // Nothing of it was left to save.
        None if stands => Place::There(head),
        None => Place::Nowhere,
    })
}

impl Copies {
    /// Whether the message with this number belongs to it.
    pub(super) fn has(&self, seq: u64) -> bool {
        seq <= self.head.last.0
    }

    /// The head of the copies.
    pub(super) fn head(&self) -> Head {
        Head { last: self.moved(self.head.last), ..self.head }
    }

    /// The copy of a message. One whose predecessor is not in the snapshot is the first of its conversation.
    pub(super) fn copy(&self, message: Message) -> Message {
        let is_copied = |after: &Seq| (self.first..=self.head.last.0).contains(&after.0);
        let after = message.after.filter(is_copied).map(|after| self.moved(after));
        Message { after, ..message }
    }

    fn moved(&self, seq: Seq) -> Seq {
        Seq(seq.0 - self.first + self.at.0)
    }
}

#[cfg(test)]
mod tests {
    use runtime_codec::SegmentRef;
    use runtime_traits::clock::UnixMillis;
    use runtime_traits::content::{Content, Digest, Payload};
    use runtime_traits::id::RunId;
    use runtime_traits::log::Author;
    use runtime_traits::name::SessionName;
    use runtime_traits::partition::{Partition, Pool};
    use uuid::Uuid;

    use super::*;

    fn run() -> RunId {
        RunId::from_parts(Partition { pool: Pool::MAIN, index: 1 }, Uuid::from_u128(1))
    }

    fn saved(first: u64, last: u64) -> SavedSession {
        let messages = (last + 1 - first) as u32;
        let open = vec![SegmentRef { hash: Digest::of(b""), len: 1, first, messages }];
        let head = Head { last: Seq(last), messages: last, run: run(), at: UnixMillis(1) };
        let open = if messages == 0 { Vec::new() } else { open };
        SavedSession { session: SessionName::default(), head: Some(head), state: None, sealed: vec![], open }
    }

    fn at(saved: &SavedSession, is_same_agent: bool, first: u64, next: u64) -> Place {
        place(saved, is_same_agent, Seq(first), Seq(next)).expect("there is room")
    }

    #[test]
    fn numbers_for_which_there_is_no_room_are_nowhere_put() {
        let session = saved(1, u32::MAX.into());
        assert!(place(&session, false, Seq(1), Seq(u64::MAX - 9)).is_none());
    }

    #[test]
    fn what_stands_in_the_log_is_not_copied() {
        let session = saved(3, 10);
        let there = Place::There(session.head.expect("it has one"));
        assert_eq!(at(&session, true, 1, 11), there);
        assert_eq!(at(&session, true, 3, 500), there);
        assert_eq!(at(&saved(11, 10), true, 11, 11), Place::There(saved(11, 10).head.expect("it has one")));
    }

    #[test]
    fn what_was_trimmed_or_is_another_agents_is_copied_as_a_whole() {
        let session = saved(3, 10);
        for (is_same_agent, first, next) in [(true, 4, 500), (true, 11, 11), (false, 1, 500), (true, 1, 5)] {
            let Place::Copies(copies) = at(&session, is_same_agent, first, next) else {
                unreachable!("{first} {next}")
            };
            assert_eq!((copies.at, copies.head().last), (Seq(next), Seq(next + 7)));
            assert!(copies.has(10) && !copies.has(11));
        }
        assert_eq!(at(&saved(11, 10), false, 1, 5), Place::Nowhere);
        assert_eq!(at(&SavedSession { head: None, ..saved(1, 5) }, true, 1, 6), Place::Nowhere);
    }

    #[test]
    fn links_point_at_copies_and_never_at_what_is_not_one() {
        let Place::Copies(copies) = at(&saved(3, 10), false, 1, 100) else { unreachable!("another agent's") };
        let message = |after| Message {
            author: Author::Caller,
            content: Payload::of(&Content::text("x")),
            run: run(),
            at: UnixMillis(1),
            after,
        };
        let after = |after| copies.copy(message(after)).after;
        assert_eq!(after(Some(Seq(3))), Some(Seq(100)));
        assert_eq!(after(Some(Seq(9))), Some(Seq(106)));
        assert_eq!(after(Some(Seq(2))), None);
        assert_eq!(after(Some(Seq(u64::MAX))), None);
        assert_eq!(after(None), None);
    }
}
