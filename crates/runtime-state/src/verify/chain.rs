//! The messages of a conversation, from its head back.

use runtime_codec::{decode, named_by_message};
use runtime_traits::log::{Author, Head, Message};
use runtime_traits::name::Tenant;
use runtime_traits::store::{Log, Seq, StateError, StateStore, Tail};

use super::contents::Contents;
use super::damage::Fault;
use crate::pages::PAGE;

/// Messages that follow one another without a gap, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The oldest of them.
    pub(crate) first: Seq,
    /// The newest.
    pub(crate) last: Seq,
    /// How many.
    pub(crate) messages: u64,
    /// Whether the oldest is the first of the conversation, or follows one that was let go.
    pub(crate) begins: bool,
}

/// What is left of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Whole pieces, the newest first: one, unless something is damaged.
    pub(crate) stretches: Vec<Stretch>,
    /// What is wrong between them.
    pub(crate) faults: Vec<(Seq, Fault)>,
}

impl Chain {
    /// The longest whole piece; of two equals the newer.
    pub(crate) fn longest(&self) -> Option<Stretch> {
        self.stretches.iter().rev().max_by_key(|stretch| stretch.messages).copied()
    }
}

/// A page of messages, the last of which somebody asked for.
#[derive(Default)]
struct Window {
    first: u64,
    read: Vec<Result<Message, Fault>>,
}

/// Follows a conversation back. Where a message is damaged it goes on at the newest outcome before it: what the damaged
/// one followed is not known.
pub(crate) struct Follow<'a> {
    store: &'a dyn StateStore,
    log: &'a Log,
    tenant: &'a Tenant,
    first: Seq,
    next: Seq,
    window: Window,
}

impl<'a> Follow<'a> {
    pub(crate) async fn of(
        store: &'a dyn StateStore,
        log: &'a Log,
        tenant: &'a Tenant,
    ) -> Result<Self, StateError> {
        let Tail { first, next, .. } = store.read(log, Seq::FIRST, 0).await?;
        Ok(Self { store, log, tenant, first, next, window: Window::default() })
    }

    /// What is left of the conversation that ends with `head`. Messages with contents that are not whole are damaged.
    pub(crate) async fn chain(mut self, head: &Head, contents: &mut Contents<'_>) -> Chain {
        let mut chain = Chain::default();
        let mut at = head.last;
        if at >= self.next {
            let fault = Fault::dangling(format!("the last message is number {}, which is missing", at.0));
            chain.faults.push((at, fault));
            match self.outcome_before(self.next).await {
                Some(before) => at = before,
                None => return chain,
            }
        }
        // What was let go is not looked for.
        while at >= self.first {
            let (stretch, broken) = self.stretch(at, contents).await;
            chain.stretches.extend(stretch);
            let Some((seq, fault)) = broken else { break };
            chain.faults.push((seq, fault));
            match self.outcome_before(seq).await {
                Some(before) => at = before,
                None => break,
            }
        }
        chain
    }

    /// Whole messages from `last` back, and what ends them.
    async fn stretch(
        &mut self,
        last: Seq,
        contents: &mut Contents<'_>,
    ) -> (Option<Stretch>, Option<(Seq, Fault)>) {
        let mut stretch: Option<Stretch> = None;
        let mut at = last;
        loop {
            let message = match self.message(at).await {
                Ok(message) => message,
                Err(fault) => return (stretch, Some((at, fault))),
            };
            if let Some(content) = named_by_message(&message)
                && let Some(fault) = contents.check(self.tenant, &content).await
            {
                return (stretch, Some((at, fault)));
            }
            let stretch = stretch.get_or_insert(Stretch { first: at, last, messages: 0, begins: false });
            stretch.first = at;
            stretch.messages += 1;
            match message.after {
                Some(before) if before >= at => {
                    let fault = Fault::dangling(format!("it follows message {}, which is later", before.0));
                    return (Some(*stretch), Some((at, fault)));
                }
                Some(before) if before >= self.first => at = before,
                _ => {
                    stretch.begins = true;
                    return (Some(*stretch), None);
                }
            }
        }
    }

    /// The newest outcome of an agent before a number.
    async fn outcome_before(&mut self, seq: Seq) -> Option<Seq> {
        let mut at = seq.0.checked_sub(1)?;
        while at >= self.first.0.max(1) {
            if let Ok(Message { author: Author::Agent, .. }) = self.message(Seq(at)).await {
                return Some(Seq(at));
            }
            at -= 1;
        }
        None
    }

    async fn message(&mut self, seq: Seq) -> Result<Message, Fault> {
        let inside = seq.0.checked_sub(self.window.first).map(|at| at as usize);
        if inside.is_none_or(|at| at >= self.window.read.len()) {
            self.window = self.window_up_to(seq).await;
        }
        let at = seq.0.checked_sub(self.window.first).map(|at| at as usize);
        let missing = || Err(Fault::dangling(format!("message {} is missing", seq.0)));
        at.and_then(|at| self.window.read.get(at)).cloned().unwrap_or_else(missing)
    }

    async fn window_up_to(&self, seq: Seq) -> Window {
        let from = Seq(seq.0.saturating_sub(u64::from(PAGE) - 1).max(self.first.0).max(1));
        let read = |bytes: &bytes::Bytes| decode::<Message>(bytes).map_err(Fault::from);
        let limit = (seq.0 + 1 - from.0) as u32;
        match self.store.read(self.log, from, limit).await {
            Ok(tail) => Window { first: tail.first.0, read: tail.entries.iter().map(read).collect() },
            // One of them cannot be read: this one by itself.
            Err(_) => {
                let one = match self.store.read(self.log, seq, 1).await {
                    Ok(tail) => match tail.entries.first() {
                        Some(bytes) if tail.first == seq => read(bytes),
                        _ => Err(Fault::dangling(format!("message {} is missing", seq.0))),
                    },
                    Err(error) => Err(Fault::from(&error)),
                };
                Window { first: seq.0, read: vec![one] }
            }
        }
    }
}
