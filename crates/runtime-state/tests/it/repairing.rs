//! Whatever is damaged: the repaired store is whole, and everything that it lacks is told.

use std::io;
use std::sync::Arc;

use runtime_codec::{StateRecord, decode, decode_entry, encode, keys};
use runtime_state::{
    ChangeSort, CopyError, MemoryStore, Quarantined, RepairError, Repaired, copy_store, repair_store,
    verify_store,
};
use runtime_testkit::block_on;
use runtime_traits::content::{Digest, Media, Payload};
use runtime_traits::log::{EntryKind, FailureKind, Head, Message, Outcome};
use runtime_traits::store::{Key, Log, Seq, StateStore, Then};

use crate::harmed::{Harm, Harmed};
use crate::lived::{HERE, Lived, at, newer};

struct Done {
    store: MemoryStore,
    repaired: Repaired,
    quarantine: Vec<Quarantined>,
}

async fn repair(from: &dyn StateStore) -> Result<Done, RepairError> {
    let (store, mut quarantine) = (MemoryStore::new(), Vec::new());
    let mut keep = |value| {
        quarantine.push(value);
        Ok(())
    };
    let repaired = repair_store(from, &store, at(100), &mut keep, &mut |_, _| {}).await?;
    let verified = verify_store(&store, |_| {}).await.unwrap();
    assert_eq!(verified.damaged, 0, "{verified:#?}");
    Ok(Done { store, repaired, quarantine })
}

async fn cells(store: &dyn StateStore) -> Vec<(Key, bytes::Bytes)> {
    let mut all = Vec::new();
    for partition in store.partitions().await.unwrap() {
        let cells = store.scan(&Key::all(partition), None, 10_000).await.unwrap();
        all.extend(cells.into_iter().map(|(key, cell)| (key, cell.value)));
    }
    all
}

async fn entries(store: &dyn StateStore) -> Vec<(Log, Seq)> {
    let mut all = Vec::new();
    for extent in store.logs(&Log::all(HERE), None, 1_000).await.unwrap() {
        all.extend((extent.first.0..extent.next.0).map(|seq| (extent.log.clone(), Seq(seq))));
    }
    all
}

async fn head(store: &dyn StateStore, lived: &Lived) -> Option<Head> {
    let cell = store.get(&[lived.head()]).await.unwrap().pop().flatten()?;
    Some(decode(&cell.value).unwrap())
}

/// The numbers of a conversation, from its end back.
async fn chain(store: &dyn StateStore, lived: &Lived, last: Seq) -> Vec<u64> {
    let mut chain = Vec::new();
    let mut at = Some(last);
    while let Some(seq) = at {
        let tail = store.read(&lived.messages(), seq, 1).await.unwrap();
        chain.push(seq.0);
        at = decode::<Message>(&tail.entries[0]).unwrap().after;
    }
    chain
}

async fn last_of(store: &dyn StateStore, run: &runtime_traits::RunId) -> EntryKind {
    let tail = store.read(&keys::run_log(run), Seq(1), 100).await.unwrap();
    let seq = Seq(tail.first.0 + tail.entries.len() as u64 - 1);
    decode_entry(seq, tail.entries.last().unwrap()).unwrap().kind
}

/// What may differ where one thing was damaged: it, and what refers to it. A chunk of a content is excused by another
/// chunk of that content, or by what the content was needed for and is not there any more.
fn is_told(done: &Done, key: &Key) -> bool {
    let path = key.path.to_string();
    let session = path.split('/').nth(4).unwrap_or_default().to_owned();
    let of_content =
        |path: &str| path.contains("/blob/").then(|| path.rsplit_once('/').map(|at| at.0.to_owned()));
    done.repaired.changes.iter().any(|change| {
        let place = change.place.path().map(ToString::to_string).unwrap_or_default();
        place == path
            || (path.contains("/blob/") && of_content(&place) == of_content(&path))
            || (path.contains("/blob/") && place.contains("/snap/"))
            || change.whose.session.as_ref().is_some_and(|of| of.as_str() == session)
            || change.whose.run.is_some_and(|run| path.contains(&run.unique().simple().to_string()))
            || change.whose.agent.is_some_and(|agent| path.contains(&agent.unique().simple().to_string()))
    })
}

#[test]
fn whatever_cell_is_damaged_the_rest_is_kept_and_the_store_is_whole() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let all = cells(&*lived.store).await;
        for (key, _) in &all {
            for harm in [Harm::Cut, Harm::Unreadable, Harm::Missing] {
                let mut harmed = Harmed::over(Arc::clone(&lived.store));
                harmed.cells.insert(key.clone(), harm);
                let done = match repair(&harmed).await {
                    Ok(done) => done,
                    // What is missing without a trace is missing, and a number is one without its last digit.
                    Err(RepairError::Whole) => {
                        assert!(harm != Harm::Unreadable, "{key} {harm:?} is not found");
                        continue;
                    }
                    Err(error) => unreachable!("{key} {harm:?}: {error}"),
                };
                assert!(done.repaired.changed > 0, "{key} {harm:?}: nothing is said");
                let aside = |value: &&Quarantined| value.place.path() == Some(&key.path);
                let aside = done.quarantine.iter().find(aside);
                let has_bytes = aside.is_some_and(|value| value.bytes.is_some());
                match harm {
                    Harm::Cut => assert!(has_bytes, "{key}: its bytes are not kept"),
                    Harm::Unreadable => assert!(aside.is_some() && !has_bytes, "{key}: it is not named"),
                    Harm::Missing => {}
                }
                assert_eq!(done.quarantine.len() as u64, done.repaired.quarantined, "{key} {harm:?}");
                let left = cells(&done.store).await;
                for (other, value) in &all {
                    let kept = left.iter().find(|(key, _)| key == other).map(|(_, value)| value);
                    let is_same = kept == Some(value) || *other == keys::own(HERE);
                    assert!(
                        is_same || other == key || is_told(&done, other),
                        "{key} {harm:?}: {other} differs"
                    );
                }
            }
        }
    });
}

#[test]
fn whatever_entry_is_damaged_the_rest_is_kept_and_the_store_is_whole() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let all = entries(&*lived.store).await;
        assert_eq!(all.len(), 18);
        for (log, seq) in &all {
            for harm in [Harm::Cut, Harm::Unreadable] {
                let mut harmed = Harmed::over(Arc::clone(&lived.store));
                harmed.entries.insert((log.clone(), *seq), harm);
                let done = repair(&harmed)
                    .await
                    .unwrap_or_else(|error| unreachable!("entry {} of {log}, {harm:?}: {error}", seq.0));
                assert!(done.repaired.changed > 0, "entry {} of {log}: nothing is said", seq.0);
                let has_bytes = done.quarantine.iter().any(|value| value.bytes.is_some());
                assert!(has_bytes || harm == Harm::Unreadable, "entry {} of {log}: no bytes are kept", seq.0);
                // Every run is over or open, as it was, or failed for all to see.
                for run in lived.ended.iter().chain([&lived.open]) {
                    let open = done.store.get(&[keys::open(run)]).await.unwrap().pop().flatten();
                    let is_over = matches!(last_of(&done.store, run).await, EntryKind::Ended(_));
                    assert!(open.is_some() != is_over, "{run} after entry {} of {log}", seq.0);
                }
            }
        }
    });
}

#[test]
fn a_conversation_is_cut_to_its_longest_whole_piece() {
    block_on(async {
        for (damaged, last, messages) in [(6, 4, 4), (5, 4, 4), (1, 6, 5), (3, 6, 3), (4, 6, 2), (2, 6, 4)] {
            let lived = Lived::in_memory().await;
            let mut harmed = Harmed::over(Arc::clone(&lived.store));
            harmed.entries.insert((lived.messages(), Seq(damaged)), Harm::Cut);
            let done = repair(&harmed).await.unwrap();
            let head = head(&done.store, &lived).await.unwrap();
            assert_eq!((head.last.0, head.messages), (last, messages), "message {damaged} is damaged");
            // Numbers stay, so that runs find what they said.
            let tail = done.store.read(&lived.messages(), Seq(1), 10).await.unwrap();
            assert_eq!((tail.first, tail.next), (Seq(1), Seq(7)));
            let lost: Message = decode(&tail.entries[damaged as usize - 1]).unwrap();
            assert!(!lost.content.is_empty() && lost.after.is_none());
            let chain = chain(&done.store, &lived, head.last).await;
            assert!(!chain.contains(&damaged) && chain.len() as u64 == messages, "{chain:?}");
            let told = done.repaired.changes.iter().find(|change| change.change == ChangeSort::Cut).unwrap();
            assert_eq!(told.whose.session.as_ref(), Some(&lived.session));
            assert!(told.what.contains(&format!("of 6 messages the {messages} from")), "{told:?}");
        }
    });
}

#[test]
fn a_run_that_cannot_go_on_fails_and_its_key_still_gives_it() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((keys::run_log(&lived.open), Seq(3)), Harm::Cut);

        let done = repair(&harmed).await.unwrap();

        let EntryKind::Ended(ended) = last_of(&done.store, &lived.open).await else {
            unreachable!("it ended")
        };
        let Outcome::Failed(failure) = ended.outcome else { unreachable!("it failed") };
        assert_eq!(failure.kind, FailureKind::Decided);
        assert!(failure.message.contains("damaged at entry 3"), "{failure:?}");
        let ended = keys::ended(&lived.tenant, &lived.agent, &lived.open);
        assert!(done.store.get(&[ended]).await.unwrap()[0].is_some());
        let left = cells(&done.store).await;
        assert!(left.iter().any(|(key, _)| key.path.to_string().contains("/idem/")));
        assert!(left.iter().any(|(key, _)| key.path.to_string().starts_with("due/")), "and is forgotten");
        let told = done.repaired.changes.iter().find(|change| change.change == ChangeSort::Ended).unwrap();
        assert_eq!((told.whose.run, told.whose.agent), (Some(lived.open), Some(lived.agent)));
    });
}

#[test]
fn a_run_that_was_over_keeps_its_outcome() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((keys::run_log(&lived.ended[0]), Seq(2)), Harm::Unreadable);
        let done = repair(&harmed).await.unwrap();
        let log = keys::run_log(&lived.ended[0]);
        assert_eq!(done.store.read(&log, Seq(1), 10).await.unwrap().next, Seq(3));
        let EntryKind::Ended(ended) = last_of(&done.store, &lived.ended[0]).await else { unreachable!() };
        assert!(matches!(ended.outcome, Outcome::Completed(_)), "{ended:?}");
    });
}

#[test]
fn a_declaration_comes_back_from_an_older_one_or_from_a_snapshot() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let (spec, first) =
            (keys::spec(&lived.tenant, &lived.agent), keys::spec_revision(&lived.tenant, &lived.agent, 1));
        for gone in [&[&spec][..], &[&spec, &first]] {
            let mut harmed = Harmed::over(Arc::clone(&lived.store));
            harmed.cells.extend(gone.iter().map(|key| ((*key).clone(), Harm::Unreadable)));
            let done = repair(&harmed).await.unwrap();
            assert!(done.store.get(std::slice::from_ref(&spec)).await.unwrap()[0].is_some());
            assert_eq!(head(&done.store, &lived).await.unwrap().messages, 6);
        }
        // Without any the agent is left out, name and all.
        let snapshot = keys::snapshot(&lived.tenant, &lived.state);
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.cells.extend([spec, first, snapshot].map(|key| (key, Harm::Unreadable)));
        let done = repair(&harmed).await.unwrap();
        let left: Vec<String> =
            cells(&done.store).await.into_iter().map(|(key, _)| key.path.to_string()).collect();
        assert!(!left.iter().any(|path| path.contains("/a/") || path.contains("/name/")), "{left:?}");
        let want = keys::want(&lived.tenant, &lived.agent);
        let aside = done.quarantine.iter().find(|value| value.place.path() == Some(&want.path)).unwrap();
        assert!(aside.why.contains("nothing declares") && aside.bytes.is_some(), "{aside:?}");
    });
}

#[test]
fn a_value_that_lacks_what_it_names_is_kept_aside_with_its_bytes() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let state = keys::state(&lived.tenant, &lived.agent, &lived.session);
        let gone = Payload::Blob { hash: Digest::of(b"gone"), len: 9_000, media: Media::Text };
        let record = encode(&StateRecord { value: gone });
        lived.put(state.clone(), record.clone()).await;
        let done = repair(&*lived.store).await.unwrap();
        assert_eq!(done.store.get(std::slice::from_ref(&state)).await.unwrap(), [None]);
        let aside = done.quarantine.iter().find(|value| value.place.path() == Some(&state.path)).unwrap();
        assert_eq!(aside.bytes.as_ref(), Some(&record));
    });
}

#[test]
fn what_cannot_be_kept_aside_ends_the_repair_and_leaves_a_store_that_nobody_opens() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(2)), Harm::Cut);
        let store = MemoryStore::new();
        let mut full = |_: Quarantined| Err(io::ErrorKind::StorageFull.into());
        let done = repair_store(&harmed, &store, at(100), &mut full, &mut |_, _| {}).await;
        assert!(
            matches!(&done, Err(RepairError::Quarantine(why)) if why.kind() == io::ErrorKind::StorageFull),
            "{done:?}"
        );
        let told = copy_store(&store, &MemoryStore::new(), |_, _| {}).await;
        assert_eq!(told, Err(CopyError::HalfCopied));
    });
}

#[test]
fn what_is_whole_or_newer_is_not_repaired() {
    block_on(async {
        let lived = Lived::in_memory().await;
        assert!(matches!(repair(&*lived.store).await, Err(RepairError::Whole)));
        let head = head(&*lived.store, &lived).await.unwrap();
        lived.put(lived.head(), newer(&head)).await;
        lived.write(HERE, vec![Then::Drop(keys::run_log(&lived.open))]).await;
        assert!(matches!(repair(&*lived.store).await, Err(RepairError::Newer { newer: 1 })));
    });
}

#[test]
fn an_open_run_of_another_tenant_is_found_again_by_its_log() {
    block_on(async {
        let lived = Lived::of("acme").await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.cells.insert(keys::open(&lived.open), Harm::Unreadable);
        let done = repair(&harmed).await.unwrap();
        let open = done.store.get(&[keys::open(&lived.open)]).await.unwrap().pop().flatten().unwrap();
        let open: runtime_codec::OpenRun = decode(&open.value).unwrap();
        assert_eq!((open.tenant, open.agent), (lived.tenant, lived.agent));
    });
}

#[test]
fn a_run_whose_log_was_let_go_keeps_its_stub_and_the_cell_by_which_that_goes() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let run = lived.ended[0];
        let (stub, ended) = (keys::swept(&run), keys::ended(&lived.tenant, &lived.agent, &run));
        lived.put(stub.clone(), encode(&lived.stub())).await;
        lived.write(HERE, vec![Then::Trim(keys::run_log(&run), Seq(3))]).await;
        let both = [stub, ended.clone()];
        // Something else is damaged: what is whole is not repaired.
        lived.put(keys::state(&lived.tenant, &lived.agent, &lived.session), "no record").await;
        let done = repair(&*lived.store).await.unwrap();
        let before = lived.store.get(&both).await.unwrap();
        let values = |cells: Vec<Option<runtime_traits::store::Cell>>| {
            cells.into_iter().map(|cell| cell.unwrap().value).collect::<Vec<_>>()
        };
        assert_eq!(values(done.store.get(&both).await.unwrap()), values(before));

        // Where the cell cannot be read, or is gone, the stub says it.
        for harm in [Then::Put(ended.clone(), "no record".into()), Then::Delete(ended.clone())] {
            lived.write(HERE, vec![harm]).await;
            let done = repair(&*lived.store).await.unwrap();
            let cell = done.store.get(std::slice::from_ref(&ended)).await.unwrap().pop().flatten().unwrap();
            let record: runtime_codec::EndedRun = decode(&cell.value).unwrap();
            assert_eq!((record.session, record.at), (lived.session.clone(), at(3)));
        }
    });
}
