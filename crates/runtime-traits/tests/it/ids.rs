//! Ids that are minted, and how callers point at agents.

use proptest::prelude::*;
use runtime_traits::clock::{Clock, Entropy, UnixMillis};
use runtime_traits::{AgentId, AgentRef, Name, NodeId, Partition, Pool, RunId, StateId};
use uuid::Uuid;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_764_000_000_123)
    }
}

impl Entropy for Noon {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0xab);
    }
}

const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 17 };

#[test]
fn an_id_says_where_it_belongs_and_is_read_as_it_is_written() {
    let unique = Uuid::from_u128(0x0193_571c_8a2f_7c3e_9d1a_5b6c_7d8e_9f00);
    let run = RunId::from_parts(PARTITION, unique);
    assert_eq!(run.to_string(), "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00");
    assert_eq!(format!("{run:?}"), run.to_string());
    assert_eq!(run.to_string().parse(), Ok(run));
    assert_eq!((run.partition(), run.unique()), (PARTITION, unique));
    assert_eq!(AgentId::from_parts(PARTITION, unique).to_string().get(..13), Some("agent:main.17"));
    assert_eq!(StateId::from_parts(PARTITION, unique).to_string().get(..13), Some("state:main.17"));
}

#[test]
fn what_is_no_id_is_refused() {
    let bad = [
        "",
        "run:",
        "main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00",
        "agent:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00",
        "run:main.17.0193571c-8a2f-7c3e-9d1a-5b6c7d8e9f00",
        "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f0",
        "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f0g",
        "run:main.257.0193571c8a2f7c3e9d1a5b6c7d8e9f00",
        "run:0193571c8a2f7c3e9d1a5b6c7d8e9f00",
        " run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00",
    ];
    for text in bad {
        assert!(text.parse::<RunId>().is_err(), "{text:?}");
        assert!(serde_json::from_value::<RunId>(text.into()).is_err(), "{text:?}");
    }
}

#[test]
fn a_minted_id_is_a_uuid_of_version_7_with_the_time_of_the_clock() {
    let run = RunId::mint(PARTITION, &Noon, &Noon);
    let unique = run.unique();
    assert_eq!(unique.get_version_num(), 7);
    assert_eq!((unique.as_u128() >> 80) as u64, Noon.now().0);
    assert_eq!(NodeId::mint(&Noon, &Noon).0, unique);
    assert_eq!(NodeId(unique).to_string(), unique.simple().to_string());
}

#[test]
fn ids_of_one_partition_sort_by_their_age() {
    let id = |millis: u128| RunId::from_parts(PARTITION, Uuid::from_u128(millis << 80));
    let mut ids = [id(3), id(1), id(2)];
    ids.sort();
    assert_eq!(ids, [id(1), id(2), id(3)]);
}

#[test]
fn an_agent_is_pointed_at_by_its_id_or_its_name() {
    let id = AgentId::from_parts(PARTITION, Uuid::from_u128(7));
    let by_id: AgentRef = id.to_string().parse().expect("it is an id");
    assert_eq!((by_id.clone(), by_id.to_string()), (AgentRef::from(&id), id.to_string()));

    let by_name: AgentRef = "librarian".parse().expect("it is a name");
    assert_eq!(by_name, AgentRef::from(Name::new("librarian").expect("a good name")));
    assert_eq!(by_name.to_string(), "librarian");

    for bad in ["", "agent:", "agent:librarian", "run:main.1.00000000000000000000000000000007", "../x"] {
        assert!(bad.parse::<AgentRef>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn every_id_comes_back_from_text_and_json(pool in "[a-z][a-z0-9-]{0,14}", index in 0..=256_u16, unique: u128) {
        let pool = Pool::new(&pool).expect("it follows the rule");
        let partition = Partition { pool, index };
        let id = AgentId::from_parts(partition, Uuid::from_u128(unique));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).expect("an id is JSON");
        prop_assert_eq!(&json, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<AgentId>(&json).expect("it was one"), id);
        prop_assert_eq!(partition.to_string().parse(), Ok(partition));
    }

    #[test]
    fn no_text_makes_a_reader_of_ids_panic(text in ".{0,60}") {
        let _ = (text.parse::<RunId>(), text.parse::<AgentRef>(), text.parse::<Partition>());
    }
}
