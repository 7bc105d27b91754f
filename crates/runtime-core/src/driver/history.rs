//! What was said in a session.

use std::collections::HashMap;
use std::sync::Arc;

use runtime_codec::decode;
use runtime_traits::content::Content;
use runtime_traits::id::RunId;
use runtime_traits::log::{Entry, EntryKind, Head, Message};
use runtime_traits::model::Spoken;
use runtime_traits::name::{NameError, SessionName, Tenant};
use runtime_traits::runtime::{AgentRef, Page, RuntimeError, Said};
use runtime_traits::store::{Log, Seq};

use super::inner::Inner;
use super::load::PAGE;
use crate::engine::batches::Place;
use crate::engine::keys;
use crate::engine::machine::said::said_in;

/// Messages on a page, if the caller does not say.
const PAGE_DEFAULT: u32 = 50;

/// Messages that follow each other in a session's log.
#[derive(Debug, Default)]
struct Stretch {
    first: u64,
    messages: Vec<Option<Message>>,
}

impl Stretch {
    fn take(&mut self, seq: Seq) -> Option<Message> {
        let at = usize::try_from(seq.0.checked_sub(self.first)?).ok()?;
        self.messages.get_mut(at)?.take()
    }

    fn into_all(self) -> impl Iterator<Item = (Seq, Message)> {
        let numbered = self.messages.into_iter().zip(self.first..);
        numbered.filter_map(|(message, seq)| message.map(|message| (Seq(seq), message)))
    }
}

impl Inner {
    /// The messages of a session's log from `from` on, before `end`, that are still there.
    async fn messages_between(&self, log: &Log, from: Seq, end: Seq) -> Result<Stretch, RuntimeError> {
        let mut stretch = Stretch::default();
        let mut from = from;
        while from < end {
            let limit = u32::try_from(end.0 - from.0).unwrap_or(PAGE).min(PAGE);
            let tail = self.store.read(log, from, limit).await?;
            if tail.entries.is_empty() {
                break;
            }
            if stretch.messages.is_empty() {
                // What comes before it was let go.
                stretch.first = tail.first.0;
            }
            for (bytes, seq) in tail.entries.iter().zip(tail.first.0..).take_while(|(_, seq)| *seq < end.0) {
                let damaged = |error| RuntimeError::Damaged { what: format!("`{log}` at {seq} ({error})") };
                stretch.messages.push(Some(decode::<Message>(bytes).map_err(damaged)?));
            }
            from = Seq(tail.first.0 + tail.entries.len() as u64);
        }
        Ok(stretch)
    }

    /// The messages of a session from `first` on, before `end`, in their order.
    pub(super) async fn messages_in(
        &self,
        place: &Place,
        first: Seq,
        end: Seq,
    ) -> Result<Vec<(Seq, Message)>, RuntimeError> {
        let log = keys::messages(&place.tenant, &place.agent, &place.session);
        Ok(self.messages_between(&log, first, end).await?.into_all().collect())
    }

    /// The conversation that ends with the message `last`: its last `most` messages, oldest first. Messages that were
    /// rolled back are nobody's predecessor.
    pub(super) async fn chain(
        &self,
        place: &Place,
        last: Seq,
        most: usize,
    ) -> Result<Vec<(Seq, Message)>, RuntimeError> {
        let log = &keys::messages(&place.tenant, &place.agent, &place.session);
        let mut chain: Vec<(Seq, Message)> = Vec::new();
        let mut at = Some(last);
        while let Some(seq) = at
            && chain.len() < most
        {
            let missing = (most - chain.len()) as u64;
            let from = Seq((seq.0 + 1).saturating_sub(missing).max(1));
            let mut page = self.messages_between(log, from, seq.next()).await?;
            // What is not there was let go.
            let Some(message) = page.take(seq) else { break };
            at = message.after;
            chain.push((seq, message));
            while let Some(before) = at
                && chain.len() < most
                && let Some(message) = page.take(before)
            {
                at = message.after;
                chain.push((before, message));
            }
        }
        chain.reverse();
        Ok(chain)
    }

    /// The last `most` messages of a session up to `last`, with their contents.
    pub(super) async fn history(
        &self,
        place: &Place,
        last: Seq,
        most: usize,
    ) -> Result<Arc<[Spoken]>, RuntimeError> {
        let mut history = Vec::new();
        for (_, message) in self.chain(place, last, most).await? {
            let Message { author, content, run, .. } = message;
            let content = self.resolve(&place.tenant, place.agent.partition(), &content).await?;
            history.push(Spoken { author, run, content });
        }
        Ok(history.into())
    }

    /// The contents of what a run has said, by their numbers.
    pub(super) async fn said_in(
        &self,
        place: &Place,
        log: &[Entry],
    ) -> Result<HashMap<Seq, Content>, RuntimeError> {
        let mut contents = HashMap::new();
        let Some((first, end)) = said_in(log) else { return Ok(contents) };
        let of = keys::messages(&place.tenant, &place.agent, &place.session);
        for (seq, message) in self.messages_between(&of, first, end).await?.into_all() {
            let content = self.resolve(&place.tenant, place.agent.partition(), &message.content).await?;
            contents.insert(seq, content);
        }
        let whole = (first.0..end.0).all(|seq| contents.contains_key(&Seq(seq)));
        if whole { Ok(contents) } else { Err(RuntimeError::Damaged { what: format!("`{of}`") }) }
    }

    /// The content of the last message before `end` in a run's session; `None` when it was let go.
    pub(super) async fn said_by(
        &self,
        tenant: &Tenant,
        run: &RunId,
        end: Seq,
    ) -> Result<Option<Content>, RuntimeError> {
        let first = self.entries_upto(run, 1).await?;
        let Some(EntryKind::Accepted(accepted)) = first.first().map(|entry| &entry.kind) else {
            return Ok(None);
        };
        let log = keys::messages(tenant, &accepted.agent, &accepted.session);
        let at = Seq(end.0.saturating_sub(1));
        match self.messages_between(&log, at, end).await?.take(at) {
            Some(message) => self.resolve(tenant, run.partition(), &message.content).await.map(Some),
            None => Ok(None),
        }
    }

    /// A page of what was said in a session, the newest first of all.
    pub(super) async fn messages(
        &self,
        tenant: &Tenant,
        agent: &AgentRef,
        session: &SessionName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Said>, RuntimeError> {
        let id = self.find(tenant, agent).await?;
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(1_000) } as usize;
        let last = match before {
            Some(before) => match before.parse() {
                Ok(seq) => Some(Seq(seq)),
                Err(_) => {
                    return Err(NameError::new("page", before, "what the last page's `next` said").into());
                }
            },
            None => self.record::<Head>(&keys::head(tenant, &id, session)).await?.map(|head| head.last),
        };
        let Some(last) = last else { return Ok(Page { items: Vec::new(), next: None }) };
        let run = RunId::from_parts(id.partition(), uuid::Uuid::nil());
        let place = Place { tenant: tenant.clone(), agent: id, session: session.clone(), run };
        let chain = self.chain(&place, last, limit).await?;
        let next = chain.first().and_then(|(_, message)| message.after).map(|seq| seq.0.to_string());
        let mut items = Vec::new();
        for (seq, message) in chain {
            let Message { author, content, run, at, .. } = message;
            let content = self.resolve(tenant, id.partition(), &content).await?;
            items.push(Said { seq, author, run, at, content });
        }
        Ok(Page { items, next })
    }
}
