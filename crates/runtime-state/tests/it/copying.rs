//! Whole stores, copied and compared.

use std::sync::Arc;

use bytes::Bytes;
use runtime_state::{
    Copied, CopyError, EncryptedStore, MemoryStore, OpenError, RedbStore, RedisStore, SledStore, copy_store,
    open, read_store,
};
use runtime_testkit::block_on;
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore};
use runtime_testkit::peers::RedisServer;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Cell, Durability, Fence, Key, Log, LogExtent, Seq, StateError, StateStore, Tail, Then,
    Token,
};

use crate::wrapped::ring;

const PLACES: [Partition; 3] = [
    Partition { pool: Pool::MAIN, index: 0 },
    Partition { pool: Pool::MAIN, index: 200 },
    Partition { pool: Pool::MAIN, index: 256 },
];
const TOKEN: Token = Token([7; 16]);

fn batch(id: u128, partition: Partition, then: Vec<Then>) -> Batch {
    Batch { id: BatchId(id), partition, fence: None, when: vec![], then, durability: Durability::Memory }
}

/// Everything that is not easy: many cells and large ones, counters, owners, logs that are trimmed, wholly or not.
async fn fill(store: &dyn StateStore) {
    for (n, partition) in PLACES.into_iter().enumerate() {
        let key = |path: String| Key::new(partition, path).unwrap();
        let log = |path: &str| Log::new(partition, path.to_owned()).unwrap();
        let mut id = n as u128 * 1_000;
        let mut commit = async |then| {
            id += 1;
            store.commit(batch(id, partition, then)).await.unwrap();
        };
        for group in 0..4 {
            let cell =
                |i: i32| Then::Put(key(format!("cell/{group}/{i:03}")), vec![i as u8; i as usize * 2].into());
            commit((0..90).map(cell).collect()).await;
        }
        commit(vec![Then::Put(key("large".into()), vec![3; 70_000 + 300_000 * n].into())]).await;
        commit(vec![Then::Add(key("sum".into()), 41), Then::Put(key("\u{0}\u{ff}".into()), Bytes::new())])
            .await;
        let own = [&TOKEN.0[..], format!("epoch {n}").as_bytes()].concat();
        commit(vec![Then::Put(key("own".into()), own.into())]).await;
        for _ in 0..5 {
            commit(vec![Then::Append(log("long"), (0..200).map(|i| format!("{i}").into()).collect())]).await;
        }
        commit(vec![Then::Trim(log("long"), Seq(701))]).await;
        commit(vec![Then::Append(log("gone"), vec!["x".into(); 3]), Then::Trim(log("gone"), Seq(4))]).await;
        commit(vec![Then::Append(log("short"), vec!["a".into(), Bytes::new()])]).await;
        commit(vec![Then::Append(log("dropped"), vec!["a".into()]), Then::Drop(log("dropped"))]).await;
    }
}

type Everything = Vec<(Vec<(Key, Bytes)>, Vec<(LogExtent, Tail)>)>;

/// All that a reader sees, without revisions, and without the tokens of owners.
async fn everything(store: &dyn StateStore) -> Everything {
    let mut all = Vec::new();
    for partition in PLACES {
        let cells = store.scan(&Key::all(partition), None, 9_999).await.unwrap().into_iter();
        let cells = cells.map(|(key, Cell { value, .. })| match key.path.as_bytes() {
            b"own" => (key, value.slice(16..)),
            _ => (key, value),
        });
        let mut logs = Vec::new();
        for extent in store.logs(&Log::all(partition), None, 9_999).await.unwrap() {
            let tail = store.read(&extent.log, Seq(1), 9_999).await.unwrap();
            logs.push((extent, tail));
        }
        all.push((cells.collect(), logs));
    }
    all
}

#[test]
fn a_store_is_copied_with_all_its_numbers_between_any_two_sorts() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let from = MemoryStore::new();
        fill(&from).await;
        let expected = everything(&from).await;
        let redb = |name: &str| RedbStore::open(folder.path().join(name)).unwrap();
        let server = RedisServer::start();

        let steps: [Arc<dyn StateStore>; 7] = [
            Arc::new(redb("a")),
            Arc::new(SledStore::open(folder.path().join("c")).unwrap()),
            Arc::new(RedisStore::open(&server.uri(0)).unwrap()),
            Arc::new(EncryptedStore::open(redb("b"), ring()).await.unwrap()),
            Arc::new(EncryptedStore::open(MemoryStore::new(), ring()).await.unwrap()),
            Arc::new(MapStore::new()),
            Arc::new(MemoryStore::new()),
        ];
        let mut source: Arc<dyn StateStore> = Arc::new(from);
        for target in steps {
            let copied = copy_store(&*source, &*target, |_, _| {}).await.unwrap();
            let Copied { partitions, cells, logs, entries, .. } = copied;
            assert_eq!((partitions, cells, logs, entries), (3, 3 * 364, 3 * 3, 3 * 302));
            assert_eq!(everything(&*target).await, expected, "{target:?}");
            let verified = read_store(&*target, |_| {}).await.unwrap();
            assert_eq!((verified.cells, verified.entries, verified.damaged), (cells, entries, 0));
            assert_eq!(verified.bytes, copied.bytes);
            source = target;
        }

        // It goes on where the original was.
        let log = Log::new(PLACES[0], "gone").unwrap();
        let next = source.commit(batch(9, PLACES[0], vec![Then::Append(log, vec!["on".into()])])).await;
        assert_eq!(next.unwrap().appended, [Seq(4)]);
        let sum = Key::new(PLACES[0], "sum").unwrap();
        source.commit(batch(10, PLACES[0], vec![Then::Add(sum.clone(), 1)])).await.unwrap();
        assert_eq!(source.get(&[sum]).await.unwrap()[0].as_ref().unwrap().value, "42");
    });
}

#[test]
fn nobody_who_owned_the_original_owns_the_copy_and_the_epoch_stays() {
    block_on(async {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        fill(&from).await;
        copy_store(&from, &to, |_, _| {}).await.unwrap();

        let own = Key::new(PLACES[1], "own").unwrap();
        let fence = Some(Fence { owner: own.clone(), token: TOKEN });
        let write = Batch { fence, ..batch(9_999, PLACES[1], vec![]) };
        assert!(from.commit(write.clone()).await.is_ok());
        assert_eq!(to.commit(write).await, Err(StateError::Fenced));
        let cell = to.get(&[own]).await.unwrap().pop().flatten().unwrap();
        assert_eq!(&cell.value[16..], b"epoch 1");
    });
}

#[test]
fn a_copy_goes_into_an_empty_store_only() {
    block_on(async {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        fill(&from).await;
        let there = Key::new(PLACES[2], "there").unwrap();
        to.commit(batch(1, PLACES[2], vec![Then::Put(there.clone(), "there".into())])).await.unwrap();
        let refused = copy_store(&from, &to, |_, _| {}).await.unwrap_err();
        assert_eq!(refused, CopyError::NotEmpty { partition: PLACES[2] });
        assert_eq!(to.scan(&Key::all(PLACES[2]), None, 9).await.unwrap().len(), 1);

        // Encrypted values are of use under their places and keys only.
        let sealed = Arc::new(MemoryStore::new());
        fill(&EncryptedStore::open(Arc::clone(&sealed), ring()).await.unwrap()).await;
        let refused = copy_store(&*sealed, &MemoryStore::new(), |_, _| {}).await.unwrap_err();
        assert_eq!(refused, CopyError::Encrypted);
    });
}

#[test]
fn a_copy_that_broke_off_is_refused_until_it_is_made_anew() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let from = MemoryStore::new();
        fill(&from).await;
        // The target dies after some pages: the future is dropped there.
        let path = folder.path().join("half.redb");
        let uri = format!("redb:{}", path.display());
        {
            let to = RedbStore::open(&path).unwrap();
            let mut pages = 0;
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let mut stop = Some(stop);
            let copying = copy_store(&from, &to, |_, _| {
                pages += 1;
                if pages == 9 {
                    stop.take().unwrap().send(()).unwrap();
                }
            });
            tokio::select! {
                biased;
                _ = stopped => {}
                done = copying => panic!("it was to be stopped: {done:?}"),
            }
        }
        let error = open(&uri).await.unwrap_err();
        assert!(matches!(error, OpenError::HalfCopied { .. }), "{error:?}");
        assert!(error.to_string().contains("delete it and copy the original again"), "{error}");
        let half = RedbStore::open(&path).unwrap();
        assert!(matches!(copy_store(&from, &half, |_, _| {}).await, Err(CopyError::NotEmpty { .. })));
        assert_eq!(copy_store(&half, &MemoryStore::new(), |_, _| {}).await, Err(CopyError::HalfCopied));
        drop(half);

        std::fs::remove_file(&path).unwrap();
        copy_store(&from, &RedbStore::open(&path).unwrap(), |_, _| {}).await.unwrap();
        assert_eq!(everything(&*open(&uri).await.unwrap()).await, everything(&from).await);
    });
}

#[test]
fn answers_that_get_lost_on_the_way_do_not_end_a_copy() {
    block_on(async {
        let (from, below) = (MemoryStore::new(), Arc::new(MemoryStore::new()));
        fill(&from).await;
        let mut n = 0;
        let to = FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, move |_| {
            n += 1;
            [Fault::UnknownAfter, Fault::Pass, Fault::UnknownBefore, Fault::Unavailable, Fault::Pass][n % 5]
        });
        copy_store(&from, &to, |_, _| {}).await.unwrap();
        assert_eq!(everything(&*below).await, everything(&from).await);

        // But a target that stays away is told, and as what it is.
        let to = FaultyStore::new(Arc::new(MemoryStore::new()), |_| Fault::Unavailable);
        let told = copy_store(&from, &to, |_, _| {}).await;
        assert!(matches!(told, Err(CopyError::To(StateError::Unavailable { .. }))), "{told:?}");
        assert_eq!(to.commits(), 4);
    });
}

#[test]
fn who_comes_second_is_told_to_leave_the_copy_of_the_first_alone() {
    block_on(async {
        let (from, below) = (MemoryStore::new(), Arc::new(MemoryStore::new()));
        fill(&from).await;
        let first = Arc::clone(&below);
        // The first one marks the store between the look of the second and its mark.
        let to = FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, move |mark| {
            let first = first.commit(Batch { id: BatchId(77), ..mark.clone() });
            futures_util::FutureExt::now_or_never(first).unwrap().unwrap();
            Fault::Pass
        });
        let told = copy_store(&from, &to, |_, _| {}).await.unwrap_err();
        assert_eq!(told, CopyError::Raced);
        assert!(!told.to_string().contains("delete"), "{told}");
    });
}

#[test]
fn a_source_that_changes_meanwhile_is_noticed() {
    block_on(async {
        let (from, to) = (Arc::new(MemoryStore::new()), MemoryStore::new());
        fill(&*from).await;
        let meddler = Arc::clone(&from);
        let mut once = true;
        let copied = copy_store(&*from, &to, |_, done| {
            if std::mem::take(&mut once) {
                assert!(done.cells > 0);
                let changed = Key::new(PLACES[0], "cell/0/001").unwrap();
                let write = batch(8_888, PLACES[0], vec![Then::Put(changed, "changed".into())]);
                futures_util::FutureExt::now_or_never(meddler.commit(write)).unwrap().unwrap();
            }
        })
        .await;
        assert_eq!(copied, Err(CopyError::Differs { place: "main.0/cell/0/001".to_owned() }));
    });
}
