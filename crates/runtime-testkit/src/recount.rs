//! Counting once more what a runtime counts as it writes, by reading all of a store.

use std::collections::{BTreeMap, BTreeSet};

use runtime_codec::{ContentMark, StateRecord, count_chunks, decode, decode_entry, keys};
use runtime_traits::log::{Ended, EntryKind, Message};
use runtime_traits::store::{Key, Log, LogExtent, Seq, StateStore, Tail};
use runtime_traits::{AgentId, Outcome, Partition, Payload, SessionName, Tenant};

/// Bytes by agent and conversation. Those of which there are none are left out.
pub type Sizes = BTreeMap<(AgentId, SessionName), i64>;

/// How many bytes of messages, states and run logs there are of each conversation, and of contents that it brought.
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
            if keys::of_mark(&key).is_some() {
                let mark: ContentMark = decode(&value).expect("a mark");
                if let Some(of) = mark.of {
                    *sizes.entry(of).or_default() += mark.len as i64;
                }
            }
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
    let accepted = match first.kind {
        EntryKind::Accepted(accepted) => Some(accepted),
        _ => None,
    };
    let accepted = accepted.expect("a log begins with its run's acceptance");
    Some((accepted.agent, accepted.session))
}

async fn length(store: &dyn StateStore, log: &Log) -> i64 {
    entries(store, log).await.iter().map(|(_, bytes)| bytes.len() as i64).sum()
}

/// The contents that something names and that are not there, each with what names it: messages, states, logs of runs.
///
/// # Panics
/// When the store cannot be read.
pub async fn missing(store: &dyn StateStore) -> Vec<String> {
    let mut missing = Vec::new();
    for partition in store.partitions().await.expect("the store can be read") {
        let all = cells(store, partition).await;
        let there: BTreeSet<&Key> = all.iter().map(|(key, _)| key).collect();
        let mut look = |tenant: &Tenant, payload: &Payload, by: String| {
            let Payload::Blob { hash, len, .. } = payload else { return };
            let chunks = count_chunks(usize::try_from(*len).expect("it fits into memory"));
            let gone = (0..chunks).filter(|nth| !there.contains(&keys::blob(tenant, partition, hash, *nth)));
            let gone = gone.count();
            if gone > 0 {
                missing.push(format!("{by} names {hash}, of which {gone} of {chunks} chunks are gone"));
            }
        };
        for (key, value) in &all {
            if let Some((tenant, ..)) = keys::of_state(key) {
                let state: StateRecord = decode(value).expect("a state");
                look(&tenant, &state.value, key.to_string());
            }
        }
        for extent in logs(store, partition).await {
            let log = &extent.log;
            let messages = keys::of_messages(log);
            if messages.is_none() && !log.path.as_bytes().starts_with(b"run/") {
                continue;
            }
            for (seq, bytes) in entries(store, log).await {
                match &messages {
                    Some((tenant, ..)) => {
                        let message: Message = decode(&bytes).expect("a message");
                        look(tenant, &message.content, format!("{log} at {}", seq.0));
                    }
                    None => {
                        let entry = decode_entry(seq, &bytes).expect("an entry");
                        if let Some(payload) = payload_of(&entry.kind) {
                            look(&Tenant::default(), payload, format!("{log} at {}", seq.0));
                        }
                    }
                }
            }
        }
    }
    missing
}

fn payload_of(kind: &EntryKind) -> Option<&Payload> {
    match kind {
        EntryKind::Accepted(accepted) => Some(&accepted.input),
        EntryKind::StepOpened(opened) => Some(&opened.request),
        EntryKind::StepSettled(settled) => settled.result.as_ref().ok(),
        EntryKind::StateSet(set) => Some(&set.value),
        EntryKind::WaitClosed(closed) => Some(&closed.answer),
        EntryKind::Ended(Ended { outcome: Outcome::Completed(output), .. }) => Some(output),
        _ => None,
    }
}

/// All entries of a log that are there.
///
/// # Panics
/// When the store cannot be read.
pub async fn entries(store: &dyn StateStore, log: &Log) -> Vec<(Seq, bytes::Bytes)> {
    let mut entries: Vec<(Seq, bytes::Bytes)> = Vec::new();
    let mut from = Seq::FIRST;
    loop {
        let tail = store.read(log, from, 512).await.expect("the store can be read");
        let Tail { first, entries: page, .. } = tail;
        if page.is_empty() {
            return entries;
        }
        from = Seq(first.0 + page.len() as u64);
        entries.extend(page.into_iter().zip(first.0..).map(|(bytes, seq)| (Seq(seq), bytes)));
    }
}
