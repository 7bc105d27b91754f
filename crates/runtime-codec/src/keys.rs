//! The keyspace: where everything is. A new prefix needs a decision record.
//!
//! Whatever writes into a store or reads it takes its paths from here.

use bytes::Bytes;
use runtime_traits::bus::{Pattern, Topic};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::name::{IdempotencyKey, Name, SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Key, Log, Seq};
use uuid::Uuid;
use uuid::fmt::Simple;
use xxhash_rust::xxh3::xxh3_64;

const FITS: &str = "names are at most 64 bytes, ids 60 and topics 256, so that every path fits into 512";

/// One allocation of the right size: paths are written several times in every run.
fn path(parts: &[&str]) -> Bytes {
    let mut path = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| path.extend_from_slice(part.as_bytes()));
    path.into()
}

fn key(partition: Partition, parts: &[&str]) -> Key {
    Key::new(partition, path(parts)).expect(FITS)
}

fn log(partition: Partition, parts: &[&str]) -> Log {
    Log::new(partition, path(parts)).expect(FITS)
}

/// The text of a UUID, on the stack.
struct Hex([u8; Simple::LENGTH]);

impl Hex {
    fn of(id: Uuid) -> Self {
        let mut text = [0; Simple::LENGTH];
        id.as_simple().encode_lower(&mut text);
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

/// Who owns the partition.
pub fn own(partition: Partition) -> Key {
    key(partition, &["own"])
}

/// All runs of the partition that are not over.
pub fn open_all(partition: Partition) -> Key {
    key(partition, &["open/"])
}

/// A run that is not over.
pub fn open(run: &RunId) -> Key {
    key(run.partition(), &["open/", Hex::of(run.unique()).as_str()])
}

/// What is kept of a run whose log was let go.
pub fn swept(run: &RunId) -> Key {
    key(run.partition(), &["swept/", Hex::of(run.unique()).as_str()])
}

/// The log of a run.
pub fn run_log(run: &RunId) -> Log {
    log(run.partition(), &["run/", Hex::of(run.unique()).as_str()])
}

/// What leaves the partition.
pub fn outbox(partition: Partition) -> Log {
    log(partition, &["outbox"])
}

/// What comes into the partition.
pub fn inbox(partition: Partition) -> Log {
    log(partition, &["inbox"])
}

/// What is to be published of what happened in the partition.
pub fn announced(partition: Partition) -> Log {
    log(partition, &["announced"])
}

/// How far that has been published.
pub fn published(partition: Partition) -> Key {
    key(partition, &["c/announced"])
}

/// What is held aside of that, because its topic is damaged, in its order.
pub fn held_all(partition: Partition) -> Key {
    key(partition, &["held/"])
}

/// An event that is held aside, by its place in what is to be published. Both numbers have a fixed width, so that the order
/// of paths is that of places.
pub fn held(partition: Partition, seq: Seq, nth: u32) -> Key {
    key(partition, &["held/", &format!("{:016x}/{nth:08x}", seq.0)])
}

/// The place of a `held/` cell.
pub fn held_at(cell: &Key) -> Option<(Seq, u32)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    let (seq, nth) = path.strip_prefix("held/")?.split_once('/')?;
    Some((Seq(u64::from_str_radix(seq, 16).ok()?), u32::from_str_radix(nth, 16).ok()?))
}

/// How far what leaves the partition has been sent.
pub fn sent(partition: Partition) -> Key {
    key(partition, &["c/outbox"])
}

/// How far what came into the partition has been taken.
pub fn taken(partition: Partition) -> Key {
    key(partition, &["c/inbox"])
}

/// Up to which number of its outbox another partition's mail has been taken.
pub fn taken_from(partition: Partition, from: Partition) -> Key {
    key(partition, &["c/from/", &from.to_string()])
}

/// What is to be done later in the partition, soonest first.
pub fn due_all(partition: Partition) -> Key {
    key(partition, &["due/"])
}

/// What is to be done at a moment. The moment is written with a fixed width, so that the order of paths is that of time.
pub fn due(partition: Partition, at: UnixMillis, what: &str) -> Key {
    key(partition, &["due/", &format!("{:014}", at.0), "/", what])
}

/// The moment of a `due/` cell.
pub fn due_at(cell: &Key) -> Option<UnixMillis> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    path.strip_prefix("due/")?.split('/').next()?.parse().ok().map(UnixMillis)
}

/// The partition that keeps a name: the hash of tenant and folded name.
pub fn name_partition(pool: Pool, tenant: &Tenant, name: &Name) -> Partition {
    Partition::of_hash(pool, xxh3_64(format!("{tenant}/{}", name.folded()).as_bytes()))
}

/// All names of a tenant that a partition keeps.
pub fn names_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/name/"])
}

/// Which agent has a name.
pub fn name(pool: Pool, tenant: &Tenant, name: &Name) -> Key {
    key(name_partition(pool, tenant, name), &["t/", tenant.as_str(), "/name/", &name.folded()])
}

/// Which run an idempotency key gave.
pub fn idem(
    tenant: &Tenant,
    agent: &AgentId,
    session: &SessionName,
    idempotency_key: &IdempotencyKey,
) -> Key {
    key(
        agent.partition(),
        &[
            "t/",
            tenant.as_str(),
            "/idem/",
            Hex::of(agent.unique()).as_str(),
            "/",
            session.as_str(),
            "/",
            idempotency_key.as_str(),
        ],
    )
}

/// Whose an idempotency key is, by its cell.
pub fn of_idem(cell: &Key) -> Option<(Tenant, AgentId, SessionName)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    let (tenant, rest) = path.strip_prefix("t/")?.split_once('/')?;
    let mut parts = rest.strip_prefix("idem/")?.split('/');
    let agent = AgentId::from_parts(cell.partition, Uuid::try_parse(parts.next()?).ok()?);
    Some((Tenant::new(tenant).ok()?, agent, SessionName::new(parts.next()?).ok()?))
}

/// All cells of a sort that an agent has: `a` for its own, `s` for its sessions', `idem` for its keys.
pub fn of_agent(tenant: &Tenant, sort: &str, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/", sort, "/", Hex::of(agent.unique()).as_str(), "/"])
}

/// All agents' own cells of a tenant in a partition.
pub fn agents_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/a/"])
}

/// How an agent is declared now.
pub fn spec(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/a/", Hex::of(agent.unique()).as_str(), "/spec"])
}

/// How an agent was declared in a revision.
pub fn spec_revision(tenant: &Tenant, agent: &AgentId, revision: u32) -> Key {
    key(
        agent.partition(),
        &[
            "t/",
            tenant.as_str(),
            "/a/",
            Hex::of(agent.unique()).as_str(),
            "/spec/",
            &format!("{revision:08x}"),
        ],
    )
}

/// What somebody wants of an agent.
pub fn want(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/a/", Hex::of(agent.unique()).as_str(), "/want"])
}

/// All runs of an agent that are over.
pub fn ended_all(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/a/", Hex::of(agent.unique()).as_str(), "/ended/"])
}

/// A run that is over.
pub fn ended(tenant: &Tenant, agent: &AgentId, run: &RunId) -> Key {
    key(
        agent.partition(),
        &[
            "t/",
            tenant.as_str(),
            "/a/",
            Hex::of(agent.unique()).as_str(),
            "/ended/",
            Hex::of(run.unique()).as_str(),
        ],
    )
}

/// What an agent used, summed over its runs that are over.
pub fn usage(tenant: &Tenant, agent: &AgentId, what: &str) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/a/", Hex::of(agent.unique()).as_str(), "/usage/", what])
}

/// What the agents of a tenant used together, summed over the runs of this partition that are over; kept where that is limited.
pub fn used(partition: Partition, tenant: &Tenant, what: &str) -> Key {
    key(partition, &["t/", tenant.as_str(), "/used/", what])
}

/// What the agents of a tenant may use together. The partition is the hash of the tenant.
pub fn limits(pool: Pool, tenant: &Tenant) -> Key {
    let partition = Partition::of_hash(pool, xxh3_64(tenant.as_str().as_bytes()));
    key(partition, &["t/", tenant.as_str(), "/limits"])
}

/// What is before the name of a counter that counts on for a damaged one.
pub const MORE: &str = "more-";

/// The counter that counts on where nothing can be added to another one of [`usage`] or [`used`], because that is damaged. Its
/// name is the other's behind [`MORE`]. `None`: the path would be too long.
pub fn more(counter: &Key) -> Option<Key> {
    let path = std::str::from_utf8(counter.path.as_bytes()).ok()?;
    let (before, name) = path.rsplit_once('/')?;
    Key::new(counter.partition, self::path(&[before, "/", MORE, name])).ok()
}

/// The day that stands for all days before those that have cells of their own. An agent's cell of it says that nothing was
/// written before it was counted.
pub const DAYS_BEFORE: u64 = 0;

/// How the bytes stored of an agent changed, day by day.
pub fn sizes(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/size/", Hex::of(agent.unique()).as_str(), "/all/"])
}

/// By how much the bytes stored of an agent changed on a day: a number that is added to.
pub fn size(tenant: &Tenant, agent: &AgentId, day: u64) -> Key {
    key(
        agent.partition(),
        &["t/", tenant.as_str(), "/size/", Hex::of(agent.unique()).as_str(), "/all/", &format!("{day:06}")],
    )
}

/// How the bytes stored of all sessions of an agent changed, session by session and day by day.
pub fn session_sizes_all(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/size/", Hex::of(agent.unique()).as_str(), "/s/"])
}

/// How the bytes stored of a session changed, day by day.
pub fn session_sizes(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Key {
    key(
        agent.partition(),
        &["t/", tenant.as_str(), "/size/", Hex::of(agent.unique()).as_str(), "/s/", session.as_str(), "/"],
    )
}

/// By how much the bytes stored of a session changed on a day: a number that is added to.
pub fn session_size(tenant: &Tenant, agent: &AgentId, session: &SessionName, day: u64) -> Key {
    key(
        agent.partition(),
        &[
            "t/",
            tenant.as_str(),
            "/size/",
            Hex::of(agent.unique()).as_str(),
            "/s/",
            session.as_str(),
            "/",
            &format!("{day:06}"),
        ],
    )
}

/// The session and the day of a cell under [`session_sizes_all`].
pub fn of_session_size(cell: &Key) -> Option<(SessionName, u64)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    let mut parts = path.rsplit('/');
    let day = parts.next()?.parse().ok()?;
    Some((SessionName::new(parts.next()?).ok()?, day))
}

/// All schedules of a tenant in a partition.
pub fn schedules_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/schedule/"])
}

/// When an agent gets which run. The name is folded: it is unique without regard to case.
pub fn schedule(tenant: &Tenant, agent: &AgentId, name: &Name) -> Key {
    key(
        agent.partition(),
        &["t/", tenant.as_str(), "/schedule/", Hex::of(agent.unique()).as_str(), "/", &name.folded()],
    )
}

/// The agent and the folded name of a schedule, by its cell.
pub fn of_schedule(cell: &Key) -> Option<(Tenant, AgentId, Name)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    let mut parts = path.strip_prefix("t/")?.split('/');
    let tenant = Tenant::new(parts.next()?).ok()?;
    let found = parts.next()? == "schedule";
    let agent = AgentId::from_parts(cell.partition, Uuid::try_parse(parts.next()?).ok()?);
    let name = Name::new(parts.next()?).ok()?;
    (found && parts.next().is_none()).then_some((tenant, agent, name))
}

/// That a schedule fires at a moment.
pub fn due_schedule(agent: &AgentId, at: UnixMillis, name: &Name) -> Key {
    let what = ["schedule/", Hex::of(agent.unique()).as_str(), "/", &name.folded()].concat();
    due(agent.partition(), at, &what)
}

/// Where a session's conversation ends.
pub fn head(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Key {
    key(
        agent.partition(),
        &["t/", tenant.as_str(), "/s/", Hex::of(agent.unique()).as_str(), "/", session.as_str(), "/head"],
    )
}

/// What a session's last run left.
pub fn state(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Key {
    key(
        agent.partition(),
        &["t/", tenant.as_str(), "/s/", Hex::of(agent.unique()).as_str(), "/", session.as_str(), "/state"],
    )
}

/// The messages of a session.
pub fn messages(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Log {
    log(
        agent.partition(),
        &["t/", tenant.as_str(), "/msg/", Hex::of(agent.unique()).as_str(), "/", session.as_str()],
    )
}

/// The message logs of an agent.
pub fn messages_all(tenant: &Tenant, agent: &AgentId) -> Log {
    log(agent.partition(), &["t/", tenant.as_str(), "/msg/", Hex::of(agent.unique()).as_str(), "/"])
}

/// Whose the messages of a log are.
pub fn of_messages(log: &Log) -> Option<(Tenant, AgentId, SessionName)> {
    of_session(log.partition, std::str::from_utf8(log.path.as_bytes()).ok()?, "msg")
}

/// Whose the state in a cell is.
pub fn of_state(cell: &Key) -> Option<(Tenant, AgentId, SessionName)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    of_session(cell.partition, path.strip_suffix("/state")?, "s")
}

fn of_session(partition: Partition, path: &str, sort: &str) -> Option<(Tenant, AgentId, SessionName)> {
    let mut parts = path.strip_prefix("t/")?.split('/');
    let tenant = Tenant::new(parts.next()?).ok()?;
    let found = parts.next()? == sort;
    let agent = AgentId::from_parts(partition, Uuid::try_parse(parts.next()?).ok()?);
    let session = SessionName::new(parts.next()?).ok()?;
    (found && parts.next().is_none()).then_some((tenant, agent, session))
}

/// All snapshots of a tenant in a partition.
pub fn snapshots_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/snap/"])
}

/// Which snapshot a cell is.
pub fn of_snapshot(cell: &Key) -> Option<StateId> {
    Some(StateId::from_parts(cell.partition, Uuid::try_parse(last_part(cell)?).ok()?))
}

/// Which snapshot was made of an agent last. It shares its segments with the next one.
pub fn saved(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), &["t/", tenant.as_str(), "/a/", Hex::of(agent.unique()).as_str(), "/saved"])
}

/// That an agent is being put back to a snapshot: a cell that has been due ever since.
pub fn restoring(agent: &AgentId) -> Key {
    let what = ["restore/", Hex::of(agent.unique()).as_str()].concat();
    due(agent.partition(), UnixMillis(0), &what)
}

/// A snapshot.
pub fn snapshot(tenant: &Tenant, state: &StateId) -> Key {
    key(state.partition(), &["t/", tenant.as_str(), "/snap/", Hex::of(state.unique()).as_str()])
}

/// All marks of contents of a tenant in a partition.
pub fn marks_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/mark/"])
}

/// When a content was last written or asked to be there.
pub fn mark(tenant: &Tenant, partition: Partition, hash: &Digest) -> Key {
    key(partition, &["t/", tenant.as_str(), "/mark/", &hash.to_string()])
}

/// Whose content a mark is of, and which.
pub fn of_mark(cell: &Key) -> Option<(Tenant, Digest)> {
    let path = std::str::from_utf8(cell.path.as_bytes()).ok()?;
    let (tenant, hash) = path.strip_prefix("t/")?.split_once("/mark/")?;
    Some((Tenant::new(tenant).ok()?, hash.parse().ok()?))
}

/// All agents of the partition that are being put back to snapshots.
pub fn restoring_all(partition: Partition) -> Key {
    due(partition, UnixMillis(0), "restore/")
}

/// The logs of all runs of a partition.
pub fn run_logs(partition: Partition) -> Log {
    log(partition, &["run/"])
}

/// The messages of all sessions of a tenant in a partition.
pub fn all_messages(partition: Partition, tenant: &Tenant) -> Log {
    log(partition, &["t/", tenant.as_str(), "/msg/"])
}

/// All sessions' cells of a tenant in a partition.
pub fn all_sessions(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, &["t/", tenant.as_str(), "/s/"])
}

/// A chunk of content that is kept under its hash.
pub fn blob(tenant: &Tenant, partition: Partition, hash: &Digest, chunk: u32) -> Key {
    key(partition, &["t/", tenant.as_str(), "/blob/", &hash.to_string(), "/", &format!("{chunk:06x}")])
}

/// The partition that keeps a topic: the hash of both.
pub fn topic_partition(pool: Pool, tenant: &Tenant, topic: &Topic) -> Partition {
    Partition::of_hash(pool, xxh3_64(&path(&[tenant.as_str(), "/", topic.as_str()])))
}

/// The events of a durable topic.
pub fn topic(pool: Pool, tenant: &Tenant, topic: &Topic) -> Log {
    let partition = topic_partition(pool, tenant, topic);
    log(partition, &["t/", tenant.as_str(), "/topic/", topic.as_str()])
}

/// The durable topics of a tenant in one partition.
pub fn topics(partition: Partition, tenant: &Tenant) -> Log {
    log(partition, &["t/", tenant.as_str(), "/topic/"])
}

/// The topic whose events are in a log.
pub fn topic_of(log: &Log) -> Option<Topic> {
    let mut parts = std::str::from_utf8(log.path.as_bytes()).ok()?.splitn(4, '/');
    match [parts.next()?, parts.next()?, parts.next()?, parts.next()?] {
        ["t", _, "topic", topic] => topic.parse().ok(),
        _ => None,
    }
}

/// How far a durable subscription to a topic has come.
pub fn subscription(pool: Pool, tenant: &Tenant, topic: &Topic, name: &Name) -> Key {
    pattern_subscription(pool, tenant, &Pattern::from(topic.clone()), name)
}

/// That there is a durable subscription to a pattern, and how it is set. Of the pattern of one topic it is that topic's.
pub fn pattern_subscription(pool: Pool, tenant: &Tenant, pattern: &Pattern, name: &Name) -> Key {
    let partition = Partition::of_hash(pool, xxh3_64(&path(&[tenant.as_str(), "/", pattern.as_str()])));
    key(partition, &["t/", tenant.as_str(), "/sub/", name.as_str(), "/", pattern.as_str()])
}

/// The last part of a path, as text.
pub fn last_part(cell: &Key) -> Option<&str> {
    std::str::from_utf8(cell.path.as_bytes()).ok()?.rsplit('/').next()
}
