//! What a machine has to commit.

use runtime_traits::content::Content;
use runtime_traits::id::RunId;
use runtime_traits::log::{Ended, Entry, EntryKind, Message, Outcome};
use runtime_traits::resource::NoRoom;
use runtime_traits::store::Seq;

use super::RunMachine;
use super::outside::Calling;
use super::reading::is_urgent;
use super::said::said_in;
use crate::engine::batches::fitting;

/// What is to be committed next.
#[derive(Debug)]
pub struct Outgoing {
    /// The entries to append, in one batch.
    pub entries: Vec<Entry>,
    /// Contents to be written before that batch, under their hashes.
    pub blobs: Vec<Content>,
    /// Messages to append to the session's log in that batch, with their numbers.
    pub messages: Vec<(Seq, Message)>,
    /// Runs of other agents that are asked for in that batch.
    pub calls: Vec<Calling>,
    /// The run that goes on, and its input, if the batch ends this one so.
    pub successor: Option<(RunId, Content)>,
    /// What the entries refuse because of a limit.
    pub refused: Vec<NoRoom>,
}

impl RunMachine {
    /// What is to be committed now, if no commit is under way. Entries that cause nothing outside ride along with the
    /// next one that does.
    pub fn take_batch(&mut self) -> Option<Outgoing> {
        // The log of an attempt that is over may have been taken.
        let news = self.log.get(self.sent..).unwrap_or_default();
        let urgent = news.iter().any(|entry| is_urgent(&entry.kind)) || (self.hurry && !news.is_empty());
        if self.sent > self.durable || !urgent {
            return None;
        }
        self.hurry = false;
        let said = |entry: &Entry| self.said.bytes(entry);
        self.sent = self.durable + fitting(&self.log[self.durable..], said);
        let entries = self.log[self.durable..self.sent].to_vec();
        let messages = self.said.take(said_in(&entries).map(|(_, end)| end));
        let opened = |calling: &mut Calling| {
            entries.iter().any(|entry| matches!(&entry.kind, EntryKind::WaitOpened(opened) if opened.on.step() == Some(&calling.step)))
        };
        let calls = self.calling.extract_if(.., opened).collect();
        let continues = |entry: &Entry| {
            matches!(&entry.kind, EntryKind::Ended(Ended { outcome: Outcome::Continued(_), .. }))
        };
        let successor = if entries.last().is_some_and(continues) { self.continuing.take() } else { None };
        let last = entries.last().map(|entry| entry.seq);
        let refused = self.refused.extract_if(.., |(seq, _)| Some(*seq) <= last).map(|(_, no_room)| no_room);
        let refused = refused.collect();
        let blobs = std::mem::take(&mut self.unwritten);
        Some(Outgoing { entries, blobs, messages, calls, successor, refused })
    }
}
