//! The keyspace: where everything is. A new prefix needs a decision record.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::id::{AgentId, RunId, StateId};
use runtime_traits::name::{IdempotencyKey, Name, SessionName, Tenant};
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{Key, Log};
use xxhash_rust::xxh3::xxh3_64;

const FITS: &str = "names are at most 64 bytes and ids at most 60, so that every path fits into 512";

fn key(partition: Partition, path: String) -> Key {
    Key::new(partition, path).expect(FITS)
}

fn log(partition: Partition, path: String) -> Log {
    Log::new(partition, path).expect(FITS)
}

/// Who owns the partition.
pub fn own(partition: Partition) -> Key {
    key(partition, "own".to_owned())
}

/// All runs of the partition that are not over.
pub fn open_all(partition: Partition) -> Key {
    key(partition, "open/".to_owned())
}

/// A run that is not over.
pub fn open(run: &RunId) -> Key {
    key(run.partition(), format!("open/{}", run.unique().simple()))
}

/// The log of a run.
pub fn run_log(run: &RunId) -> Log {
    log(run.partition(), format!("run/{}", run.unique().simple()))
}

/// What is to be done later in the partition, soonest first.
pub fn due_all(partition: Partition) -> Key {
    key(partition, "due/".to_owned())
}

/// What is to be done at a moment. The moment is written with a fixed width, so that the order of paths is that of time.
pub fn due(partition: Partition, at: UnixMillis, what: &str) -> Key {
    key(partition, format!("due/{:014}/{what}", at.0))
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
    key(partition, format!("t/{tenant}/name/"))
}

/// Which agent has a name.
pub fn name(pool: Pool, tenant: &Tenant, name: &Name) -> Key {
    key(name_partition(pool, tenant, name), format!("t/{tenant}/name/{}", name.folded()))
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
        format!("t/{tenant}/idem/{}/{session}/{}", agent.unique().simple(), idempotency_key.as_str()),
    )
}

/// All cells of a sort that an agent has: `a` for its own, `s` for its sessions', `idem` for its keys.
pub fn of_agent(tenant: &Tenant, sort: &str, agent: &AgentId) -> Key {
    key(agent.partition(), format!("t/{tenant}/{sort}/{}/", agent.unique().simple()))
}

/// All agents' own cells of a tenant in a partition.
pub fn agents_all(partition: Partition, tenant: &Tenant) -> Key {
    key(partition, format!("t/{tenant}/a/"))
}

/// How an agent is declared now.
pub fn spec(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), format!("t/{tenant}/a/{}/spec", agent.unique().simple()))
}

/// How an agent was declared in a revision.
pub fn spec_revision(tenant: &Tenant, agent: &AgentId, revision: u32) -> Key {
    key(agent.partition(), format!("t/{tenant}/a/{}/spec/{revision:08x}", agent.unique().simple()))
}

/// What somebody wants of an agent.
pub fn want(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), format!("t/{tenant}/a/{}/want", agent.unique().simple()))
}

/// All runs of an agent that are over.
pub fn ended_all(tenant: &Tenant, agent: &AgentId) -> Key {
    key(agent.partition(), format!("t/{tenant}/a/{}/ended/", agent.unique().simple()))
}

/// A run that is over.
pub fn ended(tenant: &Tenant, agent: &AgentId, run: &RunId) -> Key {
    key(
        agent.partition(),
        format!("t/{tenant}/a/{}/ended/{}", agent.unique().simple(), run.unique().simple()),
    )
}

/// What an agent used, summed over its runs that are over.
pub fn usage(tenant: &Tenant, agent: &AgentId, what: &str) -> Key {
    key(agent.partition(), format!("t/{tenant}/a/{}/usage/{what}", agent.unique().simple()))
}

/// Where a session's conversation ends.
pub fn head(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Key {
    key(agent.partition(), format!("t/{tenant}/s/{}/{session}/head", agent.unique().simple()))
}

/// What a session's last run left.
pub fn state(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Key {
    key(agent.partition(), format!("t/{tenant}/s/{}/{session}/state", agent.unique().simple()))
}

/// The messages of a session.
pub fn messages(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Log {
    log(agent.partition(), format!("t/{tenant}/msg/{}/{session}", agent.unique().simple()))
}

/// The message logs of an agent.
pub fn messages_all(tenant: &Tenant, agent: &AgentId) -> Log {
    log(agent.partition(), format!("t/{tenant}/msg/{}/", agent.unique().simple()))
}

/// A snapshot.
pub fn snapshot(tenant: &Tenant, state: &StateId) -> Key {
    key(state.partition(), format!("t/{tenant}/snap/{}", state.unique().simple()))
}

/// A chunk of content that is kept under its hash.
pub fn blob(tenant: &Tenant, partition: Partition, hash: &Digest, chunk: u32) -> Key {
    key(partition, format!("t/{tenant}/blob/{hash}/{chunk:06x}"))
}

/// The last part of a path, as text.
pub fn last_part(cell: &Key) -> Option<&str> {
    std::str::from_utf8(cell.path.as_bytes()).ok()?.rsplit('/').next()
}
