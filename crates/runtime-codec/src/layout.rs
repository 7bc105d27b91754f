//! What a path of the keyspace names, and whose it is: [`keys`](crate::keys) read backwards.

use runtime_traits::content::Digest;
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::name::{SessionName, Tenant};
use runtime_traits::partition::Partition;
use runtime_traits::store::{Key, Log, Path};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whose something is, as far as its path tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Whose {
    /// The tenant.
    pub tenant: Option<Tenant>,
    /// The agent.
    pub agent: Option<AgentId>,
    /// The session.
    pub session: Option<SessionName>,
    /// The run.
    pub run: Option<RunId>,
}

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellSort {
    /// Who owns the partition.
    Owner,
    /// A run that is not over.
    Open,
    /// What is to be done then.
    Due,
    /// How far somebody has come.
    Cursor,
    /// An event whose topic is damaged.
    Held,
    /// Which agent has a name.
    Name,
    /// Which run a key gave.
    Idem,
    /// How an agent is declared.
    Spec,
    /// How it was declared in this revision.
    Revision(u32),
    /// What somebody wants of it.
    Want,
    /// What the agents of the tenant may use together.
    Limits,
    /// A run that is over.
    Ended,
    /// What is kept of a run whose log was let go.
    Swept,
    /// A sum of what an agent used.
    Usage,
    /// By how much the bytes of an agent or a session changed on a day.
    Size,
    /// When a content was last written or asked to be there.
    Mark(Digest),
    /// Which snapshot was made last.
    Saved,
    /// Where a conversation ends.
    Head,
    /// A session's state.
    State,
    /// How far a subscription to a durable topic has come.
    Subscription,
    /// When an agent gets which run.
    Schedule,
    /// A snapshot.
    Snapshot(StateId),
    /// A chunk of content.
    Blob(Digest, u32),
    /// Nothing that this version writes.
    Unknown,
}

/// What a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSort {
    /// What happened in a run.
    Run,
    /// The messages of a session.
    Messages,
    /// What comes into the partition.
    Inbox,
    /// What leaves it.
    Outbox,
    /// What is to be published of what happened in it.
    Announced,
    /// The events of a durable topic.
    Topic,
    /// Nothing that this version writes.
    Unknown,
}

/// What a cell is, and whose.
///
/// ```
/// use runtime_codec::{CellSort, cell_sort, keys};
/// use runtime_traits::{Partition, Pool};
///
/// let partition = Partition { pool: Pool::MAIN, index: 17 };
/// assert_eq!(cell_sort(&keys::own(partition)).0, CellSort::Owner);
/// ```
pub fn cell_sort(cell: &Key) -> (CellSort, Whose) {
    known(&cell.path).and_then(|parts| cell_of(cell.partition, &parts)).unwrap_or_else(|| {
        // Whose it is may be readable where the rest is not.
        (CellSort::Unknown, known(&cell.path).map(|parts| whose(cell.partition, &parts)).unwrap_or_default())
    })
}

/// What a log is, and whose.
pub fn log_sort(log: &Log) -> (LogSort, Whose) {
    let Some(parts) = known(&log.path) else { return (LogSort::Unknown, Whose::default()) };
    let whose = whose(log.partition, &parts);
    let sort = match parts[..] {
        ["inbox"] => LogSort::Inbox,
        ["outbox"] => LogSort::Outbox,
        ["announced"] => LogSort::Announced,
        ["run", _] if whose.run.is_some() => LogSort::Run,
        ["t", _, "msg", _, _] if whose.session.is_some() && whose.agent.is_some() => LogSort::Messages,
        ["t", _, "topic", _, ..] if whose.tenant.is_some() => LogSort::Topic,
        _ => LogSort::Unknown,
    };
    (sort, whose)
}

fn known(path: &Path) -> Option<Vec<&str>> {
    Some(std::str::from_utf8(path.as_bytes()).ok()?.split('/').collect())
}

fn cell_of(partition: Partition, parts: &[&str]) -> Option<(CellSort, Whose)> {
    let whose = whose(partition, parts);
    let of_agent = |sort| (whose.tenant.is_some() && whose.agent.is_some()).then_some(sort);
    let of_session = |sort| of_agent(sort).filter(|_| whose.session.is_some());
    let sort = match *parts {
        ["own"] => CellSort::Owner,
        ["open", _] => whose.run.map(|_| CellSort::Open)?,
        ["swept", _] => whose.run.map(|_| CellSort::Swept)?,
        ["due", at, _, ..] => at.parse::<u64>().ok().map(|_| CellSort::Due)?,
        ["c", "announced" | "inbox" | "outbox"] => CellSort::Cursor,
        ["c", "from", from] => from.parse::<Partition>().ok().map(|_| CellSort::Cursor)?,
        ["held", _, _] => {
            crate::keys::held_at(&Key::new(partition, parts.join("/")).ok()?).map(|_| CellSort::Held)?
        }
        ["t", _, "name", _] => whose.tenant.as_ref().map(|_| CellSort::Name)?,
        ["t", _, "idem", _, _, ..] => of_session(CellSort::Idem)?,
        ["t", _, "a", _, "spec"] => of_agent(CellSort::Spec)?,
        ["t", _, "a", _, "spec", revision] => {
            of_agent(CellSort::Revision(u32::from_str_radix(revision, 16).ok()?))?
        }
        ["t", _, "a", _, "want"] => of_agent(CellSort::Want)?,
        ["t", _, "a", _, "ended", _] => of_agent(CellSort::Ended).filter(|_| whose.run.is_some())?,
        ["t", _, "a", _, "usage", _] => of_agent(CellSort::Usage)?,
        ["t", _, "limits"] => whose.tenant.as_ref().map(|_| CellSort::Limits)?,
        ["t", _, "used", _] => whose.tenant.as_ref().map(|_| CellSort::Usage)?,
        ["t", _, "size", _, "all", _] => of_agent(CellSort::Size)?,
        ["t", _, "size", _, "s", _, _] => of_session(CellSort::Size)?,
        ["t", _, "mark", hash] => {
            whose.tenant.as_ref()?;
            CellSort::Mark(digest(hash)?)
        }
        ["t", _, "a", _, "saved"] => of_agent(CellSort::Saved)?,
        ["t", _, "s", _, _, "head"] => of_session(CellSort::Head)?,
        ["t", _, "s", _, _, "state"] => of_session(CellSort::State)?,
        ["t", _, "sub", _, _, ..] => whose.tenant.as_ref().map(|_| CellSort::Subscription)?,
        ["t", _, "schedule", _, name] => {
            of_agent(CellSort::Schedule).filter(|_| runtime_traits::Name::new(name).is_ok())?
        }
        ["t", _, "snap", state] => {
            whose.tenant.as_ref()?;
            CellSort::Snapshot(StateId::from_parts(partition, uuid(state)?))
        }
        ["t", _, "blob", hash, chunk] => {
            whose.tenant.as_ref()?;
            CellSort::Blob(digest(hash)?, u32::from_str_radix(chunk, 16).ok()?)
        }
        _ => return None,
    };
    Some((sort, whose))
}

fn whose(partition: Partition, parts: &[&str]) -> Whose {
    let run = |text: &str| uuid(text).map(|unique| RunId::from_parts(partition, unique));
    let agent = |text: &str| uuid(text).map(|unique| AgentId::from_parts(partition, unique));
    let mut whose = Whose::default();
    match *parts {
        ["run" | "open" | "swept", of] => whose.run = run(of),
        ["due", _, "wake" | "key" | "sweep", of, ..] => whose.run = run(of),
        ["due", _, "unnamed" | "restore" | "schedule", of, ..] => whose.agent = agent(of),
        ["t", tenant, ref rest @ ..] => {
            whose.tenant = Tenant::new(tenant).ok();
            match *rest {
                ["a", of, "ended", ended] => {
                    whose.agent = agent(of);
                    whose.run = run(ended);
                }
                ["size", of, "s", session, ..] => {
                    whose.agent = agent(of);
                    whose.session = SessionName::new(session).ok();
                }
                ["a" | "size" | "schedule", of, ..] => whose.agent = agent(of),
                ["s" | "idem" | "msg", of, session, ..] => {
                    whose.agent = agent(of);
                    whose.session = SessionName::new(session).ok();
                }
                _ => {}
            }
        }
        _ => {}
    }
    whose
}

/// A UUID as paths have it: 32 digits.
fn uuid(text: &str) -> Option<Uuid> {
    Some(text).filter(|text| text.len() == 32).and_then(|text| Uuid::try_parse(text).ok())
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    let digits = Some(text.as_bytes()).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest(bytes))
}
