//! Counting once more what a runtime counts as it writes, by reading all of a store.

use std::collections::BTreeMap;

use runtime_codec::{decode_entry, keys};
use runtime_traits::log::EntryKind;
use runtime_traits::store::{Key, Log, LogExtent, Seq, StateStore};
use runtime_traits::{AgentId, Partition, SessionName};

/// Bytes by agent and conversation. Those of which there are none are left out.
pub type Sizes = BTreeMap<(AgentId, SessionName), i64>;

/// How many bytes of messages, states and run logs there are of each conversation.
///
/// # Panics
/// When the store cannot be read, or holds what cannot be.
pub async fn recount(store: &dyn StateStore) -> Sizes {
    let mut sizes = Sizes::new();
    for partition in store.partitions().await.expect("the store can be read") {
        for extent in logs(store, partition).await {
            if let Some(of) = whose(store, &extent.log).await {
                *sizes.entry(of).or_default() += length(store, &extent.log).await;
            }
        }
        for (key, value) in cells(store, partition).await {
            if let Some((_, agent, session)) = keys::of_state(&key) {
                *sizes.entry((agent, session)).or_default() += value.len() as i64;
            }
        }
    }
    sizes.retain(|_, bytes| *bytes != 0);
    sizes
}

/// What the runtime counted: the sums of its cells. An agent's own sum is compared with that of its conversations.
///
/// # Panics
/// When the store cannot be read, or an agent's sum is another one.
pub async fn counted(store: &dyn StateStore) -> Sizes {
    let (mut sizes, mut agents) = (Sizes::new(), BTreeMap::<AgentId, i64>::new());
    for partition in store.partitions().await.expect("the store can be read") {
        for (key, value) in cells(store, partition).await {
            let path = String::from_utf8_lossy(key.path.as_bytes()).into_owned();
            let parts: Vec<&str> = path.split('/').collect();
            let number = || std::str::from_utf8(&value).expect("a number").parse::<i64>().expect("a number");
            let agent = |id: &str| AgentId::from_parts(partition, id.parse().expect("an id"));
            match parts[..] {
                ["t", _, "size", id, "all", _] => *agents.entry(agent(id)).or_default() += number(),
                ["t", _, "size", id, "s", session, _] => {
                    let session = SessionName::new(session).expect("a session's name");
                    *sizes.entry((agent(id), session)).or_default() += number();
                }
                _ => {}
            }
        }
    }
    for ((agent, _), bytes) in &sizes {
        *agents.entry(*agent).or_default() -= bytes;
    }
    agents.retain(|_, left| *left != 0);
    assert!(agents.is_empty(), "agents that differ from their conversations: {agents:?}");
    sizes.retain(|_, bytes| *bytes != 0);
    sizes
}

/// All cells of a partition.
///
/// # Panics
/// When the store cannot be read.
pub async fn cells(store: &dyn StateStore, partition: Partition) -> Vec<(Key, bytes::Bytes)> {
    let mut cells: Vec<(Key, bytes::Bytes)> = Vec::new();
    loop {
        let after = cells.last().map(|(key, _)| key);
        let page = store.scan(&Key::all(partition), after, 512).await.expect("the store can be read");
        if page.is_empty() {
            return cells;
        }
        cells.extend(page.into_iter().map(|(key, cell)| (key, cell.value)));
    }
}

/// All logs of a partition.
///
/// # Panics
/// When the store cannot be read.
pub async fn logs(store: &dyn StateStore, partition: Partition) -> Vec<LogExtent> {
    let mut logs: Vec<LogExtent> = Vec::new();
    loop {
        let after = logs.last().map(|extent| &extent.log);
        let page = store.logs(&Log::all(partition), after, 512).await.expect("the store can be read");
        if page.is_empty() {
            return logs;
        }
        logs.extend(page);
    }
}

async fn whose(store: &dyn StateStore, log: &Log) -> Option<(AgentId, SessionName)> {
    if let Some((_, agent, session)) = keys::of_messages(log) {
        return Some((agent, session));
    }
    log.path.as_bytes().starts_with(b"run/").then_some(())?;
    let tail = store.read(log, Seq::FIRST, 1).await.expect("the store can be read");
    let first = decode_entry(tail.first, tail.entries.first()?).expect("an entry");
    let EntryKind::Accepted(accepted) = first.kind else {
        panic!("`{log}` does not begin with its acceptance")
    };
    Some((accepted.agent, accepted.session))
}

async fn length(store: &dyn StateStore, log: &Log) -> i64 {
    let (mut from, mut bytes) = (Seq::FIRST, 0);
    loop {
        let tail = store.read(log, from, 512).await.expect("the store can be read");
        if tail.entries.is_empty() {
            return bytes;
        }
        bytes += tail.entries.iter().map(|entry| entry.len() as i64).sum::<i64>();
        from = Seq(tail.first.0 + tail.entries.len() as u64);
    }
}
