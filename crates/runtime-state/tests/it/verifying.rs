//! Damage, found and told by place.

use std::sync::Arc;

use async_trait::async_trait;
use runtime_state::{
    DamagedPlace, EncryptedStore, MemoryStore, OpenError, RedbStore, Verified, check_pages, read_store,
};
use runtime_testkit::block_on;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::store::{
    Batch, BatchId, Cell, Committed, Durability, Key, Log, LogExtent, Path, Seq, StateError, StateStore,
    StoreProfile, Tail, Then,
};

use crate::wrapped::ring;

const HERE: Partition = Partition { pool: Pool::MAIN, index: 17 };
const AGENT: &str = "0193571c8a2f7c3e9d1a5b6c7d8e9f00";

fn batch(id: u128, then: Vec<Then>) -> Batch {
    Batch {
        id: BatchId(id),
        partition: HERE,
        fence: None,
        when: vec![],
        then,
        durability: Durability::Memory,
    }
}

fn put(path: &str, value: &str) -> Then {
    Then::Put(Key::new(HERE, path.to_owned()).unwrap(), value.to_owned().into())
}

fn append(path: &str, entries: &[&str]) -> Then {
    let entries = entries.iter().map(|entry| entry.to_string().into()).collect();
    Then::Append(Log::new(HERE, path.to_owned()).unwrap(), entries)
}

fn damaged(verified: &Verified) -> Vec<String> {
    verified.damages.iter().map(|damage| damage.place.to_string()).collect()
}

#[test]
fn all_damage_is_told_by_tenant_agent_session_and_run() {
    block_on(async {
        let below = Arc::new(MemoryStore::new());
        let store = EncryptedStore::open(Arc::clone(&below), ring()).await.unwrap();
        let (spec, state) = (format!("t/acme/a/{AGENT}/spec"), format!("t/acme/s/{AGENT}/talk/state"));
        let (messages, run) = (format!("t/acme/msg/{AGENT}/talk"), format!("run/{AGENT}"));
        let mut then: Vec<Then> = (0..150).map(|n| put(&format!("cell/{n:03}"), "whole")).collect();
        then.extend([put(&spec, "spec"), put(&state, "state"), put("t/acme/name/x\\`\u{1}", "name")]);
        store.commit(batch(1, then)).await.unwrap();
        let entries: Vec<String> = (1..=200).map(|n| format!("message {n}")).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        store.commit(batch(2, vec![append(&messages, &entries), append(&run, &["accepted"])])).await.unwrap();

        // In the store below: something else in place of some values, and one entry too many.
        let bad = vec![
            put("cell/000", "no value"),
            put("cell/070", "no value"),
            put("cell/071", "no value"),
            put(&spec, "no value"),
            put(&state, "no value"),
            put("t/acme/name/x\\`\u{1}", "no value"),
            append(&messages, &["no value"]),
            append(&messages, &["no value"]),
            append(&run, &["no value"]),
        ];
        below.commit(batch(3, bad)).await.unwrap();

        let verified = read_store(&store, |_| {}).await.unwrap();

        assert_eq!((verified.cells, verified.logs, verified.entries), (147, 2, 201));
        assert_eq!(
            damaged(&verified),
            [
                "cell cell/000".to_owned(),
                "cell cell/070".to_owned(),
                "cell cell/071".to_owned(),
                format!("cell {spec}"),
                "cell t/acme/name/x\\\\`\\x01".to_owned(),
                format!("cell {state}"),
                format!("entry 2 of log {run}"),
                format!("entry 201 of log {messages}"),
                format!("entry 202 of log {messages}"),
            ]
        );
        let whose = |n: usize| {
            let damage = serde_json::to_value(&verified.damages[n]).unwrap();
            ["tenant", "agent", "session", "run"]
                .map(|whose| damage[whose].as_str().unwrap_or("-").to_owned())
        };
        let (agent, run) = (format!("agent:main.17.{AGENT}"), format!("run:main.17.{AGENT}"));
        assert_eq!(whose(0), ["-", "-", "-", "-"]);
        assert_eq!(whose(3), ["acme", &agent, "-", "-"]);
        assert_eq!(whose(4), ["acme", "-", "-", "-"]);
        assert_eq!(whose(5), ["acme", &agent, "talk", "-"]);
        assert_eq!(whose(6), ["-", "-", "-", &run]);
        assert_eq!(whose(8), ["acme", &agent, "talk", "-"]);
        let told = serde_json::to_value(&verified.damages[8]).unwrap();
        assert_eq!((told["sort"].as_str(), told["seq"].as_u64()), (Some("entry"), Some(202)), "{told}");
        assert_eq!(verified.damages[0].place.path(), Some(&Path::new("cell/000").unwrap()));
        assert!(matches!(verified.damages[0].place, DamagedPlace::Cell { .. }));
    });
}

/// A store that says that something is damaged, and not what; or that it cannot read at all.
#[derive(Debug)]
struct Mute {
    inner: MemoryStore,
    bad: Vec<&'static str>,
    error: StateError,
}

impl Mute {
    fn look<T>(&self, page: Vec<T>, path: impl Fn(&T) -> &Path) -> Result<Vec<T>, StateError> {
        let is_bad = |one: &T| self.bad.iter().any(|bad| path(one).as_bytes() == bad.as_bytes());
        if page.iter().any(is_bad) { Err(self.error.clone()) } else { Ok(page) }
    }
}

#[async_trait]
impl StateStore for Mute {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StateError> {
        self.look(keys.to_vec(), |key| &key.path)?;
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        under: &Key,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<(Key, Cell)>, StateError> {
        self.look(self.inner.scan(under, after, limit).await?, |(key, _)| &key.path)
    }

    async fn read(&self, log: &Log, from: Seq, limit: u32) -> Result<Tail, StateError> {
        self.look(vec![log.clone()], |log| &log.path)?;
        self.inner.read(log, from, limit).await
    }

    async fn logs(&self, under: &Log, after: Option<&Log>, limit: u32) -> Result<Vec<LogExtent>, StateError> {
        self.look(self.inner.logs(under, after, limit).await?, |extent| &extent.log.path)
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StateError> {
        self.inner.partitions().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StateError> {
        self.inner.commit(batch).await
    }

    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
}

async fn mute(error: StateError) -> Mute {
    let bad = vec!["a/1", "a/10", "b", "\u{ff}"];
    let store = Mute { inner: MemoryStore::new(), bad, error };
    let paths = ["a", "a/1", "a/10", "a/2", "b", "c", "\u{ff}"];
    store.commit(batch(1, paths.iter().map(|path| put(path, "1")).collect())).await.unwrap();
    store.commit(batch(2, paths.iter().map(|path| append(path, &["1"])).collect())).await.unwrap();
    store
}

#[test]
fn what_a_store_does_not_name_is_found_by_looking_for_it() {
    block_on(async {
        let store = mute(StateError::Damaged { what: "something".to_owned() }).await;
        let verified = read_store(&store, |_| {}).await.unwrap();
        let last = "\u{ff}".as_bytes().escape_ascii();
        let expected = ["a/1", "a/10", "b", &last.to_string()];
        let cells = expected.map(|path| format!("cell {path}"));
        let logs = expected.map(|path| format!("log {path}"));
        assert_eq!(damaged(&verified), [cells, logs].concat());
        assert_eq!((verified.cells, verified.logs, verified.entries), (3, 3, 3));
    });
}

#[test]
fn what_cannot_be_read_for_another_reason_is_no_damage_and_ends_the_round() {
    block_on(async {
        let store = mute(StateError::NoSpace).await;
        let told = read_store(&store, |so_far| assert_eq!(so_far.damaged, 0)).await;
        assert_eq!(told, Err(StateError::NoSpace));
    });
}

#[test]
fn pages_of_a_file_are_checked_beyond_its_rows() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let uri = format!("redb:{}", path.display());
        let store = RedbStore::open(&path).unwrap();
        for n in 0..50 {
            let then = vec![put(&format!("cell/{n:03}"), &"a value that can be found".repeat(40))];
            store.commit(Batch { durability: Durability::Disk, ..batch(n, then) }).await.unwrap();
        }
        drop(store);
        assert!(check_pages(&uri).unwrap());
        assert!(!check_pages("memory:").unwrap());

        let mut bytes = std::fs::read(&path).unwrap();
        let sought = b"a value that can be found";
        // In old pages too: nobody outside knows which are in use.
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(sought) {
                bytes[at] = b'A';
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let error = check_pages(&uri);
        assert!(matches!(error, Err(OpenError::Damaged { .. })), "{error:?}");
    });
}
