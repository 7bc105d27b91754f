//! Names that people give.

use runtime_traits::name::{IdempotencyKey, Name, SessionName, Tenant};
use runtime_traits::{NameError, Partition, Pool};

const GOOD: [&str; 7] = ["a", "7", "Librarian", "a.b_c-D9", "x-", "0.1", "default"];
const BAD: [&str; 16] = [
    "", " ", "../x", ".hidden", "-a", "_a", "a b", "a/b", "a:b", "a\n", "ä", "a\u{0}", "a%20b", "名", "a,b",
    "a#2",
];

#[test]
fn names_of_every_sort_follow_one_rule() {
    fn holds<N>(new: impl Fn(&str) -> Result<N, NameError>, text: impl Fn(&N) -> String) {
        for good in GOOD {
            assert_eq!(new(good).map(|name| text(&name)).as_deref(), Ok(good));
        }
        for bad in BAD {
            assert!(new(bad).is_err(), "{bad:?}");
        }
        assert!(new(&"a".repeat(64)).is_ok());
        assert!(new(&"a".repeat(65)).is_err());
        assert!(new(&"a".repeat(200)).is_err());
    }
    holds(|text| Name::new(text), Name::to_string);
    holds(|text| Tenant::new(text), Tenant::to_string);
    holds(|text| SessionName::new(text), SessionName::to_string);
    holds(str::parse::<Name>, |name| name.as_str().to_owned());
}

#[test]
fn a_bad_name_is_shown_cut_and_harmless_with_the_rule() {
    let error = Name::new("../x").expect_err("it breaks the rule").to_string();
    assert!(
        error.starts_with("`../x` is no name of an agent, kind or step: use")
            && error.contains("1 to 64 of A-Z"),
        "{error}"
    );
    let session = SessionName::new("../x").expect_err("it breaks the rule").to_string();
    assert!(session.starts_with("`../x` is no name of a session: "), "{session}");
    let long = Name::new("a".repeat(5_000)).expect_err("it is too long").to_string();
    assert!(long.contains('…') && long.len() < 250, "{long}");
    let wild = Name::new("\u{1b}[31m\n").expect_err("it breaks the rule").to_string();
    assert!(!wild.chars().any(char::is_control), "{wild:?}");
}

#[test]
fn a_name_is_checked_wherever_it_is_read() {
    assert!(serde_json::from_str::<Name>("\"librarian\"").is_ok());
    for json in ["\"../x\"", "\"\"", "7", "null"] {
        assert!(serde_json::from_str::<Name>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<IdempotencyKey>(json).is_err() || json == "\"../x\"", "{json}");
    }
}

#[test]
fn names_that_differ_in_case_alone_fold_into_one() {
    let name = |text| Name::new(text).expect("a good name");
    assert_eq!(name("Basho-7").folded(), name("bASHO-7").folded());
    assert_ne!(name("Basho-7"), name("bASHO-7"));
}

#[test]
fn what_is_not_named_is_named_default() {
    assert_eq!(Tenant::default().as_str(), "default");
    assert_eq!(SessionName::default().as_str(), "default");
}

#[test]
fn an_idempotency_key_is_any_visible_text() {
    for good in ["k", "order/42?x=1", "~!@#$%^&*()", &"k".repeat(128)] {
        assert_eq!(IdempotencyKey::new(good).map(|key| key.as_str().to_owned()).as_deref(), Ok(good));
    }
    for bad in ["", " ", "a b", "a\tb", "ä", "\u{7f}", &"k".repeat(129)] {
        assert!(IdempotencyKey::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn pools_have_short_names() {
    for good in ["main", "a", "gpu-1", "abcdefghijklmno"] {
        let pool: Pool = good.parse().expect("it follows the rule");
        assert_eq!((pool.as_str(), pool.to_string().as_str()), (good, good));
    }
    for bad in ["", "Main", "1a", "-a", "a_b", "a.b", "abcdefghijklmnop", "ä"] {
        assert!(Pool::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Pool::MAIN.as_str(), "main");
}

#[test]
fn partitions_are_read_as_they_are_written() {
    for good in ["main.0", "gpu-1.255", "main.256"] {
        let partition: Partition = good.parse().expect("it follows the rule");
        assert_eq!(partition.to_string(), good);
    }
    for bad in ["main", "main.", "main.257", "main.-1", ".3", "Main.3", "main.3.4", "main.x", "main.99999"] {
        assert!(bad.parse::<Partition>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_hash_falls_into_one_of_the_partitions_that_somebody_owns() {
    let pool = Pool::MAIN;
    for hash in [0, 1, 255, 256, u64::MAX] {
        let partition = Partition::of_hash(pool, hash);
        assert_eq!(u64::from(partition.index), hash % 256);
        assert!(partition.index < Partition::OWNERLESS);
    }
}
