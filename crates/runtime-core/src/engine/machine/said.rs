//! Messages: what a run says into its session while it is worked. They live once, in the session's log; the run's log
//! holds their range.

use std::collections::HashMap;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Media, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Author, Entry, EntryKind, Message, StepSettled, StepSort};
use runtime_traits::store::Seq;

use super::RunMachine;
use crate::engine::batches::Conversation;

/// What a run has said, and where its session's log goes on.
#[derive(Debug)]
pub struct Said {
    run: RunId,
    next: Seq,
    /// The message that the next one comes after.
    last: Option<Seq>,
    /// Whether the input is among what was said.
    begun: bool,
    contents: HashMap<Seq, Content>,
    unsent: Vec<(Seq, Message)>,
}

/// Stands in the log where the value is a message.
pub(super) fn said_elsewhere() -> Payload {
    Payload::Inline(Content { media: Media::Json, bytes: bytes::Bytes::new() })
}

/// The messages that a log's run has said: the first, and one past the last.
pub fn said_in(log: &[Entry]) -> Option<(Seq, Seq)> {
    let ranges = log.iter().filter_map(|entry| match &entry.kind {
        EntryKind::StepSettled(settled) => settled.messages,
        _ => None,
    });
    ranges.reduce(|(first, end), (from, to)| (first.min(from), end.max(to)))
}

impl Said {
    /// What the log of a run has said into a conversation, with the contents of the messages.
    pub fn of(
        run: RunId,
        log: &[Entry],
        conversation: Conversation,
        contents: HashMap<Seq, Content>,
    ) -> Self {
        let said = said_in(log);
        let last = said.map(|(_, end)| Seq(end.0 - 1)).or(conversation.head.map(|head| head.last));
        let next = said.map_or(conversation.next, |(_, end)| end);
        Self { run, next, last, begun: said.is_some(), contents, unsent: Vec::new() }
    }

    /// The content of the last message before `end`.
    pub(super) fn content(&self, end: Seq) -> Content {
        let content = self.contents.get(&Seq(end.0.saturating_sub(1))).cloned();
        content.expect(
            "the messages of a log are loaded before its attempt begins, and those of the attempt are kept",
        )
    }

    /// How many bytes the messages of an entry take in its batch.
    pub(super) fn bytes(&self, entry: &Entry) -> u64 {
        let EntryKind::StepSettled(StepSettled { messages: Some((first, end)), .. }) = &entry.kind else {
            return 0;
        };
        let of = |seq: u64| {
            self.contents.get(&Seq(seq)).map_or(Payload::INLINE_LIMIT, |content| content.bytes.len())
        };
        (first.0..end.0).map(|seq| 256 + of(seq).min(Payload::INLINE_LIMIT) as u64).sum()
    }

    fn put(&mut self, author: Author, content: Payload, at: UnixMillis) {
        let message = Message { author, content, run: self.run, at, after: self.last };
        self.unsent.push((self.next, message));
        self.last = Some(self.next);
        self.next = self.next.next();
    }

    /// The messages before `end` that were not sent yet.
    pub(super) fn take(&mut self, end: Option<Seq>) -> Vec<(Seq, Message)> {
        let end = end.unwrap_or(Seq(0));
        let count = self.unsent.iter().take_while(|(seq, _)| *seq < end).count();
        self.unsent.drain(..count).collect()
    }
}

impl RunMachine {
    /// Says the value of a step, after the input if that was not said yet. The range of both.
    pub(super) fn say(&mut self, sort: Option<StepSort>, content: Content) -> (Seq, Seq) {
        let first = self.said.next;
        if !std::mem::replace(&mut self.said.begun, true)
            && let Some(EntryKind::Accepted(accepted)) = self.log.first().map(|entry| &entry.kind)
        {
            let input = accepted.input.clone();
            self.said.put(Author::Caller, input, self.now);
        }
        let author = if sort == Some(StepSort::Model) { Author::Model } else { Author::Tool };
        let payload = self.keep(&content);
        self.said.contents.insert(self.said.next, content);
        self.said.put(author, payload, self.now);
        (first, self.said.next)
    }
}
