//! Files of snapshots: from disk into memory, damaged at every kind of place, and their bytes for ever.

use std::sync::Arc;

use runtime_codec::{
    ContentRef, Kept, Manifest, SavedSession, SessionList, SessionPage, decode, encode, keys,
};
use runtime_state::{MemoryStore, RedbStore};
use runtime_testkit::suites::snapshots::Bench;
use runtime_traits::RuntimeError;
use runtime_traits::content::{Content, Digest};
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::{Key, Seq, Then};

use super::{bench, over};

const GOLDEN: &[u8] = include_bytes!("../../golden/snapshot-1.bin");

/// An agent with something of everything, made alike every time.
async fn sample(bench: &Bench) -> Vec<u8> {
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one", "two"]).await;
    bench.say_contents(&agent, "large", &[Content::text("x".repeat(9_000))]).await;
    bench.set(&agent, "default", &Content::json(&[1, 2, 3]).unwrap()).await;
    let state = bench.save(&agent).await;
    bench.export(&state).await
}

#[tokio::test]
async fn a_snapshot_of_a_store_on_disk_is_restored_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let disk = over(Arc::new(RedbStore::open(folder.path().join("agents.redb")).unwrap()));
    let file = sample(&disk).await;

    let memory = over(Arc::new(MemoryStore::new()));
    let taken = memory.import(&file, 777).await.unwrap();
    let twin = memory.agent("twin", 9).await;
    memory.snapshots.fill(&memory.tenant, &taken.state, &twin, &memory.owner).await.unwrap();

    let told = memory.memory(&twin).await;
    assert_eq!(told[0].1, ["one", "two"]);
    assert_eq!(told[1].1, ["x".repeat(9_000)]);
    assert_eq!(told[0].2.as_deref(), Some("[1,2,3]"));
}

#[tokio::test]
async fn the_first_format_is_written_and_read_as_ever() {
    let written = sample(&bench()).await;
    assert_eq!(written.len(), GOLDEN.len());
    assert!(written == GOLDEN, "the bytes of the format differ from those of before");
    let there = bench();
    let taken = there.import(GOLDEN, 64).await.unwrap();
    assert_eq!((taken.name.as_str(), taken.sessions, taken.messages), ("scribe", 2, 3));
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_leaves_no_snapshot() {
    let file = sample(&bench()).await;
    let there = bench();
    let cuts = (0..file.len()).filter(|at| *at < 400 || at % 97 == 0 || *at > file.len() - 60);
    for at in cuts {
        let error = there.import(&file[..at], 5_000).await.unwrap_err();
        assert!(matches!(error, RuntimeError::BadSnapshotFile { .. }), "{at}: {error}");
    }
    assert_eq!(there.count().await, 0);
    there.import(&file, 5_000).await.expect("what halves left is in nobody's way");
}

#[tokio::test]
async fn a_changed_bit_anywhere_is_seen() {
    let file = sample(&bench()).await;
    let there = bench();
    let places = (0..file.len()).filter(|at| *at < 500 || at % 53 == 0 || *at > file.len() - 60);
    for at in places {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = there.import(&damaged, 5_000).await.unwrap_err();
        let told = matches!(error, RuntimeError::BadSnapshotFile { .. } | RuntimeError::Newer { .. });
        assert!(told, "{at}: {error}");
    }
    assert_eq!(there.count().await, 0);
}

#[tokio::test]
async fn something_behind_the_end_is_seen() {
    let file = sample(&bench()).await;
    let there = bench();
    for more in [&b"x"[..], &file] {
        let error = there.import(&[&file[..], more].concat(), 5_000).await.unwrap_err();
        assert!(error.to_string().contains("follows its end"), "{error}");
    }
    assert_eq!(there.count().await, 0);
}

/// What is changed in a saved conversation, so that its numbers make no sense.
type Change = fn(&mut SavedSession);

/// A file whose every hash is right, and whose numbers are not.
#[tokio::test]
async fn a_file_whose_numbers_make_no_sense_leaves_no_snapshot() {
    let changes: [(&str, Change); 5] = [
        ("ends at a message", |saved| saved.head.as_mut().unwrap().last = Seq(3)),
        ("ends at no message", |saved| saved.head.as_mut().unwrap().last = Seq(u64::MAX)),
        ("does not follow", |saved| saved.open[0].first = u64::MAX - 1),
        ("does not follow", |saved| saved.open.push(saved.open[0])),
        ("counts other", |saved| saved.head.as_mut().unwrap().messages = 7),
    ];
    for (reason, change) in changes {
        let bench = bench();
        let agent = bench.agent("scribe", 3).await;
        bench.say(&agent, "default", &["one", "two"]).await;
        let state = bench.save(&agent).await;
        let cell = |key: Key| async { bench.store.get(&[key]).await.unwrap().pop().flatten().unwrap().value };
        let kept = |hash: &Digest| cell(keys::blob(&bench.tenant, agent.partition(), hash, 0));
        let key = keys::snapshot(&bench.tenant, &state);
        let mut manifest: Manifest = decode(&cell(key.clone()).await).unwrap();
        let Kept::List(list) = manifest.kept else { unreachable!("it is new") };
        let list: SessionList = decode(&kept(&list.hash).await).unwrap();
        let mut page: SessionPage = decode(&kept(&list.pages[0].hash).await).unwrap();
        change(&mut page.sessions[0]);
        let mut then = Vec::new();
        let mut keep = |bytes: bytes::Bytes| {
            let (hash, len) = (Digest::of(&bytes), bytes.len() as u64);
            then.push(Then::Put(keys::blob(&bench.tenant, agent.partition(), &hash, 0), bytes));
            ContentRef { hash, len }
        };
        let page = keep(encode(&page));
        manifest.kept = Kept::List(keep(encode(&SessionList { pages: vec![page] })));
        then.push(Then::Put(key, encode(&manifest)));
        bench.owner.commit(agent.partition(), vec![], then).await.unwrap();
        let file = bench.export(&state).await;

        let there = super::bench();
        let error = there.import(&file, 5_000).await.unwrap_err();

        assert!(matches!(error, RuntimeError::BadSnapshotFile { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(there.count().await, 0);
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let mut file = sample(&bench()).await;
    file[8] = 2;
    let error = bench().import(&file, 5_000).await.unwrap_err();
    assert_eq!(error.code(), "newer");
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[tokio::test]
async fn a_content_that_is_damaged_in_the_store_breaks_the_file_off() {
    let bench = bench();
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one", "two"]).await;
    let state = bench.save(&agent).await;
    let cells = bench.store.scan(&Key::all(agent.partition()), None, 1_000).await.unwrap();
    let (key, cell) =
        cells.into_iter().find(|(key, _)| key.path.to_string().contains("/blob/")).expect("there is one");
    let mut value = cell.value.to_vec();
    value[6] ^= 1;
    bench.owner.commit(agent.partition(), vec![], vec![Then::Put(key, value.into())]).await.unwrap();

    use futures_util::TryStreamExt;
    let file = bench.snapshots.export(&bench.tenant, &state).await.unwrap();
    let error = file.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code(), "damaged");
    let memory = bench.memory(&agent).await;
    bench.say(&agent, "default", &["three"]).await;
    let put = bench
        .snapshots
        .put_back(&bench.tenant, &state, &agent, runtime_traits::UnixMillis(9), &bench.owner)
        .await;
    assert_eq!(put.unwrap_err().code(), "damaged");
    assert_eq!(bench.memory(&agent).await[0].1.len(), memory[0].1.len() + 1, "nothing was changed");
}
