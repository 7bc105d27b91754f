//! Logs of messages and of mail: every number is kept, with a notice where something is lost.

use bytes::Bytes;
use runtime_codec::{
    InboxMail, LogSort, Mail, OutboxMail, Whose, decode, decode_announced, encode, encode_announced, keys,
    named_by_mail, named_by_message,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{Author, Message};
use runtime_traits::store::{LogExtent, Seq};
use uuid::Uuid;

use super::RepairError;
use super::notes::ChangeSort;
use super::part::Part;
use super::runs::LOST;
use crate::verify::damage::{DamagedPlace, Fault};
use crate::verify::entries::EachEntry;
use crate::verify::logs::{follows_later, tenant_of_mail};

impl Part<'_, '_> {
    /// The messages of a session. What is damaged becomes a notice that no conversation leads to.
    pub(super) async fn messages(&mut self, extent: LogExtent, whose: Whose) -> Result<(), RepairError> {
        let (Some(tenant), Some(agent), Some(session)) =
            (whose.tenant.clone(), whose.agent, whose.session.clone())
        else {
            return Ok(());
        };
        if self.is_lost(&tenant, &agent).await {
            let place = DamagedPlace::Log { path: extent.log.path.clone() };
            self.changed(ChangeSort::LeftOut, place, &whose, "nothing declares its agent any more");
            return self.keep_log_aside(extent, &whose, "nothing declares its agent any more").await;
        }
        self.kept.logs += 1;
        let log = extent.log.clone();
        // A piece that follows damage is a conversation's begin now.
        let begins = self.pieces.get(&(agent, session)).copied().flatten().filter(|piece| !piece.begins);
        self.writer.skip_to(&log, extent.first).await?;
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                let place = DamagedPlace::Entry { path: log.path.clone(), seq: seq.0 };
                let is_begin = begins.is_some_and(|piece| piece.first == seq);
                let (kept, lost) = match read {
                    Ok(bytes) => match self.message(seq, &bytes, &tenant, is_begin).await {
                        Ok(kept) => (kept, None),
                        Err(fault) => (notice(self.partition), Some((fault, Some(bytes)))),
                    },
                    Err(error) => (notice(self.partition), Some((Fault::from(&error), None))),
                };
                if let Some((fault, bytes)) = lost {
                    self.keep_aside(place.clone(), &whose, &fault.what, bytes)?;
                    self.changed(ChangeSort::LeftOut, place, &whose, fault.what);
                }
                self.append(&log, seq, kept).await?;
            }
        }
        Ok(())
    }

    async fn message(
        &mut self,
        seq: Seq,
        bytes: &Bytes,
        tenant: &runtime_traits::name::Tenant,
        is_begin: bool,
    ) -> Result<Bytes, Fault> {
        let message: Message = decode(bytes)?;
        if let Some(content) = named_by_message(&message)
            && let Some(fault) = self.look.contents.check(tenant, &content).await
        {
            return Err(fault);
        }
        if is_begin {
            return Ok(encode(&Message { after: None, ..message }));
        }
        follows_later(seq, &message).map_or(Ok(bytes.clone()), Err)
    }

    /// The run and the moment of a message.
    pub(super) async fn said_last(&self, whose: &Whose, last: Seq) -> Option<(RunId, UnixMillis)> {
        let log = keys::messages(whose.tenant.as_ref()?, whose.agent.as_ref()?, whose.session.as_ref()?);
        let tail = self.from.read(&log, last, 1).await.ok()?;
        let message: Message = decode(tail.entries.first()?).ok()?;
        Some((message.run, message.at))
    }

    /// What comes in, leaves, or is announced. What is damaged becomes mail that changes nothing, and no event, so that all others keep their numbers.
    pub(super) async fn mail(
        &mut self,
        sort: LogSort,
        extent: LogExtent,
        whose: Whose,
    ) -> Result<(), RepairError> {
        self.kept.logs += 1;
        let log = extent.log.clone();
        self.writer.skip_to(&log, extent.first).await?;
        if sort == LogSort::Outbox {
            self.outbox = extent.next;
        }
        let mut entries = EachEntry::of(extent);
        while let Some(page) = entries.next(self.from).await {
            for (seq, read) in page {
                let lost = match &read {
                    Ok(bytes) => self.mail_fault(sort, bytes).await,
                    Err(error) => Some(Fault::from(error)),
                };
                let kept = match (&lost, &read) {
                    (None, Ok(bytes)) => bytes.clone(),
                    _ => self.nothing(sort),
                };
                if let Some(fault) = lost {
                    let place = DamagedPlace::Entry { path: log.path.clone(), seq: seq.0 };
                    self.keep_aside(place.clone(), &whose, &fault.what, read.ok())?;
                    let then = match sort {
                        LogSort::Announced => "these events are told to nobody",
                        _ => "a run that waits for this mail goes on waiting: cancel it",
                    };
                    let what = format!("{}; {then}", fault.what);
                    self.changed(ChangeSort::LeftOut, place, &whose, what);
                }
                self.append(&log, seq, kept).await?;
            }
        }
        Ok(())
    }

    async fn mail_fault(&mut self, sort: LogSort, bytes: &[u8]) -> Option<Fault> {
        if sort == LogSort::Announced {
            return decode_announced(bytes).err().map(Fault::from);
        }
        let (from, mail) = if sort == LogSort::Inbox {
            match decode::<InboxMail>(bytes) {
                Ok(InboxMail { from, mail, .. }) => (from, mail),
                Err(error) => return Some(error.into()),
            }
        } else {
            match decode::<OutboxMail>(bytes) {
                Ok(OutboxMail { mail, .. }) => (self.partition, mail),
                Err(error) => return Some(error.into()),
            }
        };
        let content = named_by_mail(&mail)?;
        let tenant = tenant_of_mail(self.from, &mail).await?;
        if from == self.partition {
            return self.look.contents.check(&tenant, &content).await;
        }
        self.look.contents.beside(from).check(&tenant, &content).await
    }

    /// Mail about a run that never was.
    fn nothing(&self, sort: LogSort) -> Bytes {
        let partition = self.partition;
        let mail = Mail::Cancel { run: RunId::from_parts(partition, Uuid::nil()) };
        match sort {
            LogSort::Announced => encode_announced(UnixMillis(0), &[]),
            LogSort::Inbox => encode(&InboxMail { from: partition, number: 0, mail }),
            _ => encode(&OutboxMail { to: partition, mail }),
        }
    }
}

/// Stands where a message stood.
fn notice(partition: runtime_traits::partition::Partition) -> Bytes {
    encode(&Message {
        author: Author::Agent,
        content: Payload::Inline(Content::text(LOST)),
        run: RunId::from_parts(partition, Uuid::nil()),
        at: UnixMillis::default(),
        after: None,
    })
}
