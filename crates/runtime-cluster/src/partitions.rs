//! Which partition keeps a name, and which a session.
//!
//! Both are part of what is stored: another answer would look for data where it is not. The golden
//! values below hold them in place.

use runtime_traits::{AgentId, Name, Partition, Pool, SessionName, Tenant};
use xxhash_rust::xxh3::xxh3_64;

/// The partition of `pool` that keeps which agent has a name; without regard to case.
pub fn partition_of_name(pool: Pool, tenant: &Tenant, name: &Name) -> Partition {
    place(pool, &[tenant.as_str(), &name.folded()])
}

/// The partition that keeps a session of an agent whose sessions are apart (`scope = "session"`).
/// It is of the agent's pool.
pub fn partition_of_session(tenant: &Tenant, agent: &AgentId, session: &SessionName) -> Partition {
    let unique = agent.unique().simple().to_string();
    place(agent.partition().pool, &[tenant.as_str(), &unique, session.as_str()])
}

/// No part holds a `/`, so that different parts never make the same text.
fn place(pool: Pool, parts: &[&str]) -> Partition {
    Partition::of_hash(pool, xxh3_64(parts.join("/").as_bytes()))
}

#[cfg(test)]
mod tests {
    use runtime_traits::{AgentId, Name, Partition, Pool, SessionName, Tenant};
    use uuid::Uuid;

    use super::{partition_of_name, partition_of_session};

    fn agent(unique: u128) -> AgentId {
        let partition = Partition { pool: Pool::new("models").unwrap(), index: 3 };
        AgentId::from_parts(partition, Uuid::from_u128(unique))
    }

    fn name_index(tenant: &str, name: &str) -> u16 {
        let (tenant, name) = (Tenant::new(tenant).unwrap(), Name::new(name).unwrap());
        partition_of_name(Pool::MAIN, &tenant, &name).index
    }

    fn session_index(tenant: &str, unique: u128, session: &str) -> u16 {
        let (tenant, session) = (Tenant::new(tenant).unwrap(), SessionName::new(session).unwrap());
        partition_of_session(&tenant, &agent(unique), &session).index
    }

    #[test]
    fn names_stay_where_they_have_always_been() {
        let places = [("default", "librarian"), ("default", "a"), ("acme", "a"), ("acme", "Night.Shift-2")]
            .map(|(tenant, name)| name_index(tenant, name));

        assert_eq!(places, [138, 181, 168, 96]);
    }

    #[test]
    fn sessions_stay_where_they_have_always_been() {
        let places = [
            ("default", 1, "default"),
            ("default", 2, "default"),
            ("default", 1, "Default"),
            ("acme", 1, "default"),
        ]
        .map(|(tenant, unique, session)| session_index(tenant, unique, session));

        assert_eq!(places, [125, 212, 136, 222]);
    }

    #[test]
    fn a_name_is_placed_without_regard_to_case() {
        assert_eq!(name_index("default", "Librarian"), name_index("default", "lIBRARIAN"));
    }

    #[test]
    fn a_session_is_placed_in_the_pool_of_its_agent() {
        let session = SessionName::default();

        let place = partition_of_session(&Tenant::default(), &agent(1), &session);

        assert_eq!(place.pool, Pool::new("models").unwrap());
    }

    #[test]
    fn names_and_sessions_fall_on_all_partitions_alike() {
        let mut names = [0; Partition::COUNT as usize];
        let mut sessions = [0; Partition::COUNT as usize];
        for number in 0..25_600 {
            names[usize::from(name_index("default", &format!("agent-{number}")))] += 1;
            sessions[usize::from(session_index("default", 1, &format!("chat-{number}")))] += 1;
        }

        // 100 each on average, with a standard deviation of 10.
        for counts in [names, sessions] {
            assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
        }
    }
}
