//! Copies of runs: a new run in a new session, which goes on from a point at which no step was open.

use std::collections::HashMap;
use std::sync::Arc;

use runtime_codec::{StateRecord, encode};
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Accepted, Entry, EntryKind, Head, Message, RunView};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::runtime::{ForkRequest, RuntimeError, Want};
use runtime_traits::store::{Revision, Seq, Then, When};

use super::commit::Patience;
use super::finish::accepted_of;
use super::inner::Inner;
use super::load::read;
use super::recover::Found;
use crate::engine::batches::{Place, Writes, fitting};
use crate::engine::fork::{copied, cut};
use crate::engine::keys;
use crate::engine::machine::said::said_in;

/// The most messages before a run that its copy is given.
const HISTORY: usize = 1_000;
/// Messages in one batch.
const GROUP: usize = 48;

impl Inner {
    /// Copies a run into a new session, where it goes on.
    pub(super) async fn fork(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        request: ForkRequest,
    ) -> Result<RunId, RuntimeError> {
        let (log, _) = self.tenant_log(tenant, run).await?;
        let Some(accepted) = accepted_of(&log) else { return Err(RuntimeError::UnknownRun { run: *run }) };
        let fork = RunId::mint(run.partition(), self.clock.as_ref(), self.entropy.as_ref());
        let session = match request.session {
            Some(session) => session,
            None => SessionName::new(format!("fork-{}", fork.unique().simple()))?,
        };
        let of = Place {
            tenant: tenant.clone(),
            agent: accepted.agent,
            session: accepted.session.clone(),
            run: *run,
        };
        let to = Place { session: session.clone(), run: fork, ..of.clone() };
        self.may_fork(&of, &to).await?;
        let upto = match &request.input {
            Some(_) => Seq::FIRST,
            None => cut(&log, request.upto.unwrap_or(Seq(u64::MAX))),
        };
        let kept = &log[..usize::try_from(upto.0).unwrap_or(usize::MAX).min(log.len())];
        let shift = self.copy_conversation(&of, &to, &log, said_in(kept)).await?;
        let mut begin = Accepted {
            session,
            idempotency_key: None,
            parent: None,
            copied_from: Some(*run),
            deadline: None,
            ..accepted.clone()
        };
        if let Some(input) = request.input {
            self.begin_with(&to, &mut begin, &input).await?;
        }
        let log = self.write_copy(&to, copied(kept, begin, shift)).await?;
        let view = RunView::of(fork, &log).ok_or(RuntimeError::UnknownRun { run: fork })?;
        let found = Found { place: to, accepted_by: Revision(0), log, view };
        if let Some((slot, log, view, claim)) = self.seat(found, &mut HashMap::new()).await? {
            self.go_on(&slot, log, &view, claim.entries, claim.next).await?;
        }
        Ok(fork)
    }

    async fn may_fork(&self, of: &Place, to: &Place) -> Result<(), RuntimeError> {
        let head = keys::head(&to.tenant, &to.agent, &to.session);
        let messages = keys::messages(&to.tenant, &to.agent, &to.session);
        let written = self.store.get(std::slice::from_ref(&head)).await?.pop().flatten().is_some()
            || self.store.read(&messages, Seq::FIRST, 1).await?.next > Seq::FIRST;
        let (want, busy) = self
            .with_agent(&to.tenant, &to.agent, |agent, _| {
                (agent.want, agent.session(&to.session).busy_with().is_some())
            })
            .await?;
        if want == Want::Stopped || self.config.at_rest {
            return Err(RuntimeError::NotStarted { agent: to.agent.to_string(), want: Want::Stopped });
        }
        if written || busy {
            let reason = format!("session `{}` is in use; name one that is not, or none", to.session);
            return Err(RuntimeError::CannotFork { run: of.run, reason });
        }
        Ok(())
    }

    async fn begin_with(
        &self,
        to: &Place,
        begin: &mut Accepted,
        input: &Content,
    ) -> Result<(), RuntimeError> {
        let size = input.bytes.len();
        if size == 0 {
            return Err(RuntimeError::EmptyInput);
        }
        if size > self.config.max_input {
            let limit = self.config.max_input as u64;
            return Err(RuntimeError::TooLarge { what: "the input".to_owned(), size: size as u64, limit });
        }
        (begin.input, begin.digest) = (Payload::of(input), input.digest());
        if let Payload::Blob { .. } = begin.input {
            let input = std::slice::from_ref(input);
            self.write_blobs(&to.tenant, to.run.partition(), input, Patience::OfCaller).await?;
        }
        Ok(())
    }

    /// Copies what was said before a run, and what it said itself, into the new session, with the session's state. By how
    /// much the numbers of the run's own messages differ then.
    async fn copy_conversation(
        &self,
        of: &Place,
        to: &Place,
        log: &[Entry],
        said: Option<(Seq, Seq)>,
    ) -> Result<i64, RuntimeError> {
        let mut messages: Vec<Message> = Vec::new();
        let mut last: Option<Seq> = None;
        if let Some(before) = self.said_before(of, log).await? {
            for (_, message) in self.chain(of, before, HISTORY).await? {
                messages.push(Message { after: last, ..message });
                last = Some(Seq(messages.len() as u64));
            }
        }
        let mut then = Vec::new();
        if let Some(last) = last {
            let head = Head { last, messages: last.0, run: of.run, at: self.clock.now() };
            then.push(Then::Put(keys::head(&to.tenant, &to.agent, &to.session), encode(&head)));
        }
        let shift = messages.len() as i64 + 1 - said.map_or(1, |(first, _)| first.0 as i64);
        if let Some((first, end)) = said {
            for (_, message) in self.messages_in(of, first, end).await? {
                messages.push(Message { after: last, run: to.run, ..message });
                last = Some(Seq(messages.len() as u64));
            }
        }
        let log = keys::messages(&to.tenant, &to.agent, &to.session);
        for (group, messages) in messages.chunks(GROUP).enumerate() {
            let when = vec![When::Next(log.clone(), Seq((group * GROUP) as u64 + 1))];
            let then = vec![Then::Append(log.clone(), messages.iter().map(encode).collect())];
            self.commit_now(to.run.partition(), Writes::of(when, then)).await?;
        }
        let state = keys::state(&of.tenant, &of.agent, &of.session);
        if let Some(state) = self.store.get(std::slice::from_ref(&state)).await?.pop().flatten() {
            let cell = keys::state(&to.tenant, &to.agent, &to.session);
            let record: StateRecord = read(&cell, &state)?;
            then.push(Then::Put(cell, encode(&record)));
        }
        if !then.is_empty() {
            self.commit_now(to.run.partition(), Writes::of(Vec::new(), then)).await?;
        }
        Ok(shift)
    }

    /// The last message of the conversation before a run.
    async fn said_before(&self, of: &Place, log: &[Entry]) -> Result<Option<Seq>, RuntimeError> {
        if let Some((first, _)) = said_in(log) {
            let own = self.messages_in(of, first, first.next()).await?;
            return Ok(own.into_iter().next().and_then(|(_, message)| message.after));
        }
        let cell = keys::head(&of.tenant, &of.agent, &of.session);
        let Some(head) = self.record::<Head>(&cell).await? else { return Ok(None) };
        let chain = self.chain(of, head.last, HISTORY).await?;
        // A run that is over has said something; those after it are left out with it.
        let own = chain.iter().find(|(_, message)| message.run == of.run);
        Ok(own.map_or(Some(head.last), |(_, message)| message.after))
    }

    /// Writes the log of a copy. It is open with its last batch: a copy that is cut off was never accepted.
    async fn write_copy(&self, to: &Place, kinds: Vec<EntryKind>) -> Result<Vec<Entry>, RuntimeError> {
        let partition = to.run.partition();
        let epoch = self.own(partition).await?.epoch;
        let at = self.clock.now();
        let entry = |(kind, seq): (EntryKind, u64)| Entry {
            seq: Seq(seq),
            at,
            attempt: u32::from(seq > 1),
            epoch,
            kind,
        };
        let log: Vec<Entry> = kinds.into_iter().zip(1..).map(entry).collect();
        let mut done = 0;
        while done < log.len() {
            let upto = done + fitting(&log[done..], |_| 0);
            let mut writes = Writes::append(to, &log[done..upto]);
            if upto == log.len() {
                writes.open(to);
            }
            self.commit_with(partition, writes, Patience::OfCaller).await?;
            done = upto;
        }
        Ok(log)
    }
}
