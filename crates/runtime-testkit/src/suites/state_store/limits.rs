//! Cases about batches that no store takes.

use bytes::Bytes;
use runtime_traits::partition::Partition;
use runtime_traits::store::{
    Batch, Fence, Key, Limits, Log, Path, Revision, Seq, StateError, Then, Token, When,
};

use super::StoreFixture;
use super::probe::{HERE, Probe, With, append, batch, key, log, put};

/// `sized`: limits are checked before anything is sent.
pub async fn sized(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let Limits { writes, batch: bytes, value } = probe.store.profile().limits;
    assert!(
        writes >= Limits::CONTRACT.writes && bytes >= Limits::CONTRACT.batch,
        "less than the contract's limits"
    );

    // As much as is allowed.
    probe
        .write(batch(
            (0..writes - 2).map(|n| put(format!("many/{n}"), n)).chain([append("many", 0..2)]).collect(),
        ))
        .await;
    let name = "large";
    let large = |size: usize| Then::Put(key(name), Bytes::from(vec![7; size]));
    let most = value.min(bytes - name.len());
    probe.write(batch(vec![large(most)])).await;
    assert_eq!(probe.cell(name).await.map(|cell| cell.value.len()), Some(most));
    let longest = Bytes::from(vec![0xff; Path::LIMIT]);
    probe.write(batch(vec![put(longest.clone(), 1), append(longest.clone(), ["1"])])).await;
    assert_eq!(probe.value(longest.clone()).await.as_deref(), Some("1"));
    assert_eq!(probe.entries(longest).await, ["1"]);

    // One more, in each way, with a condition that does not hold: sizes come first.
    let (cells, logs) = (probe.cells().await, probe.logs().await);
    let root = Key::all(HERE);
    let too_large = [
        (0..=writes).map(|n| put(format!("more/{n}"), n)).collect(),
        vec![append("more", 0..=writes)],
        vec![append("more", 0..writes), Then::Delete(key("many/1"))],
        vec![large(bytes - name.len() + 1)],
        vec![put("more", 1), large(bytes)],
        vec![Then::Append(log("more"), vec![Bytes::from(vec![7; bytes / 2]); 3])],
        vec![Then::Put(root.clone(), Bytes::new())],
        vec![Then::Append(Log::all(HERE), vec![Bytes::new()])],
    ];
    for then in too_large {
        let what: String = format!("{then:?}").chars().take(80).collect();
        let answer = probe.store.commit(batch(then).when(When::Absent(key("many/1")))).await;
        assert!(matches!(answer, Err(StateError::TooLarge { .. })), "{what}: {answer:?}");
    }
    assert_eq!(probe.cells().await, cells, "a refused batch left a trace");
    assert_eq!(probe.logs().await, logs, "a refused batch left a trace");
    assert_eq!(probe.store.get(&[root]).await, Ok(vec![None]), "no cell has the empty path");
}

/// `one-partition`: a batch over two partitions is refused by every store, also where it would work.
pub async fn one_partition(fixture: &dyn StoreFixture) {
    let probe = Probe::new(fixture.open().await);
    let there = Partition { index: HERE.index + 1, ..HERE };
    let (far, far_log) = (Key { partition: there, ..key("a") }, Log { partition: there, ..log("a") });
    let home = || batch(vec![put("a", 1)]);
    let with = |then| {
        let mut batch = home();
        batch.then.push(then);
        batch
    };
    let two = [
        with(Then::Put(far.clone(), "1".into())),
        with(Then::Add(far.clone(), 1)),
        with(Then::Delete(far.clone())),
        with(Then::Append(far_log.clone(), vec!["1".into()])),
        with(Then::Trim(far_log.clone(), Seq(1))),
        with(Then::Drop(far_log.clone())),
        home().when(When::Absent(far.clone())),
        home().when(When::Revision(far.clone(), Revision(1))),
        home().when(When::Next(far_log.clone(), Seq(1))),
        home().when(When::BacklogBelow(far_log.clone(), 1)),
        Batch { fence: Some(Fence { owner: far.clone(), token: Token([1; 16]) }), ..home() },
        Batch { partition: there, ..home() },
    ];
    for batch in two {
        let what = format!("{batch:?}");
        assert_eq!(probe.store.commit(batch).await, Err(StateError::WrongPartition), "{what}");
    }
    assert_eq!(probe.store.partitions().await, Ok(vec![]), "a refused batch left a trace");
    let pair = [key("a"), far.clone()];
    assert_eq!(probe.store.get(&pair).await, Err(StateError::WrongPartition));
    assert_eq!(probe.store.scan(&Key::all(HERE), Some(&far), 9).await, Err(StateError::WrongPartition));
    assert_eq!(probe.store.logs(&Log::all(HERE), Some(&far_log), 9).await, Err(StateError::WrongPartition));
}
