//! What is wrong with the entries of a log.

use runtime_codec::file::FileContent;
use runtime_codec::{
    CodecError, InboxMail, LogSort, Mail, OpenRun, OutboxMail, decode, decode_announced, decode_entry,
    decode_event, keys, named_by_entry, named_by_mail, named_by_message,
};
use runtime_traits::id::AgentId;
use runtime_traits::log::{EntryKind, Message};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Seq, StateStore};

use super::damage::Fault;

/// What an entry says.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Run(EntryKind),
    Message(Message),
    /// With the partition whose contents it names, if that is another one.
    Mail(Option<Partition>, Box<Mail>),
    Event,
    Unknown,
}

/// Reads an entry of a log.
pub(crate) fn read_entry(sort: LogSort, seq: Seq, bytes: &[u8]) -> Result<Said, CodecError> {
    Ok(match sort {
        LogSort::Run => Said::Run(decode_entry(seq, bytes)?.kind),
        LogSort::Messages => Said::Message(decode(bytes)?),
        LogSort::Inbox => {
            let InboxMail { from, mail, .. } = decode(bytes)?;
            Said::Mail(Some(from), Box::new(mail))
        }
        LogSort::Outbox => {
            let OutboxMail { mail, .. } = decode(bytes)?;
            Said::Mail(None, Box::new(mail))
        }
        LogSort::Announced => {
            decode_announced(bytes)?;
            Said::Event
        }
        LogSort::Topic => {
            decode_event(bytes)?;
            Said::Event
        }
        LogSort::Unknown => Said::Unknown,
    })
}

impl Said {
    /// The content that it names, and in which partition, if not its own.
    pub(crate) fn names(&self) -> Option<(Option<Partition>, FileContent)> {
        match self {
            Self::Run(kind) => named_by_entry(kind).map(|content| (None, content)),
            Self::Message(message) => named_by_message(message).map(|content| (None, content)),
            Self::Mail(from, mail) => named_by_mail(mail).map(|content| (*from, content)),
            Self::Event | Self::Unknown => None,
        }
    }
}

/// Whose a mail is: that says the run that it is for. `None`: nobody waits for it any more.
pub(crate) async fn tenant_of_mail(store: &dyn StateStore, mail: &Mail) -> Option<Tenant> {
    match mail {
        Mail::Start(child) => Some(child.tenant.clone()),
        Mail::Over { parent, .. } => {
            let cell = store.get(&[keys::open(parent)]).await.ok()?.pop().flatten()?;
            decode::<OpenRun>(&cell.value).ok().map(|open| open.tenant)
        }
        Mail::Cancel { .. } => None,
    }
}

/// The order of a run's entries: the acceptance first and never again, nothing after the end. Pure.
#[derive(Debug, Default)]
pub(crate) struct RunOrder {
    /// Whose run it is.
    pub(crate) of: Option<(AgentId, SessionName)>,
    /// Whether its outcome stands in it.
    pub(crate) ended: bool,
}

impl RunOrder {
    pub(crate) fn take(&mut self, seq: Seq, kind: &EntryKind) -> Option<Fault> {
        let after_end = self.ended;
        self.ended |= matches!(kind, EntryKind::Ended(_));
        match kind {
            _ if after_end => Some(Fault::dangling("it stands after the end of its run")),
            EntryKind::Accepted(accepted) if seq == Seq::FIRST => {
                self.of = Some((accepted.agent, accepted.session.clone()));
                None
            }
            EntryKind::Accepted(_) => Some(Fault::dangling("a run is accepted once, in its first entry")),
            EntryKind::Unrecognised { .. } => None,
            _ if seq == Seq::FIRST => Some(Fault::dangling("the first entry of a run is no acceptance")),
            _ => None,
        }
    }
}

/// Whether a message follows one that comes later than itself.
pub(crate) fn follows_later(seq: Seq, message: &Message) -> Option<Fault> {
    let later = message.after.filter(|after| *after >= seq)?;
    Some(Fault::dangling(format!("it follows message {}, which is later", later.0)))
}
