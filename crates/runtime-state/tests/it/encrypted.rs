//! What an encrypted store hides, notices and refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use runtime_state::{
    EncryptedStore, EncryptionError, KeyError, KeyRing, MemoryStore, Needed, OpenError, RepairError, open,
    repair_store, verify_store,
};
use runtime_testkit::block_on;
use runtime_traits::clock::UnixMillis;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Cell, Durability, Fence, Key, Limits, Log, Seq, StateError, StateStore, Then, Token, When,
};

use crate::wrapped::ring;

const HERE: Partition = Partition { pool: Pool::MAIN, index: 3 };

fn key(path: &str) -> Key {
    Key::new(HERE, path.to_owned()).unwrap()
}

fn log(path: &str) -> Log {
    Log::new(HERE, path.to_owned()).unwrap()
}

fn put(path: &str, value: impl Into<Bytes>) -> Then {
    Then::Put(key(path), value.into())
}

async fn write(store: &dyn StateStore, when: Vec<When>, then: Vec<Then>) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static IDS: AtomicU64 = AtomicU64::new(1);
    let id = BatchId(IDS.fetch_add(1, Ordering::Relaxed).into());
    let batch = Batch { id, partition: HERE, fence: None, when, then, durability: Durability::Memory };
    store.commit(batch).await.unwrap();
}

async fn value(store: &dyn StateStore, path: &str) -> Result<Option<Bytes>, StateError> {
    Ok(store.get(&[key(path)]).await?.pop().flatten().map(|cell: Cell| cell.value))
}

type Both = (Arc<MemoryStore>, EncryptedStore<Arc<MemoryStore>>);

async fn both() -> Both {
    let below = Arc::new(MemoryStore::new());
    let store = EncryptedStore::open(Arc::clone(&below), ring()).await.unwrap();
    (below, store)
}

fn what(answer: Result<impl std::fmt::Debug, StateError>) -> String {
    match answer.unwrap_err() {
        StateError::Damaged { what } => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_below_shows_places_and_counters_and_no_value() {
    block_on(async {
        let (below, store) = both().await;
        let token = Token([9; 16]);
        let owner = [&token.0[..], b"and a record"].concat();
        let then = vec![
            put("secret", "a sentence that nobody may read"),
            put("empty", ""),
            put("own", owner),
            Then::Append(log("log"), vec!["an entry that nobody may read".into(), "17".into()]),
            Then::Add(key("counter"), 17),
        ];
        write(&store, vec![], then).await;

        let all = below.scan(&Key::all(HERE), None, 99).await.unwrap();
        let paths: Vec<String> = all.iter().map(|(key, _)| key.path.to_string()).collect();
        assert_eq!(paths, ["counter", "empty", "own", "secret"]);
        let entries = below.read(&log("log"), Seq(1), 9).await.unwrap().entries;
        let below_values: Vec<Bytes> = all.into_iter().map(|(_, cell)| cell.value).chain(entries).collect();
        assert_eq!(below_values[0], "17", "a counter is in the clear, so that the store below can add to it");
        for value in &below_values[1..] {
            for shown in [&b"nobody"[..], b"record", &token.0] {
                assert!(!value.windows(shown.len()).any(|part| part == shown), "{value:?}");
            }
        }
        assert_eq!(below_values[1].len(), 67, "16 for the fence, 35 of a header, 16 of a tag");
        assert_eq!(below_values[4].len(), "an entry that nobody may read".len() + 51);

        assert_eq!(below_values[5].len(), "17".len() + 51, "nobody adds to an entry");

        // The fence holds all the same, above by the token, and below by nothing that shows it.
        let fenced = |token| Batch {
            id: BatchId(u128::MAX),
            partition: HERE,
            fence: Some(Fence { owner: key("own"), token }),
            when: vec![],
            then: vec![],
            durability: Durability::Memory,
        };
        assert!(store.commit(fenced(token)).await.is_ok());
        assert_eq!(store.commit(fenced(Token([8; 16]))).await, Err(StateError::Fenced));
        assert_eq!(below.commit(fenced(token)).await, Err(StateError::Fenced));
        assert_eq!(store.partitions().await.unwrap(), [HERE], "the mark is not there for who has the keys");
    });
}

#[test]
fn the_same_value_looks_different_each_time() {
    block_on(async {
        let (below, store) = both().await;
        write(&store, vec![], vec![put("a", "twice"), put("b", "twice")]).await;
        assert_ne!(value(&*below, "a").await, value(&*below, "b").await);
    });
}

#[test]
fn a_value_that_was_moved_is_damaged_where_it_is_found() {
    block_on(async {
        let (below, store) = both().await;
        write(&store, vec![], vec![put("a", "of a"), put("b", "of b")]).await;
        write(&store, vec![], vec![Then::Append(log("a"), vec!["of a".into()])]).await;
        let cell = value(&*below, "a").await.unwrap().unwrap();
        let entry = below.read(&log("a"), Seq(1), 1).await.unwrap().entries.remove(0);

        let moved = vec![put("b", cell.clone()), Then::Append(log("b"), vec![entry.clone()])];
        write(&*below, vec![], moved).await;
        assert_eq!(
            what(store.get(&[key("b")]).await),
            "the cell `main.3/b` is not what was written there under key 2"
        );
        let told = what(store.read(&log("b"), Seq(1), 9).await);
        assert_eq!(told, "entry 1 of the log `main.3/b` is not what was written there under key 2");
        // Not even from one sort of place to the other.
        write(&*below, vec![], vec![put("c", [&[0; 16][..], &entry].concat())]).await;
        assert!(what(store.get(&[key("c")]).await).starts_with("the cell `main.3/c`"));
        // What is not moved is what it was.
        assert_eq!(value(&store, "a").await.unwrap().unwrap(), "of a");
    });
}

#[test]
fn entries_whose_numbers_were_a_condition_cannot_change_places() {
    block_on(async {
        let (below, store) = both().await;
        let two = || vec![Bytes::from("one"), Bytes::from("two")];
        let both =
            vec![Then::Append(log("numbered"), two()), Then::Append(log("numbered"), vec!["three".into()])];
        write(&store, vec![When::Next(log("numbered"), Seq(1))], both).await;
        write(&store, vec![], vec![Then::Append(log("anyone's"), two())]).await;
        assert_eq!(store.read(&log("numbered"), Seq(1), 9).await.unwrap().entries, ["one", "two", "three"]);

        for (name, first) in [("numbered", 4), ("anyone's", 3)] {
            let entry = below.read(&log(name), Seq(1), 1).await.unwrap().entries;
            write(&*below, vec![], vec![Then::Append(log(name), entry)]).await;
            let again = store.read(&log(name), Seq(first), 9).await;
            match name {
                "numbered" => assert!(what(again).starts_with("entry 4 of the log")),
                // Documented: nobody knew its number when it was written.
                _ => assert_eq!(again.unwrap().entries, ["one"]),
            }
        }
    });
}

#[test]
fn every_bit_of_a_value_counts() {
    block_on(async {
        let (below, store) = both().await;
        write(&store, vec![], vec![put("a", "a value of more than sixteen bytes")]).await;
        let sealed = value(&*below, "a").await.unwrap().unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            write(&*below, vec![], vec![put("a", bytes)]).await;
            assert!(what(store.get(&[key("a")]).await).starts_with("the cell `main.3/a` "), "bit {bit}");
        }
        // Documented: a number in the clear is taken for one. The first bytes may be digits by chance.
        let is_number = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        for length in (0..sealed.len()).filter(|length| !is_number(&sealed[..*length])) {
            write(&*below, vec![], vec![put("a", sealed.slice(..length))]).await;
            assert!(what(store.get(&[key("a")]).await).starts_with("the cell `main.3/a` "), "{length} bytes");
        }
        write(&*below, vec![], vec![put("a", "in the clear")]).await;
        assert_eq!(
            what(store.get(&[key("a")]).await),
            "the cell `main.3/a` holds a value that is not encrypted"
        );
    });
}

#[test]
fn old_values_are_read_as_long_as_their_key_is_there_and_it_is_told_which_are_needed() {
    block_on(async {
        let below = Arc::new(MemoryStore::new());
        let parse = |text: String| KeyRing::parse(&text).unwrap();
        let (one, two) = (format!("1 {}", "11".repeat(32)), format!("2 {}", "22".repeat(32)));
        let store = EncryptedStore::open(Arc::clone(&below), parse(one.clone())).await.unwrap();
        let then =
            vec![put("old", "old"), put("own", vec![7; 20]), Then::Append(log("l"), vec!["old".into()])];
        write(&store, vec![], then).await;

        let store = EncryptedStore::open(Arc::clone(&below), parse(format!("{two}\n{one}"))).await.unwrap();
        write(&store, vec![], vec![put("new", "new"), Then::Append(log("l"), vec!["new".into()])]).await;
        assert_eq!(store.read(&log("l"), Seq(1), 9).await.unwrap().entries, ["old", "new"]);
        assert_eq!(value(&store, "old").await.unwrap().unwrap(), "old");
        // The token of an owner of before is still comparable.
        let still = Batch {
            id: BatchId(u128::MAX),
            partition: HERE,
            fence: Some(Fence { owner: key("own"), token: Token([7; 16]) }),
            when: vec![],
            then: vec![],
            durability: Durability::Memory,
        };
        assert!(store.commit(still).await.is_ok());
        let needed = |cells, entries| Needed { cells, entries };
        // Two cells and the mark; what was written since, and the list of the keys.
        let expected = BTreeMap::from([(1, needed(3, 1)), (2, needed(2, 1))]);
        assert_eq!(store.keys_needed().await.unwrap(), expected);

        let lost = EncryptedStore::open(Arc::clone(&below), parse(two)).await.unwrap_err();
        assert_eq!(lost, EncryptionError::MissingKey { id: 1 });
    });
}

fn keys(text: &str) -> KeyRing {
    let line = |id: &str| format!("{id} {}\n", id.repeat(64));
    KeyRing::parse(&text.split(',').map(line).collect::<String>()).unwrap()
}

/// A store that two hosts share, one of which has no key 2; it is open there while the other one writes.
async fn behind() -> (Arc<MemoryStore>, EncryptedStore<Arc<MemoryStore>>) {
    let below = Arc::new(MemoryStore::new());
    let behind = EncryptedStore::open(Arc::clone(&below), keys("1")).await.unwrap();
    let ahead = EncryptedStore::open(Arc::clone(&below), keys("2,1")).await.unwrap();
    write(&ahead, vec![], vec![put("new", "new"), Then::Append(log("l"), vec!["new".into()])]).await;
    (below, behind)
}

#[test]
fn who_lacks_the_key_that_writes_elsewhere_is_told_which_and_takes_nothing_for_damage() {
    block_on(async {
        let (below, behind) = behind().await;
        let lacks = "needs key 2, which is not among those given";
        for told in [
            behind.get(&[key("new")]).await.map(drop),
            behind.scan(&Key::all(HERE), None, 9).await.map(drop),
            behind.read(&log("l"), Seq(1), 9).await.map(drop),
            verify_store(&behind, |_| {}).await.map(drop),
        ] {
            let is_told = matches!(&told, Err(StateError::Unavailable { cause, .. }) if cause.to_string().contains(lacks));
            assert!(is_told, "{told:?}");
        }
        // Damage beside it changes nothing: what is left of the store is not known.
        write(&*below, vec![], vec![put("damaged", "in the clear")]).await;
        let mut keep = |value| unreachable!("{value:?}");
        let told = repair_store(&behind, &MemoryStore::new(), UnixMillis(0), &mut keep, &mut |_, _| {}).await;
        assert!(matches!(told, Err(RepairError::Away(_))), "{told:?}");
        assert!(told.unwrap_err().to_string().contains(lacks));

        let refused = EncryptedStore::open(Arc::clone(&below), keys("1")).await.unwrap_err();
        assert_eq!(refused, EncryptionError::MissingKey { id: 2 });
        let both = EncryptedStore::open(below, keys("1,2")).await.unwrap();
        assert_eq!(value(&both, "new").await.unwrap().unwrap(), "new");
    });
}

#[test]
fn a_key_that_never_wrote_is_damage_unless_the_store_is_older_than_its_list() {
    block_on(async {
        let (below, _) = behind().await;
        let store = EncryptedStore::open(Arc::clone(&below), keys("2,1")).await.unwrap();
        let mut sealed = value(&*below, "new").await.unwrap().unwrap().to_vec();
        // The key's number, behind the fence tag, the magic, and three bytes.
        sealed[16 + 7] = 9;
        write(&*below, vec![], vec![put("new", sealed)]).await;
        assert!(what(store.get(&[key("new")]).await).contains("needs key 9"));

        let marks = Partition { pool: Pool::new("runtime-state").unwrap(), index: 0 };
        let list = Key::new(marks, "keys").unwrap();
        let then = vec![Then::Delete(list)];
        let (id, fence, when) = (BatchId(1 << 90), None, vec![]);
        let older = Batch { id, partition: marks, fence, when, then, durability: Durability::Memory };
        below.commit(older).await.unwrap();
        let store = EncryptedStore::open(Arc::clone(&below), keys("2,1")).await.unwrap();
        let told = store.get(&[key("new")]).await;
        assert!(matches!(told, Err(StateError::Unavailable { .. })), "{told:?}");
    });
}

#[test]
fn what_a_later_version_encrypted_is_told_by_its_number_and_is_no_damage() {
    block_on(async {
        let marks = Partition { pool: Pool::new("runtime-state").unwrap(), index: 0 };
        let list = Key::new(marks, "keys").unwrap();
        // Its format, then its algorithm.
        for (at, said) in [(4, "is encrypted in format 2,"), (5, "is encrypted by algorithm 2,")] {
            let (below, store) = both().await;
            write(&store, vec![], vec![put("a", "a")]).await;
            let mut sealed = value(&*below, "a").await.unwrap().unwrap().to_vec();
            sealed[16 + at] = 2;
            write(&*below, vec![], vec![put("a", sealed)]).await;
            // Nobody who writes so was here.
            assert!(what(store.get(&[key("a")]).await).contains(said));

            let names = below.get(std::slice::from_ref(&list)).await.unwrap().pop().flatten().unwrap();
            let mut names = names.value.to_vec();
            names[at] = 2;
            let (id, fence, when) = (BatchId(1 << 91), None, vec![]);
            let then = vec![Then::Put(list.clone(), names.into())];
            let later = Batch { id, partition: marks, fence, when, then, durability: Durability::Memory };
            below.commit(later).await.unwrap();
            let told = store.get(&[key("a")]).await;
            let is_told = matches!(&told, Err(StateError::Unavailable { cause, .. }) if cause.to_string().contains(said));
            assert!(is_told, "{told:?}");
            let refused = EncryptedStore::open(below, ring()).await.unwrap_err();
            let later =
                [EncryptionError::Newer { found: 2, known: 1 }, EncryptionError::Algorithm { found: 2 }];
            assert!(later.contains(&refused), "{refused:?}");
        }
    });
}

#[test]
fn stores_and_keys_that_do_not_fit_are_refused_and_left_alone() {
    block_on(async {
        let plain = Arc::new(MemoryStore::new());
        write(&*plain, vec![], vec![put("a", "in the clear")]).await;
        let refused = EncryptedStore::open(Arc::clone(&plain), ring()).await.unwrap_err();
        assert_eq!(refused, EncryptionError::NotEncrypted);
        assert_eq!(plain.partitions().await.unwrap(), [HERE], "nothing was written");

        let (below, _) = both().await;
        let other = KeyRing::parse(&format!("2 {}", "33".repeat(32))).unwrap();
        let refused = EncryptedStore::open(Arc::clone(&below), other).await.unwrap_err();
        assert_eq!(refused, EncryptionError::WrongKey { id: 2 });

        // By their URIs.
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::write(&keys, format!("7 {}\n", "44".repeat(32))).unwrap();
        let file = format!("redb:{}", folder.path().join("a.redb").display());
        let sealed = format!("encrypted:file:{},{file}", keys.display());
        let store = open(&sealed).await.unwrap();
        assert_eq!(store.profile().name, "encrypted redb");
        write(&*store, vec![], vec![put("a", "hidden")]).await;
        drop(store);
        let error = open(&file).await.unwrap_err();
        assert!(matches!(error, OpenError::Encrypted { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("`encrypted:file:PATH,{file}`")), "{error}");
        assert_eq!(value(&*open(&sealed).await.unwrap(), "a").await.unwrap().unwrap(), "hidden");

        let error = open(&format!("encrypted:{},memory:", "5e".repeat(32))).await.unwrap_err();
        assert!(matches!(error, OpenError::Keys(KeyError::Reference)), "{error:?}");
        assert!(!error.to_string().contains("5e5e"), "{error}");
    });
}

#[test]
fn keys_are_read_as_they_are_written_and_never_shown() {
    let (a, b) = ("aa".repeat(32), "0B".repeat(32));
    let ring = KeyRing::parse(&format!("# ours\n\n10 {a} # newest\n 3\t{b}  ,7 {a}\n")).unwrap();
    assert_eq!((ring.writing_key(), ring.ids().collect::<Vec<_>>()), (10, vec![3, 7, 10]));
    assert_eq!(format!("{ring:?}"), "KeyRing { writing: 10, all: [3, 7, 10] }");
    for (text, error) in [
        (String::new(), KeyError::Empty),
        ("# nothing".to_owned(), KeyError::Empty),
        (format!("1 {a}\n2 {}", &a[2..]), KeyError::Line { line: 2 }),
        (format!("one {a}"), KeyError::Line { line: 1 }),
        (format!("1 {}", "zz".repeat(32)), KeyError::Line { line: 1 }),
        (a.clone(), KeyError::Line { line: 1 }),
        (format!("1 {a},1 {b}"), KeyError::Twice { id: 1 }),
    ] {
        let told = KeyRing::parse(&text).unwrap_err();
        assert_eq!(told, error, "{text}");
        assert!(!told.to_string().contains("aaaa"), "{told}");
    }
    assert_eq!(KeyRing::read(&a).unwrap_err(), KeyError::Reference);
    assert!(matches!(KeyRing::read("env:NO_SUCH_KEYS").unwrap_err(), KeyError::Unreadable { .. }));
    assert!(matches!(KeyRing::read("file:/nowhere/keys").unwrap_err(), KeyError::Unreadable { .. }));
}

#[test]
fn it_takes_as_much_as_the_contract_says_and_says_less_than_the_store_below() {
    block_on(async {
        let (below, store) = both().await;
        let (below, limits) = (below.profile().limits, store.profile().limits);
        assert!(limits.batch >= Limits::CONTRACT.batch && limits.value >= Limits::CONTRACT.value);
        assert_eq!(below.value - limits.value, 67);
        assert_eq!(below.batch - limits.batch, 67 * limits.writes);
    });
}
